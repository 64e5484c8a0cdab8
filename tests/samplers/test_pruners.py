"""Pruners by name: all of them run a study, and the careful one prunes only what is worst."""

import warnings

import optuna
import pytest
import sqlalchemy as sa
from hypothesis import given, settings
from hypothesis import strategies as st
from optuna.distributions import FloatDistribution
from optuna.pruners import (
    BasePruner,
    HyperbandPruner,
    MedianPruner,
    NopPruner,
    PatientPruner,
    PercentilePruner,
)
from optuna.trial import TrialState

from nasopt.errors import StudyError
from nasopt.samplers.pruners import PRUNERS, make_pruner, pruner_name


@pytest.mark.parametrize("name", sorted(PRUNERS))
@pytest.mark.parametrize("epochs", [1, 2, 9, 30])
def test_every_pruner_runs_a_study(name, epochs):
    study = optuna.create_study(direction="maximize", pruner=make_pruner(name, epochs))

    def objective(trial: optuna.Trial) -> float:
        quality = trial.number * 13 % 20 / 20
        for epoch in range(1, epochs + 1):
            trial.report(quality + epoch / 1000, step=epoch)
            if epoch < epochs and trial.should_prune():
                raise optuna.TrialPruned
        return quality

    study.optimize(objective, n_trials=20)
    states = {trial.state for trial in study.trials}
    assert states <= {TrialState.COMPLETE, TrialState.PRUNED}
    assert study.best_value == 0.95  # the best is never pruned
    if name == "none" or epochs == 1:
        assert states == {TrialState.COMPLETE}
    elif epochs >= 9:
        assert states == {TrialState.COMPLETE, TrialState.PRUNED}


@pytest.mark.parametrize("name", sorted(set(PRUNERS) - {"none"}))
def test_a_new_pruner_object_decides_as_the_old_one(name):
    """A resumed study has a new one."""

    def pruned(renew: bool) -> list[list[int]]:
        pruner = make_pruner(name, 9)
        study = optuna.create_study(direction="maximize", study_name="same", pruner=pruner)
        steps = []
        for number in range(24):
            if renew:
                study.pruner = make_pruner(name, 9)
            trial = study.ask()
            steps.append([])
            for epoch in range(1, 10):
                trial.report(number * 7 % 24 / 24, step=epoch)
                if epoch < 9 and trial.should_prune():
                    break
                steps[-1].append(epoch)
            state = TrialState.COMPLETE if len(steps[-1]) == 9 else TrialState.PRUNED
            value = 0.5 if state is TrialState.COMPLETE else None
            study.tell(trial, value, state=state)
        return steps

    assert pruned(renew=False) == pruned(renew=True)


def verdicts(complete: int, accuracy: float, epochs: int = 9) -> list[int]:
    """The epochs after which "quarter" would prune a trial that stays at `accuracy`.

    It comes after `complete` trials that stayed at .1, .2, ..., 1, and so again.
    """
    study = optuna.create_study(direction="maximize", pruner=make_pruner("quarter", epochs))
    for number in range(complete):
        value = (number % 10 + 1) / 10
        reports = dict.fromkeys(range(1, epochs + 1), value)
        study.add_trial(
            optuna.create_trial(
                value=value,
                intermediate_values=reports,
                params={"x": value},
                distributions={"x": FloatDistribution(0, 1)},
            )
        )
    trial = study.ask()
    pruning = []
    for epoch in range(1, epochs + 1):
        trial.report(accuracy, step=epoch)
        if trial.should_prune():
            pruning.append(epoch)
    return pruning


@pytest.mark.parametrize(
    ("accuracy", "is_pruned"), [(0.05, True), (0.32, True), (0.33, False), (0.5, False), (2, False)]
)
def test_quarter_prunes_what_is_below_the_lowest_quarter_of_the_others(accuracy, is_pruned):
    quartile = 0.3 + 0.25 * (0.4 - 0.3)  # of .1, .2, ..., 1: a quarter of the way from 3rd to 4th
    assert (accuracy < quartile) == is_pruned
    assert bool(verdicts(10, accuracy)) == is_pruned


def test_quarter_waits_for_ten_complete_trials():
    assert verdicts(9, 0.0) == []
    assert verdicts(10, 0.0) != []


@pytest.mark.parametrize(
    ("epochs", "asked"),
    [(9, [3, 6, 9]), (10, [4, 8]), (12, [4, 8, 12]), (4, [2, 4]), (2, [2]), (1, [])],
)
def test_quarter_decides_after_each_third_of_the_epochs_and_never_before(epochs, asked):
    assert verdicts(10, 0.0, epochs) == asked


def test_a_name_that_is_unknown_is_refused_with_the_remedy():
    with pytest.raises(StudyError) as raised:
        make_pruner("medain", 9)
    assert str(raised.value) == "pruner='medain': unknown; did you mean median?"
    with pytest.raises(StudyError) as raised:
        make_pruner("xyz", 9)
    assert str(raised.value) == (
        "pruner='xyz': unknown; choose from halving, hyperband, median, none, quarter, surrogate"
    )


def test_something_that_is_no_pruner_is_refused():
    with pytest.raises(StudyError, match=r"^pruner=3: unknown; choose from halving"):
        make_pruner(3, 9)


def test_a_pruner_object_is_used_as_it_is():
    pruner: BasePruner = PercentilePruner(50.0)
    assert make_pruner(pruner, 9) is pruner


def test_a_pruner_is_called_by_its_name_or_its_class_and_settings():
    assert pruner_name("quarter") == "quarter"
    assert pruner_name(NopPruner()) == "NopPruner()"
    assert "n_startup_trials=7" in pruner_name(MedianPruner(n_startup_trials=7))
    assert (
        pruner_name(MedianPruner(7)) == pruner_name(MedianPruner(7)) != pruner_name(MedianPruner(8))
    )


def test_the_name_of_a_pruner_object_is_the_same_in_every_process_and_after_its_use():
    """It is written into the study, and a difference is warned of."""
    with pytest.warns(optuna.exceptions.ExperimentalWarning):
        patient = PatientPruner(MedianPruner(7), patience=2)
    for pruner in (patient, HyperbandPruner(1, 9)):
        name = pruner_name(pruner)
        assert " at 0x" not in name
        study = optuna.create_study(pruner=pruner)
        trial = study.ask()
        trial.report(0.5, step=1)
        trial.should_prune()
        assert pruner_name(pruner) == name


@settings(max_examples=50)
@given(
    st.integers(1, 12),
    st.sampled_from(["minimize", "maximize"]),
    st.lists(st.sampled_from([0.0, 0.25, 0.5, 0.75, 1.0, float("nan")]), min_size=1, max_size=12),
    st.integers(0, 14),
)
def test_quarter_decides_as_the_percentile_of_optuna_after_every_epoch(
    epochs, direction, values, complete
):
    third = max(2, -(-epochs // 3))
    stock = PercentilePruner(75.0, 10, n_warmup_steps=third, interval_steps=third)
    ours = make_pruner("quarter", epochs)
    study = optuna.create_study(direction=direction)
    for number in range(complete):
        reports = {step: number * step % 7 / 7 for step in range(1, epochs + 1)}
        study.add_trial(optuna.create_trial(value=0.5, intermediate_values=reports))
    trial = optuna.create_trial(state=TrialState.RUNNING)
    assert not ours.prune(study, trial)
    for step, value in enumerate(values, start=1):
        trial.intermediate_values[step] = value
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)  # NumPy's, of reports that are all NaN
            assert ours.prune(study, trial) == stock.prune(study, trial)


def test_quarter_reads_the_study_only_where_it_decides(tmp_path):
    study = optuna.create_study(storage=f"sqlite:///{tmp_path / 'x.db'}")
    read = []
    pruner, trial = make_pruner("quarter", 9), optuna.create_trial(state=TrialState.RUNNING)
    engine = study._storage._backend.engine
    sa.event.listen(engine, "before_cursor_execute", lambda *_: read.append(trial.last_step))
    for step in range(1, 10):
        trial.intermediate_values[step] = 0.5
        pruner.prune(study, trial)
    assert set(read) == {3, 6, 9}
