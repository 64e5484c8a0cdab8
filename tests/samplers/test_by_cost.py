"""Pruning with two objectives: Optuna's pruners, among the trials that cost no more."""

from collections.abc import Callable

import optuna
import pytest
from optuna.pruners import BasePruner, PatientPruner, ThresholdPruner, WilcoxonPruner
from optuna.trial import TrialState

from nasopt.samplers.by_cost import prunes_by_cost
from nasopt.samplers.pruners import PRUNERS, make_pruner
from nasopt.storage.attributes import REPORTS

pytestmark = pytest.mark.filterwarnings("ignore::optuna.exceptions.ExperimentalWarning")

EPOCHS = 9
TRIALS = 30

MAKERS: dict[str, Callable[[], BasePruner]] = {
    **{name: lambda name=name: make_pruner(name, EPOCHS) for name in PRUNERS},
    "threshold": lambda: ThresholdPruner(lower=0.3),
    "patient": lambda: PatientPruner(make_pruner("median", EPOCHS), patience=1),
    "wilcoxon": lambda: WilcoxonPruner(n_startup_steps=2),
}


def quality(number: int) -> float:
    return number * 13 % TRIALS / TRIALS


def searched(
    pruner: BasePruner,
    cost: Callable[[int], int],
    storage: str | None = None,
    sampler: optuna.samplers.BaseSampler | None = None,
) -> optuna.Study:
    """A study of two objectives, whose trial `number` has `cost(number)`."""
    study = optuna.create_study(
        study_name="same",
        directions=["maximize", "minimize"],
        pruner=pruner,
        storage=storage,
        sampler=sampler,
    )

    def objective(trial: optuna.Trial) -> tuple[float, float]:
        trial.suggest_int("x", 0, 9)
        trial.set_user_attr("macs", cost(trial.number))
        reports: dict[int, float] = {}
        for epoch in range(1, EPOCHS + 1):
            reports[epoch] = quality(trial.number) + epoch / 1000
            if epoch < EPOCHS and prunes_by_cost(trial, "macs", reports):
                trial.set_user_attr(REPORTS, list(reports.values()))
                raise optuna.TrialPruned
        trial.set_user_attr(REPORTS, list(reports.values()))
        return quality(trial.number), cost(trial.number)

    study.optimize(objective, n_trials=TRIALS)
    return study


def of_one_objective(pruner: BasePruner) -> optuna.Study:
    study = optuna.create_study(study_name="same", direction="maximize", pruner=pruner)

    def objective(trial: optuna.Trial) -> float:
        for epoch in range(1, EPOCHS + 1):
            trial.report(quality(trial.number) + epoch / 1000, step=epoch)
            if epoch < EPOCHS and trial.should_prune():
                raise optuna.TrialPruned
        return quality(trial.number)

    study.optimize(objective, n_trials=TRIALS)
    return study


def ends(study: optuna.Study) -> list[tuple[TrialState, int]]:
    return [
        (trial.state, len(trial.user_attrs.get(REPORTS, trial.intermediate_values)))
        for trial in study.trials
    ]


@pytest.mark.parametrize(
    ("name", "kept"), [*((name, False) for name in MAKERS), ("halving", True), ("hyperband", True)]
)
def test_where_all_cost_the_same_a_pruner_decides_as_with_one_objective(name, kept, tmp_path):
    storage = f"sqlite:///{tmp_path}/x.db" if kept else None
    two = ends(searched(MAKERS[name](), lambda number: 5, storage))
    assert two == ends(of_one_objective(MAKERS[name]()))
    assert {state for state, _ in two} <= {TrialState.COMPLETE, TrialState.PRUNED}
    if name not in ("none", "wilcoxon", "patient"):
        assert TrialState.PRUNED in {state for state, _ in two}


@pytest.mark.parametrize("name", MAKERS)
def test_a_trial_is_not_judged_by_those_that_cost_more(name):
    """Each costs less than all before it, so none of them can tell that it is off the front."""
    study = searched(MAKERS[name](), lambda number: TRIALS - number)
    if name != "threshold":  # which compares a trial with no other
        assert {state for state, _ in ends(study)} == {TrialState.COMPLETE}


@pytest.mark.parametrize("name", ["quarter", "median"])
def test_a_trial_is_judged_by_those_that_cost_less(name):
    study = searched(MAKERS[name](), lambda number: number + 1)
    assert ends(study) == ends(of_one_objective(MAKERS[name]()))
    assert TrialState.PRUNED in {state for state, _ in ends(study)}


@pytest.mark.parametrize(
    "sampler",
    [optuna.samplers.TPESampler, optuna.samplers.NSGAIISampler, optuna.samplers.RandomSampler],
)
def test_samplers_of_optuna_go_on_after_pruned_trials(sampler):
    study = searched(make_pruner("median", EPOCHS), lambda number: 5, sampler=sampler(seed=0))
    states = [state for state, _ in ends(study)]
    assert states.count(TrialState.PRUNED) >= 5
    assert states.count(TrialState.COMPLETE) + states.count(TrialState.PRUNED) == TRIALS


def test_a_trial_without_that_cost_is_left_aside():
    study = optuna.create_study(
        directions=["maximize", "minimize"], pruner=optuna.pruners.MedianPruner(n_startup_trials=1)
    )
    study.add_trial(
        optuna.trial.create_trial(values=[0.9, 1], user_attrs={REPORTS: [0.9] * EPOCHS})
    )
    trial = study.ask()
    trial.set_user_attr("macs", 3)
    assert not prunes_by_cost(trial, "macs", {1: 0.1})
    study.add_trial(
        optuna.trial.create_trial(values=[0.9, 1], user_attrs={REPORTS: [0.9] * 9, "macs": 3})
    )
    assert prunes_by_cost(trial, "macs", {1: 0.1})
