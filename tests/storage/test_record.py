"""The records: written and read back, whatever a database has; and the one home of their names."""

import math
import re
from dataclasses import fields
from datetime import datetime, timedelta
from pathlib import Path

import optuna
import pytest
from optuna.trial import TrialState

import nasopt
from nasopt import Recipe, categorical, real
from nasopt.storage import record as home
from nasopt.storage.prediction import Near, Prediction
from nasopt.storage.record import (
    EndedBy,
    ExperimentRecord,
    StudyRecord,
    TrialRecord,
    is_begun,
    seconds_of,
)
from tests.examples import small

PACKAGE = Path(nasopt.__file__).parent
HOMES = {"storage/record.py", "storage/attributes.py"}


def test_no_other_module_spells_the_name_of_an_attribute():
    spelled = re.compile(
        r"""attrs\)?(\.get\(|\[|\.pop\()\s*f?["']"""  # attrs["key"]
        r"""|["'][a-z_:]+["']\s+(not\s+)?in\s+[\w.]*attrs"""  # "key" in trial.user_attrs
        r"""|set_\w+_attr\([^)]*["']"""
    )
    found = {
        f"{path.relative_to(PACKAGE)}: {line.strip()}"
        for path in PACKAGE.rglob("*.py")
        if str(path.relative_to(PACKAGE)) not in HOMES
        for line in path.read_text().splitlines()
        if spelled.search(line)
    }
    assert found == set()


WHOLE = TrialRecord(
    key="k",
    parameters=10,
    macs=100,
    draws=3,
    infeasible="macs <= 1",
    prediction=Prediction(0.5, 0.4, 0.6, {"x": 1.0}, (Near(0, 0.5, None), Near(1, 0.7, 0.2))),
    epochs=0,
    seconds=0.0,
    replayed_epochs=0,
    device="cpu",
    mixed=True,
    ended_by=EndedBy.MEMORY,
    reason="out of memory",
    repeat_of=0,
    free=True,
)


def stored(record: TrialRecord, state: TrialState = TrialState.PRUNED) -> optuna.trial.FrozenTrial:
    """A trial with the attributes of `record`, through a database."""
    study = optuna.create_study(storage="sqlite://")
    study.add_trial(optuna.create_trial(state=state, user_attrs=record.to_attrs()))
    (trial,) = study.trials
    return trial


def test_a_trial_is_read_as_it_was_written():
    trial = stored(WHOLE)
    assert TrialRecord.wrong(trial.user_attrs) is None
    assert TrialRecord.of(trial) == WHOLE
    assert trial.user_attrs["belief"]["nearest"][1]["distance"] == 0.7  # as of old
    assert trial.user_attrs.keys() - {"belief"} <= {each.name for each in fields(WHOLE)}


def test_what_is_not_known_is_not_written():
    assert TrialRecord().to_attrs() == {}
    assert TrialRecord(epochs=0, free=True).to_attrs() == {"epochs": 0, "free": True}


@pytest.mark.parametrize(
    ("state", "attrs", "ended_by"),
    [
        (TrialState.COMPLETE, {}, EndedBy.TRAINED),
        (TrialState.PRUNED, {"reason": "pruned after epoch 2"}, EndedBy.PRUNER),
        (TrialState.PRUNED, {}, EndedBy.PRUNER),
        (TrialState.PRUNED, {"reason": "loss not finite in epoch 1"}, EndedBy.DIVERGED),
        (TrialState.PRUNED, {"reason": "out of memory on cuda; use a"}, EndedBy.MEMORY),
        (TrialState.PRUNED, {"reason": "over the limit", "infeasible": "x"}, EndedBy.LIMIT),
        (TrialState.FAIL, {"reason": "ValueError: no"}, EndedBy.ERROR),
        (TrialState.FAIL, {"reason": "5 workers in a row died of it, and ..."}, EndedBy.DEATHS),
        (TrialState.FAIL, {}, EndedBy.ERROR),
        (TrialState.RUNNING, {}, None),
    ],
)
def test_why_a_trial_of_an_older_version_ended_is_read_from_its_words(state, attrs, ended_by):
    values = {"value": 0.5} if state is TrialState.COMPLETE else {}
    trial = optuna.create_trial(state=state, user_attrs=attrs, **values)
    assert TrialRecord.of(trial).ended_by is ended_by


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("key", 1),
        ("epochs", -1),
        ("epochs", 2**63),
        ("seconds", float("nan")),
        ("macs", "many"),
        ("mixed", 1),
        ("free", "yes"),
        ("ended_by", "boredom"),
        ("ended_by", ["pruner"]),
        ("belief", {"expected": 0.5}),
    ],
)
def test_a_value_that_no_search_has_written_is_named(name, value):
    assert TrialRecord.wrong({name: value, "mine": object()}) == name


def test_what_a_study_was_begun_with_is_read_as_it_was_written():
    experiment = small(recipe=Recipe(epochs=2, lr=real(0.01, 1, log=True)), seed=3)
    known = ExperimentRecord.from_json(experiment.record.to_json())
    assert known.to_json() == experiment.record.to_json()
    assert known.search_space == experiment.hyperparameters
    assert known.training == experiment.recipe
    (evaluation,) = experiment.sample(1, seed=0)
    assert next(known.draws(1, seed=0)).key == evaluation.key


def test_a_benchmark_is_known_by_its_table(macro):
    known = nasopt.Experiment.on_benchmark(macro).record
    assert known.is_benchmark
    assert known.epochs == macro.recipe.epochs
    assert known.search_space == macro.space.hyperparameters
    assert ExperimentRecord.from_json(known.to_json()).to_json() == known.to_json()


def test_a_study_without_its_sampler_and_seed_has_them_by_its_name():
    attrs = {
        "experiment": small().record.to_json(), "versions": {}, "limits": [], "pruner": "none",
    }  # fmt: skip
    study = StudyRecord.from_attrs("mine/of/tpe/7", attrs)
    assert (study.sampler, study.seed, study.given_seed) == ("tpe", 7, None)
    with pytest.raises(nasopt.Error, match="seed is not known"):
        _ = StudyRecord.from_attrs("mine", attrs).seed
    assert is_begun(attrs)
    assert not is_begun({"experiment": attrs["experiment"]})


def test_settings_that_last_are_apart_from_those_that_may_change():
    study = StudyRecord(
        name="x/tpe/0",
        experiment=small(space=nasopt.Space(nasopt.Conv(filters=categorical(2, 4)))).record,
        versions={"torch": "2"},
        limits=(),
        pruner="none",
        given_sampler="tpe",
        given_seed=0,
        epochs_budget=8,
    )
    assert study.lasting().keys() == {"experiment", "sampler", "seed"}
    assert study.settings() == {
        "trials": None, "epochs_budget": 8, "limits": [], "pruner": "none",
        "versions": {"torch": "2"},
    }  # fmt: skip


def test_every_attribute_has_one_name():
    for record in (home.TrialRecord, home.StudyRecord):
        names = [*record._attributes()]
        assert len(names) == len(set(names))


def timed(took: float, state: TrialState = TrialState.COMPLETE, **attrs):
    """A trial that ended so many seconds after it had begun."""
    value = None if state is TrialState.RUNNING else 1.0
    trial = optuna.trial.create_trial(state=state, value=value, user_attrs=attrs)
    trial.datetime_start = datetime(2026, 1, 1)
    trial.datetime_complete = trial.datetime_start + timedelta(seconds=took)
    return trial


def test_seconds_that_were_noted_go_before_the_clock():
    running = timed(2.0, TrialState.RUNNING)
    assert seconds_of([timed(2.0), timed(2.0, seconds=7), running]) == [2.0, 7.0, None]
    assert seconds_of([]) == []


@pytest.mark.parametrize(
    "seconds", [0, 0.0, -1.0, math.nan, math.inf, 10**400, None, True, "3", [3]]
)
def test_what_is_no_time_is_not_known(seconds):
    assert seconds_of([timed(2.0, seconds=seconds), timed(3.0)]) == [None, 3.0]


def test_a_pruned_trial_says_nothing_of_a_whole_training():
    assert seconds_of([timed(3.0, TrialState.PRUNED, seconds=3.0)]) == [None]


def test_only_trials_on_the_device_of_the_latest_tell_how_long_one_takes():
    told = [timed(1.0, seconds=9.0, device="cpu"), timed(1.0, seconds=1.0, device="cuda")]
    assert seconds_of(told) == [None, 1.0]
    assert seconds_of([*told, timed(1.0, seconds=0, device="cpu")]) == [None, 1.0, None]
    assert seconds_of([*told, timed(1.0, seconds=8.0, device="cpu")]) == [9.0, None, 8.0]
