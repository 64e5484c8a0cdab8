"""Features of the user's own: of the right network, remembered, and refused if they cannot be."""

import numpy as np
import pytest
import torch

from nasopt.errors import RecipeError
from nasopt.space.features import WithFeatures
from nasopt.space.fields import categorical
from nasopt.space.layers import Conv
from nasopt.space.space import Space, repeat
from nasopt.space.vectorized import Networks

SPACE = Space(
    repeat(Conv(filters=categorical(4, 2, 8), stride=categorical(1, 2)), 1, 3), min_resolution=4
).on((1, 8, 8))
NETWORKS = Networks(SPACE, 10)


def widths(architecture):
    found = [layer.filters for layer in architecture.convolutions]
    return {"widest": max(found), "narrowest": min(found)}


def places(n: int) -> np.ndarray:
    sizes = [len(field.candidates) for field in SPACE.hyperparameters.values()]
    return np.random.default_rng(0).integers(0, sizes, (n, len(sizes)))


def test_they_follow_those_of_the_network_itself_row_by_row():
    survey = WithFeatures(NETWORKS, widths)
    assert survey.names == NETWORKS.names
    assert survey.features == (*NETWORKS.features, "narrowest", "widest")
    rows = places(50)
    found, plain = survey.survey(rows), NETWORKS.survey(rows)
    assert (found.features[:, :-2] == plain.features).all()
    assert (found.places == plain.places).all()
    for row, told in zip(rows, found.features, strict=True):
        fields = SPACE.hyperparameters.items()
        params = {name: field.candidates[at] for (name, field), at in zip(fields, row, strict=True)}
        assert told[-2:].tolist() == sorted(widths(SPACE.decode(params)).values())


def test_the_function_is_asked_once_of_each_network():
    asked = []

    def counted(architecture):
        asked.append(architecture)
        return {"layers": len(architecture.layers)}

    survey = WithFeatures(NETWORKS, counted)
    survey.survey(places(200))
    before = len(asked)
    survey.survey(places(200))
    assert len(asked) == before
    assert len(set(asked)) >= before - 1  # the first is asked for the names


def test_no_networks_have_no_rows():
    assert WithFeatures(NETWORKS, widths).survey(places(0)).features.shape == (0, 6)


@pytest.mark.parametrize(
    ("features", "message"),
    [
        (lambda network: 3, "3 for "),
        (lambda network: {"a": "b"}, "{'a': 'b'} for "),
        (lambda network: {"a": float("nan")}, "{'a': nan} for "),
        (lambda network: {"a": None}, "{'a': None} for "),
        (lambda network: {1: 2.0}, "{1: 2.0} for "),
        (lambda network: {"a": 10**400}, "; give a dict of finite numbers by name"),
        (lambda network: {"a": torch.tensor([1.0, 2.0])}, "; give a dict of finite numbers"),
        (lambda network: {"depth": 3}, "depth is known of every network; give another name"),
        (lambda network: {"a": 1 / 0}, "ZeroDivisionError: division by zero for "),
        (lambda network: {str(len(network.layers)): 1}, "always give the same names"),
    ],
)
def test_what_cannot_be_is_refused_with_the_network(features, message):
    with pytest.raises(RecipeError) as error:
        WithFeatures(NETWORKS, features).survey(places(50))
    assert str(error.value).startswith("Experiment.features: ")
    assert message in str(error.value)
    assert "\n" not in str(error.value)
