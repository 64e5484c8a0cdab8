"""Networks that are known to be good are tried before any other."""

import pytest

import nasopt
from nasopt import Architecture, Conv, Experiment, load_benchmark
from nasopt.errors import RecipeError
from nasopt.search.search import Search
from nasopt.space.fields import real
from nasopt.training.evaluation import Recipe
from tests.benchmarks.tables import rows, written
from tests.examples import small

KNOWN = Architecture((Conv(filters=8, stride=2), Conv(filters=4)))


def test_they_are_tried_first_and_once_and_the_study_goes_on_by_itself(tmp_path):
    open_lr = Recipe(epochs=1, lr=real(0.01, 0.1))
    experiment = small(first=[KNOWN, {"conv.depth": 1, "recipe.lr": 0.05}], recipe=open_lr)
    given = {"sampler": "surrogate", "device": "cpu"}
    whole = nasopt.run(experiment, storage=tmp_path / "x.db", trials=5, **given)
    first, second = whole.trials[:2]
    assert experiment.space.decode(first.params) == KNOWN
    assert (second.params["conv.depth"], second.params["recipe.lr"]) == (1, 0.05)
    keys = [trial.user_attrs["key"] for trial in whole.trials]
    assert len(set(keys)) == len(keys) == 5
    for trials in (1, 2, 4, 5):
        parts = nasopt.run(experiment, storage=tmp_path / "y.db", trials=trials, **given)
    assert [t.params for t in parts.trials] == [t.params for t in whole.trials]
    assert [t.values for t in parts.trials] == [t.values for t in whole.trials]


def test_one_that_comes_later_is_tried_next(tmp_path):
    nasopt.run(small(), storage=tmp_path / "x.db", sampler="random", trials=2, device="cpu")
    study = nasopt.run(
        small(first=KNOWN), storage=tmp_path / "x.db", sampler="random", trials=3, device="cpu"
    )
    assert small().space.decode(study.trials[2].params) == KNOWN


def test_those_of_a_table_are_known_by_their_parameters(tmp_path):
    table = load_benchmark(str(written(tmp_path / "mine.csv", rows())))
    experiment = Experiment.on_benchmark(table, first={"op": "b", "width": 2}, trials=2)
    search = Search(experiment, storage=tmp_path / "x.db")
    list(search)
    assert search.study.trials[0].params == {"op": "b", "width": 2}
    with pytest.raises(RecipeError, match="a table's networks are known by their parameters"):
        Experiment.on_benchmark(table, first=KNOWN)


@pytest.mark.parametrize(
    ("first", "message"),
    [
        (Architecture((Conv(filters=5),)), "not in this space; open its fields to these values"),
        ({"conv.depth": 99}, "conv.depth=99: not in integer(1, 3); correct it"),
        ({"deep": 1}, "deep=1: no such parameter; correct it"),
        ("conv", "give a tuple"),
        (["conv"], "'conv': give an Architecture, or {name: value} of parameters"),
    ],
)
def test_what_is_no_network_of_the_space_is_refused(first, message):
    with pytest.raises(RecipeError) as raised:
        small(first=first)
    assert str(raised.value).startswith("Experiment.first")
    assert str(raised.value).endswith(message)
