"""TPE that remembers suggests what Optuna's does, bit for bit, in every kind of study."""

from collections.abc import Callable
from typing import Any

import optuna
import pytest
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from optuna.samplers import BaseSampler, TPESampler
from optuna.trial import TrialState

from nasopt.samplers import Seeded, make_sampler
from nasopt.samplers.tpe import RememberingTPESampler
from tests.samplers.driving import LIMITS, SEED, driven, problem

COMPLETE, PRUNED, FAIL = TrialState.COMPLETE, TrialState.PRUNED, TrialState.FAIL
MULTIVARIATE = pytest.mark.parametrize("multivariate", [None, False])

Drive = Callable[[optuna.Study], None]


def suggestions(sampler: BaseSampler, drive: Drive, **study: Any) -> list[dict[str, Any]]:
    created = optuna.create_study(sampler=sampler, **study)
    drive(created)
    return [trial.params for trial in created.get_trials(deepcopy=False)]


def assert_as_stock(drive: Drive, multivariate: bool | None, **study: Any) -> list[dict[str, Any]]:
    """Drive a study by either sampler; the suggestions, which are the same."""
    stock = suggestions(TPESampler(seed=SEED, multivariate=multivariate), drive, **study)
    ours = suggestions(RememberingTPESampler(seed=SEED, multivariate=multivariate), drive, **study)
    assert ours == stock
    assert [list(params) for params in ours] == [list(params) for params in stock]
    return ours


def suggest(trial: optuna.Trial) -> float:
    """A value for parameters of all kinds."""
    value = trial.suggest_float("x", -1, 1) ** 2
    value += abs(trial.suggest_float("lr", 1e-4, 1, log=True) - 0.01)
    value += abs(trial.suggest_float("momentum", 0, 1, step=0.1) - 0.9)
    value += abs(trial.suggest_int("width", 4, 64, log=True) - 20) / 60
    value += abs(trial.suggest_int("depth", 1, 9, step=2) - 5)
    value += trial.suggest_categorical("op", ("conv", None, True, 3, 0.5)) is not None
    trial.suggest_categorical("one", ("only",))
    return value


@MULTIVARIATE
@pytest.mark.parametrize("direction", ["minimize", "maximize"])
def test_a_study_of_complete_trials(multivariate, direction):
    def drive(study: optuna.Study) -> None:
        study.optimize(suggest, n_trials=40)

    suggested = assert_as_stock(drive, multivariate, direction=direction)
    assert len({params["x"] for params in suggested}) == 40


@MULTIVARIATE
def test_trials_that_were_pruned_or_failed_or_are_infeasible(multivariate):
    def drive(study: optuna.Study) -> None:
        for number in range(45):
            trial = study.ask()
            value = suggest(trial)
            trial.set_constraint("width", trial.params["width"] - 30)
            trial.set_constraint("depth", trial.params["depth"] - 6)
            for step in range(number % 4):
                trial.report(float("nan") if number == 15 else value + step, step)
            state = PRUNED if number % 5 in (0, 2) else FAIL if number % 7 == 3 else COMPLETE
            study.tell(trial, value if state is COMPLETE else None, state)

    assert_as_stock(drive, multivariate)


@MULTIVARIATE
def test_trials_of_other_workers_that_run_and_have_parameters_or_not_yet(multivariate):
    """At any length of the study: the newest trial is always one without a parameter."""

    def drive(study: optuna.Study) -> None:
        running = []
        for _ in range(45):
            mine, other = study.ask(), study.ask()
            running.append((mine, suggest(mine)))
            study.ask() if mine.number % 9 == 0 else None  # never heard of again
            running.append((other, suggest(other)))
            if len(running) > 5:  # they end in another order than they began
                for place in (3, 0):
                    study.tell(*running.pop(place))

    assert len(assert_as_stock(drive, multivariate)) > 64


@MULTIVARIATE
def test_a_running_trial_that_has_a_part_of_its_parameters(multivariate):
    def drive(study: optuna.Study) -> None:
        study.ask().suggest_float("x", -1, 1)  # at random, so that no more of it is known
        study.optimize(suggest, n_trials=16)

    assert_as_stock(drive, multivariate)


@MULTIVARIATE
def test_trials_that_are_asked_for_together(multivariate):
    def drive(study: optuna.Study) -> None:
        for _ in range(8):
            batch = [study.ask() for _ in range(4)]
            values = [suggest(trial) for trial in batch]
            for trial, value in zip(batch, values, strict=True):
                study.tell(trial, value)

    assert_as_stock(drive, multivariate)


@MULTIVARIATE
def test_a_trial_that_begins_again_is_fitted_to_what_is_known_by_then(multivariate):
    """One given back and claimed again by the worker that had begun it."""
    distributions: dict[str, BaseDistribution] = {"x": FloatDistribution(-1, 1)}

    def drive(study: optuna.Study) -> None:
        study.optimize(lambda trial: trial.suggest_float("x", -1, 1) ** 2, n_trials=15)
        begun = optuna.Trial(study, study._storage.create_new_trial(study._study_id))
        study.sampler._sample(study, begun._cached_frozen_trial, distributions)
        for number in range(9):
            params = {"x": 0.9 + number / 100}
            trial = optuna.create_trial(value=-1, params=params, distributions=distributions)
            study.add_trial(trial)
        study._thread_local.cached_all_trials = None
        again = optuna.Trial(study, begun._trial_id)
        assert again.suggest_float("x", -1, 1) > 0.5

    assert_as_stock(drive, multivariate)


@MULTIVARIATE
@pytest.mark.parametrize("trials", [70, 150])
def test_a_parameter_that_is_there_at_times(multivariate, trials):
    """One only at first, one only at the end, one now and then, one whose range grows."""

    def objective(trial: optuna.Trial) -> float:
        value = trial.suggest_float("x", -1, 1) ** 2
        value += trial.suggest_int("grows", 0, 5 + trial.number // 20)
        if trial.number < 40 or trial.number == trials - 1:
            value += trial.suggest_int("first", 0, 9)
        if trial.number > trials - 20:
            value += trial.suggest_categorical("last", (1, 2))
        if trial.number % 3 == 0:
            value += trial.suggest_float("often", 0, 1)
        return value

    def drive(study: optuna.Study) -> None:
        study.optimize(objective, n_trials=trials)

    assert_as_stock(drive, multivariate)


@MULTIVARIATE
def test_trials_without_a_parameter_in_common(multivariate):
    def objective(trial: optuna.Trial) -> float:
        return trial.suggest_float("a" if trial.number < 12 else "b", 0, 1)

    def drive(study: optuna.Study) -> None:
        study.optimize(lambda trial: 1.0, n_trials=11)
        study.optimize(objective, n_trials=15)

    assert_as_stock(drive, multivariate)


@pytest.mark.parametrize("multivariate", [None, False, True])
def test_several_objectives(multivariate):
    def drive(study: optuna.Study) -> None:
        study.optimize(lambda trial: (suggest(trial), trial.params["width"]), n_trials=30)

    assert_as_stock(drive, multivariate, directions=["maximize", "minimize"])


@MULTIVARIATE
def test_a_study_that_a_new_object_continues(multivariate):
    """The first trials that it sees are many at once, and the newest of them the first."""

    def drive(study: optuna.Study) -> None:
        for _ in range(4):
            study.optimize(suggest, n_trials=20)
            study.sampler = type(study.sampler)(seed=SEED, multivariate=multivariate)

    assert_as_stock(drive, multivariate)


@MULTIVARIATE
def test_what_was_enqueued_or_added(multivariate):
    distributions: dict[str, BaseDistribution] = {
        "width": IntDistribution(4, 64, log=True),
        "op": CategoricalDistribution(("conv", None, True, 3, 0.5)),
    }

    def drive(study: optuna.Study) -> None:
        for number in range(12):
            study.enqueue_trial({"width": 4 + number, "op": None})
            params = {"width": 4 + 5 * number, "op": True}
            trial = optuna.create_trial(value=1, params=params, distributions=distributions)
            study.add_trial(trial)
        study.optimize(suggest, n_trials=20)

    assert_as_stock(drive, multivariate)


@pytest.mark.parametrize(("name", "multivariate"), [("tpe", None), ("tpe-univariate", False)])
def test_seeded_trial_by_trial_and_within_limits(name, multivariate):
    """Several draws of a trial are of one fit."""

    def stock() -> Seeded:
        return Seeded(
            lambda: TPESampler(seed=SEED, multivariate=multivariate), problem(LIMITS), SEED
        )

    ours = driven(lambda: make_sampler(name, problem(LIMITS), SEED), 15, restart_every=13)
    assert ours == driven(stock, 15, restart_every=13)
