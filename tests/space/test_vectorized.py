"""`Networks`: many networks at once are what they are one by one."""

import math
from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nasopt.space.fields import categorical, integer
from nasopt.space.layers import CONV_OPS, KINDS, NORMS, POOL_OPS, Conv, Dense, Pool
from nasopt.space.model import cost
from nasopt.space.space import Space, repeat
from nasopt.space.vectorized import Networks, Survey

CLASSES = 7
filters = st.sampled_from([3, categorical(8, 4), integer(2, 20), categorical(1, 2, 3)])
kernel_sizes = st.sampled_from([1, 3, categorical(3, 1, 5), integer(1, 7, step=2)])
strides = st.sampled_from([1, 2, categorical(1, 2), categorical(4, 2), integer(1, 5)])
ops = st.sampled_from([*CONV_OPS, categorical(*CONV_OPS), categorical("separable", "conv")])
convs = st.builds(
    Conv,
    filters=filters,
    kernel_size=kernel_sizes,
    stride=strides,
    op=ops,
    activation=st.sampled_from(["relu", "silu", categorical("relu", "gelu")]),
    norm=st.sampled_from([*NORMS, categorical(*NORMS)]),
)
pools = st.builds(
    Pool,
    kernel_size=st.sampled_from([2, categorical(2, 1, 3), categorical(1, 2), integer(1, 4)]),
    op=st.sampled_from([*POOL_OPS, categorical(*POOL_OPS)]),
)
denses = st.builds(Dense, width=st.sampled_from([5, categorical(8, 4), integer(3, 9)]))


def repeats(layers):
    counts = st.tuples(st.integers(0, 2), st.integers(1, 3))
    return st.builds(lambda layer, n: repeat(layer, min(n), max(n)), layers, counts)


@st.composite
def spaces(draw):
    layers = [
        draw(convs),
        *draw(st.lists(st.one_of(convs, pools, repeats(convs), repeats(pools)), max_size=3)),
        *draw(st.lists(st.one_of(denses, repeats(denses)), max_size=2)),
    ]
    shape = (draw(st.sampled_from([1, 3])), *draw(st.sampled_from([(8, 8), (9, 5), (1, 1)])))
    return Space(*layers, min_resolution=draw(st.sampled_from([1, 2, 3]))).on(shape)


@dataclass
class Sampled:
    """Random networks of a space, surveyed at once and decoded one by one."""

    space: Space
    survey: Survey
    places: np.ndarray

    def decoded(self, places):
        fields = self.space.hyperparameters.items()
        for row in places:
            values = {name: f.candidates[i] for (name, f), i in zip(fields, row, strict=True)}
            yield self.space.decode(values)


def sampled(space: Space, n: int = 15) -> Sampled:
    sizes = [field.size for field in space.hyperparameters.values()]
    rng = np.random.default_rng(0)
    places = rng.integers(np.array(sizes, dtype=int), size=(n, len(sizes)))
    return Sampled(space, Networks(space, CLASSES).survey(places), places)


@given(spaces())
@settings(max_examples=30)
def test_costs_are_what_the_modules_cost(space):
    each = sampled(space)
    for row, network in enumerate(each.decoded(each.places)):
        measured = cost(network, space.input_shape, CLASSES)
        assert each.survey.costs["parameters"][row] == measured.parameters
        assert each.survey.costs["macs"][row] == measured.macs


@given(spaces())
@settings(max_examples=30)
def test_the_canonical_form_is_the_same_network(space):
    each = sampled(space)
    keys = [[n.key for n in each.decoded(p)] for p in (each.places, each.survey.places)]
    assert keys[0] == keys[1]
    again = Networks(space, CLASSES).survey(each.survey.places)
    assert (again.places == each.survey.places).all()


@given(spaces())
@settings(max_examples=30)
def test_what_is_not_active_changes_nothing_and_what_is_active_is_all_that_can(space):
    each = sampled(space)
    names = Networks(space, CLASSES).names
    fields = list(space.hyperparameters.values())
    for row, network in zip(range(10), each.decoded(each.places), strict=False):
        for column in range(len(names)):
            changed = np.repeat(each.places[row][None], fields[column].size, axis=0)
            changed[:, column] = np.arange(fields[column].size)
            keys = {changed.key for changed in each.decoded(changed)}
            assert each.survey.active[row, column] or keys == {network.key}


def test_spellings_of_one_network_have_one_canonical_form():
    """But for idle pools and equal layers left out here or there, which is the order of layers."""
    space = Space(
        repeat(Conv(filters=categorical(4, 8), stride=categorical(2, 1)), 1, 3),
        repeat(Dense(width=categorical(4, 8)), 0, 2),
    ).on((1, 4, 4))
    each = sampled(space, 400)
    forms: dict[str, set[bytes]] = {}
    for row, network in enumerate(each.decoded(each.places)):
        forms.setdefault(network.key, set()).add(each.survey.places[row].tobytes())
    assert len(forms) > 100
    assert all(len(form) == 1 for form in forms.values())


def test_a_stride_that_does_nothing_takes_its_first_choice_and_is_not_active():
    space = Space(
        Conv(filters=4, stride=categorical(2, 1)),
        Conv(filters=categorical(4, 8), stride=categorical(4, 2)),
    ).on((1, 2, 2))
    survey = Networks(space, CLASSES).survey(np.array([[0, 1, 1], [1, 1, 1]]))
    assert Networks(space, CLASSES).names == ("conv01.stride", "conv02.filters", "conv02.stride")
    assert survey.places.tolist() == [[0, 1, 0], [1, 1, 0]]
    # on 1x1 both strides are 1; on 2x2 a stride of 4 acts as 2
    assert survey.active.tolist() == [[True, True, False], [True, True, False]]


def test_an_idle_pool_is_not_active_and_takes_the_first_choice_that_is_idle():
    space = Space(
        Conv(filters=4), Pool(kernel_size=categorical(2, 3, 5), op=categorical("max", "average"))
    ).on((1, 2, 2))
    survey = Networks(space, CLASSES).survey(np.array([[0, 1], [1, 1], [2, 1]]))
    assert survey.places.tolist() == [[0, 1], [1, 0], [1, 0]]
    assert survey.active.tolist() == [[True, True], [True, False], [True, False]]


def test_features_are_log_parameters_log_macs_depth_and_halvings():
    space = Space(repeat(Conv(filters=2, stride=categorical(1, 2)), 1, 3), Dense(width=4)).on(
        (1, 8, 8)
    )
    assert Networks(space, CLASSES).names[0] == "conv.depth"
    survey = Networks(space, CLASSES).survey(np.array([[0, 0, 1, 1], [1, 1, 1, 0]]))
    for row, (depth, halvings) in enumerate([(2, 0), (3, 2)]):
        parameters, macs = (survey.costs[name][row] for name in ("parameters", "macs"))
        expected = [math.log(parameters), math.log(macs), depth, halvings]
        assert survey.features[row] == pytest.approx(expected)


def test_every_kind_of_layer_is_among_those_that_are_tested():
    assert set(KINDS.values()) == {Conv, Pool, Dense}
