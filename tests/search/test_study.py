"""A study that is opened to go on: as the same experiment, or not at all."""

import sqlite3

import optuna
import pytest

import nasopt
from nasopt import Conv, Recipe, Space, categorical, parameters
from nasopt.errors import StudyError
from nasopt.search.search import Search
from tests.examples import small
from tests.trials import counted


def test_nothing_is_made_before_everything_is_checked(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for fields in ({"sampler": "tbe"}, {"seed": -1}, {"device": "cdua"}, {"trials": 0}):
        with pytest.raises(nasopt.Error):
            Search(small(), **fields)
    assert list(tmp_path.iterdir()) == []


def test_the_default_database_is_named_after_the_experiment(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    nasopt.run(small(trials=1, name="mine"), device="cpu")
    assert (tmp_path / "runs" / "mine.db").exists()


@pytest.mark.parametrize(
    ("change", "place"),
    [
        ({"space": Space(Conv(filters=categorical(2, 4)))}, "space.layers"),
        ({"recipe": Recipe(epochs=3, batch_size=32)}, "recipe.epochs is 3 now, was 2"),
        ({"dataset": "digits"}, "dataset is digits limit=None split=0 now, was digits limit=200"),
        ({"seed": 1}, "seed is 1 now, was 0"),
    ],
)
def test_a_study_does_not_go_on_as_another_experiment(tmp_path, change, place):
    nasopt.run(small(trials=1), storage=tmp_path / "x.db", device="cpu")
    content = sqlite3.connect(tmp_path / "x.db").execute("SELECT * FROM trials").fetchall()
    with pytest.raises(StudyError) as error:
        nasopt.run(small(**change), storage=tmp_path / "x.db", device="cpu")
    assert str(error.value).startswith("study=experiment/surrogate/0: ")
    assert place in str(error.value)
    assert "choose another --storage or Experiment(name=...)" in str(error.value)
    assert sqlite3.connect(tmp_path / "x.db").execute("SELECT * FROM trials").fetchall() == content


def test_other_objectives_are_refused_and_another_name_is_another_study(tmp_path):
    nasopt.run(small(trials=1), storage=tmp_path / "x.db", device="cpu")
    two = small(trials=1, objectives=("accuracy", "macs"))
    with pytest.raises(StudyError, match="objectives"):
        nasopt.run(two, storage=tmp_path / "x.db", device="cpu")
    named = small(trials=1, objectives=("accuracy", "macs"), name="two")
    assert (
        nasopt.run(named, storage=tmp_path / "x.db", device="cpu").study_name == "two/surrogate/0"
    )


def test_a_study_of_plain_optuna_under_our_name_is_left_alone(tmp_path):
    plain = optuna.create_study(study_name="experiment/surrogate/0", storage=f"sqlite:///{tmp_path}/x.db",
                                direction="maximize")  # fmt: skip
    plain.optimize(lambda trial: trial.suggest_float("x", 0, 1), n_trials=1)
    with pytest.raises(StudyError, match="not begun by nasopt"):
        nasopt.run(small(), storage=tmp_path / "x.db", device="cpu")


@pytest.mark.parametrize(
    ("change", "note"),
    [
        ({"pruner": "none"}, "pruner is none from here on, was surrogate"),
        ({"limits": parameters <= 900}, "limits is ['parameters <= 900'] from here on, was []"),
    ],
)
def test_the_pruner_and_the_limits_may_change_and_that_is_noted(tmp_path, caplog, change, note):
    nasopt.run(small(trials=1), storage=tmp_path / "x.db", device="cpu")
    study = nasopt.run(small(trials=2, **change), storage=tmp_path / "x.db", device="cpu")
    assert f"experiment/surrogate/0: {note}" in caplog.text
    assert len(counted(study)) == 2
    assert study.user_attrs["versions"].keys() == {"nasopt", "optuna", "torch"}


@pytest.mark.parametrize("directions", [["minimize"], ["maximize", "minimize"]])
def test_an_empty_study_of_other_directions_is_not_taken_over(tmp_path, directions):
    optuna.create_study(
        study_name="experiment/surrogate/0",
        storage=f"sqlite:///{tmp_path}/x.db",
        directions=directions,
    )
    with pytest.raises(StudyError, match="not begun by nasopt"):
        nasopt.run(small(), storage=tmp_path / "x.db", device="cpu")


def test_other_numbers_of_layers_are_named_briefly(tmp_path):
    nasopt.run(small(trials=1), storage=tmp_path / "x.db", device="cpu")
    longer = Space(Conv(filters=4), *small().space.layers)
    with pytest.raises(StudyError, match=r"space\.layers is 2 entries now, was 1 entries"):
        nasopt.run(small(space=longer), storage=tmp_path / "x.db", device="cpu")
