"""Features of the user's own in a search: they help, they are kept by name, and it goes on."""

import pytest

import nasopt
from nasopt import Conv, Experiment, Recipe, Space, categorical, repeat
from nasopt.errors import RecipeError
from tests.examples import small

EVEN = categorical(2, 3, 4, 5, 6, 7)
SPACE = Space(repeat(Conv(filters=EVEN, kernel_size=1), 12))


def evens(architecture) -> dict[str, int]:
    """How many layers have an even number of filters, which no size tells."""
    return {"evens": sum(1 - layer.filters % 2 for layer in architecture.convolutions)}


def learnt(architecture, recipe, seed):
    yield evens(architecture)["evens"] / 12


def experiment(**fields) -> Experiment:
    given = {"space": SPACE, "recipe": Recipe(epochs=1), "train": learnt, "trials": 14}
    return small(**(given | fields))


def values(study) -> list[float]:
    return [trial.value for trial in study.trials]


def test_the_surrogate_learns_from_them_and_a_study_in_parts_is_the_whole_one(tmp_path):
    told = experiment(features=evens)
    whole = nasopt.run(told, storage=tmp_path / "whole.db", device="cpu")
    blind = nasopt.run(experiment(), storage=tmp_path / "blind.db", device="cpu")
    assert max(values(whole)) > max(values(blind))
    assert whole.user_attrs["features"] == ["evens"]
    nasopt.run(told, storage=tmp_path / "parts.db", device="cpu", trials=8)
    parts = nasopt.run(told, storage=tmp_path / "parts.db", device="cpu")
    assert [t.params for t in parts.trials] == [t.params for t in whole.trials]
    why = nasopt.open(tmp_path / "whole.db").study("experiment/surrogate/0").why(6)
    assert next(iter(why.weights)) == "evens"


def test_other_samplers_do_not_ask(tmp_path):
    asked = []

    def features(architecture):
        asked.append(architecture)
        return evens(architecture)

    study = nasopt.run(
        experiment(features=features, trials=4),
        sampler="random", storage=tmp_path / "x.db", device="cpu",
    )  # fmt: skip
    assert len(study.trials) == 4
    assert len(asked) == 1  # for its names


def test_a_function_that_fails_leaves_the_study_to_go_on(tmp_path):
    short = r"^Experiment\.features: KeyError: 'x' for Architecture\(.{50,120} \.\.\.; correct the"
    with pytest.raises(RecipeError, match=short):
        nasopt.run(
            experiment(features=lambda network: {}["x"]), storage=tmp_path / "x.db", device="cpu"
        )
    study = nasopt.run(experiment(features=evens), storage=tmp_path / "x.db", device="cpu")
    assert len(study.trials) == 14


def test_what_is_no_function_or_no_space_of_ones_own_is_refused(macro):
    with pytest.raises(RecipeError, match=r"^Experiment\.features=\('evens',\): give a function"):
        experiment(features=("evens",))
    with pytest.raises(RecipeError, match=r"^Experiment\.features: a table has its own, in "):
        Experiment.on_benchmark(macro, features=evens)


def test_a_comparison_with_them_goes_on_and_a_change_of_their_names_is_told(tmp_path, caplog):
    told = experiment(features=evens, trials=2)
    given = {"samplers": "random,surrogate", "seeds": 1, "replicates": 0, "device": "cpu"}
    first = nasopt.compare(told, storage=tmp_path / "x.db", **given)
    assert nasopt.compare(told, storage=tmp_path / "x.db", **given) == first
    renamed = experiment(features=lambda network: {"odds": 12 - evens(network)["evens"]})
    nasopt.run(renamed, storage=tmp_path / "x.db", device="cpu", trials=3)
    assert "features is ['odds'] from here on, was ['evens']" in caplog.text


@pytest.mark.parametrize(("before", "after"), [(evens, None), (None, evens)])
def test_features_that_come_or_go_are_told_and_kept(before, after, tmp_path, caplog):
    first, second = (experiment(features=f, trials=n) for f, n in ((before, 2), (after, 3)))
    nasopt.run(first, storage=tmp_path / "x.db", device="cpu")
    study = nasopt.run(second, storage=tmp_path / "x.db", device="cpu")
    names = ["evens"] if after else []
    assert f"features is {names} from here on, was {['evens'][len(names) :]}" in caplog.text
    assert study.user_attrs["features"] == names
    given = {"samplers": "random,surrogate", "seeds": 1, "replicates": 0, "device": "cpu"}
    nasopt.compare(second, storage=tmp_path / "x.db", **given)
