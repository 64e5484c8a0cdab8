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
from nasopt.storage.attributes import CONTINUES, FIXED_PARAMS, FREE

# System attribute of a trial that is not to be pruned: the number of the pruned trial that it goes
# on with, or its own where there is none left.


class OneEpoch(RandomSampler, BasePruner):
    """A random sampler that is its own pruner.

    The first `looks` networks are pruned after one epoch; then the one that was the most accurate
    goes on to its end, and the next, for as long as there are trials. A trial notes the one that it
    goes on with, so the study is the only state. Repeats, which are free, do not count as looks. A
    study that is given more trials later looks at more networks first.
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
        if FIXED_PARAMS in trial.system_attrs:  # enqueued: looked at like any other
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
    """Return the sampler for a study of `problem`.

    Raises Unsuitable if a training has a single epoch, or if there are two objectives: the most
    accurate networks, which are trained in full, are not those of a front.
    """
    if problem.epochs < 2:
        raise Unsuitable(
            "sampler='one-epoch': a training has one epoch here, so nothing is left to go on with; "
            "choose another sampler"
        )
    if len(problem.directions) > 1:
        raise Unsuitable(
            "sampler='one-epoch': it goes on with the most accurate networks, which with two "
            "objectives are not all that is sought; choose another sampler"
        )
    trials = problem.trials
    if problem.epochs_budget is not None:
        trials = longest(problem.epochs_budget, problem.epochs)
    return OneEpoch(looks(trials), seed)


def looks(trials: int) -> int:
    """Return how many trials look at a network for one epoch: trials - floor(sqrt(trials)).

    The others are trained in full: of 40 trials 34 are looks and 6 trainings, of 200 186 and 14.
    Half of the trials would train networks that an epoch has shown to be poor; a fixed number would
    rely ever more on the values of one epoch.
    """
    return trials - isqrt(trials)


def longest(epochs_budget: int, epochs: int) -> int:
    """Return the most trials whose looks and trainings fit `epochs_budget`; at least 1.

    A training has `epochs` epochs.
    """
    trials = 1
    while looks(trials + 1) + isqrt(trials + 1) * (epochs - 1) <= epochs_budget:
        trials += 1
    return trials
