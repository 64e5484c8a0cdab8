"""`OneEpoch`: many networks trained for one epoch, the best few of them in full.

A baseline that asks how much of a search an early look would have done.
"""

from math import isqrt
from typing import Any

from optuna.distributions import BaseDistribution
from optuna.pruners import BasePruner
from optuna.samplers import RandomSampler
from optuna.study import Study, StudyDirection
from optuna.trial import FrozenTrial

from nasopt.errors import Unsuitable
from nasopt.samplers.problem import Problem
from nasopt.storage.rdb import FREE

# System attribute of a trial that is not to be pruned: the number of the pruned trial that it goes
# on with, or its own where there is none left.
CONTINUES = "nasopt:continues"


class OneEpoch(RandomSampler, BasePruner):
    """Random sampling that is its own pruner.

    The first `looks` networks are pruned after one epoch; then the one that was the most accurate
    goes on to its end, and the next, for as long as there are trials. What a trial goes on with is
    noted in it, so the study is the only state. Repeats, which are free, are no looks. A study that
    is given more trials later looks at more networks first.
    """

    def __init__(self, looks: int, seed: int | None = None) -> None:
        super().__init__(seed)
        self.looks = looks

    def before_trial(self, study: Study, trial: FrozenTrial) -> None:
        super().before_trial(study, trial)
        if trial.params:  # it was begun in an earlier life
            return
        other = self._goes_on_with(study, trial)
        if other != trial.system_attrs.get(CONTINUES):
            study._storage.set_trial_system_attr(trial._trial_id, CONTINUES, other)

    def _goes_on_with(self, study: Study, trial: FrozenTrial) -> int | None:
        if "fixed_params" in trial.system_attrs:  # enqueued: looked at like any other
            return None
        others = [t for t in _trials(study) if t.number != trial.number]
        taken = {t.system_attrs.get(CONTINUES) for t in others}
        looks = [
            t for t in others if FREE not in t.user_attrs and t.system_attrs.get(CONTINUES) is None
        ]
        if len(looks) < self.looks:
            return None
        sign = -1 if study.direction == StudyDirection.MINIMIZE else 1
        left = [t for t in looks if t.state.is_finished() and t.values and t.number not in taken]
        best = max(left, key=lambda t: (sign * t.values[0], -t.number), default=trial)
        return best.number

    def infer_relative_search_space(
        self, study: Study, trial: FrozenTrial
    ) -> dict[str, BaseDistribution]:
        number = trial.system_attrs.get(CONTINUES)
        if number is None or number == trial.number:
            return {}
        distributions: dict[str, BaseDistribution] = _trials(study)[number].distributions
        return distributions

    def sample_relative(
        self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        if not search_space:
            return {}
        params: dict[str, Any] = _trials(study)[trial.system_attrs[CONTINUES]].params
        return params

    def prune(self, study: Study, trial: FrozenTrial) -> bool:
        return trial.last_step == 1 and trial.system_attrs.get(CONTINUES) is None


def _trials(study: Study) -> list[FrozenTrial]:
    return study.get_trials(deepcopy=False)


def one_epoch(problem: Problem, seed: int) -> OneEpoch:
    """The sampler for a study of `problem`.

    Raises Unsuitable where a training has a single epoch, or there are two objectives: those are
    never pruned.
    """
    if problem.epochs < 2:
        raise Unsuitable(
            "sampler='one-epoch': a training has one epoch here, so nothing is left to go on with; "
            "choose another sampler"
        )
    if len(problem.directions) > 1:
        raise Unsuitable(
            "sampler='one-epoch': with two objectives nothing is pruned; choose another sampler"
        )
    trials = problem.trials
    if problem.epochs_budget is not None:
        trials = longest(problem.epochs_budget, problem.epochs)
    return OneEpoch(looks(trials), seed)


def looks(trials: int) -> int:
    """How many of a study's trials look at a network for one epoch: trials - floor(sqrt(trials)).

    The square root are trained in full: 34 looks and 6 trainings of 40 trials, 186 and 14 of 200.
    Half of the trials would train networks that an epoch has shown to be poor; a fixed number would
    lean ever more on one epoch's verdict.
    """
    return trials - isqrt(trials)


def longest(epochs_budget: int, epochs: int) -> int:
    """The most trials whose looks and trainings of `epochs` fit `epochs_budget`; at least 1."""
    trials = 1
    while looks(trials + 1) + isqrt(trials + 1) * (epochs - 1) <= epochs_budget:
        trials += 1
    return trials
