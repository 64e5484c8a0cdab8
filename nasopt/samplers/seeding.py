"""`Seeded`: any Optuna sampler, such that a resumed study suggests what the whole one would.

A seeded sampler of Optuna repeats its first suggestions after a restart. Here the generators
inside it are seeded anew for each trial from (seed, trial number), and its draws are tested
against the limits.
"""

import copy
import hashlib
import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from optuna.distributions import BaseDistribution
from optuna.pruners import _filter_study
from optuna.samplers import BaseSampler, GridSampler, NSGAIISampler, RandomSampler, TPESampler
from optuna.samplers._lazy_random_state import LazyRandomState
from optuna.study import Study
from optuna.trial import FrozenTrial, Trial, TrialState

from nasopt.samplers.problem import Problem
from nasopt.samplers.stateless import StatelessSampler
from nasopt.space.fields import RandomTrial
from nasopt.space.limits import Limit
from nasopt.space.model import Cost
from nasopt.storage.attributes import FIXED_PARAMS, GRID_ID
from nasopt.storage.prediction import Prediction

logger = logging.getLogger("nasopt")

DRAWS_PER_TRIAL = 200  # before a trial is given up
# From then on draws are uniform: a sampler that is drawn to the far side of a limit finds none in
# thousands, while a hundred uniform draws fail in .6 % of trials if 5 % of networks are feasible.
SAMPLER_DRAWS_PER_TRIAL = 100
COSTLY_DRAWS_PER_TRIAL = 5  # of samplers that fit a model for each

# For these, seeding the one object anew is exact, and building it anew costs TPE its cached search
# space (43 -> 234 ms a trial at 1,000). GP keeps fitted kernels in its object, so it is built anew.
KEPT = (RandomSampler, TPESampler, NSGAIISampler, StatelessSampler)


@dataclass(frozen=True)
class Proposal:
    """The parameters that a trial is to try.

    `draws` counts the networks drawn until one met the limits. `feasible` is False if none did;
    then `params` are those of the last draw. `prediction` is what the sampler expected of them, if
    it has a model.
    """

    params: dict[str, Any]
    draws: int
    feasible: bool
    prediction: Prediction | None = None


class Seeded(BaseSampler):
    """The sampler that `factory` makes, seeded by (seed, trial number) and kept within limits."""

    def __init__(self, factory: Callable[[], BaseSampler], problem: Problem, seed: int) -> None:
        self.factory = factory
        self.problem = problem
        self.seed = seed
        self._renew()
        self.smallest: dict[str, float] = {}  # quantity of a limit -> least that any draw had

    @property
    def learns_from_earlier(self) -> bool:
        """Whether the sampler goes by what earlier searches have seen."""
        return isinstance(self.inner, StatelessSampler) and self.inner.learns_from_earlier

    def reseed_rng(self) -> None:
        """Do nothing: Optuna means fresh entropy by it, which would lose the seed."""

    def before_trial(self, study: Study, trial: FrozenTrial) -> None:
        # `Study.ask` does so; a worker claims its trials in another way, and without this a sampler
        # would always see the study as it was at first.
        study._thread_local.cached_all_trials = None
        if not isinstance(self.inner, KEPT):
            self._renew()
        self._reseed(trial.number, "before")
        self.inner.before_trial(study, trial)

    def infer_relative_search_space(
        self, study: Study, trial: FrozenTrial
    ) -> dict[str, BaseDistribution]:
        """Return all parameters: those that the inner sampler leaves open are drawn here, too."""
        return dict(self.problem.distributions)

    def sample_relative(
        self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        return self._proposal(study, trial).params

    def propose(self, trial: Trial) -> Proposal:
        """Return what `trial.relative_params` would have, and how it was found."""
        frozen = trial._cached_frozen_trial
        return self._proposal(_filter_study(trial.study, frozen), frozen)

    def _proposal(self, study: Study, trial: FrozenTrial) -> Proposal:
        # read again: `before_trial` may have noted something in it, as GridSampler does
        trial = study._storage.get_trial(trial._trial_id)
        relative_space = self.inner.infer_relative_search_space(study, trial)
        fixed = self._enqueued(trial)
        kept = isinstance(self.inner, KEPT)
        params: dict[str, Any] | None = None
        for attempt in range(DRAWS_PER_TRIAL if kept else COSTLY_DRAWS_PER_TRIAL):
            before = params
            if attempt < SAMPLER_DRAWS_PER_TRIAL:
                params = self._draw(study, trial, relative_space, attempt) | fixed
            else:
                params = self._uniform(trial.number, attempt) | fixed
            feasible = self._is_feasible(params)
            # a sampler that repeats itself will go on to do so; with the kept ones it may be chance
            if feasible or params == fixed or (params == before and not kept):
                break
        assert params is not None
        prediction = None if fixed else getattr(self.inner, "prediction", None)
        return Proposal(params, attempt + 1, feasible, prediction)

    def _enqueued(self, trial: FrozenTrial) -> dict[str, Any]:
        """Return the parameters that `study.enqueue_trial` asked for and the space has."""
        fixed = {}
        for name, value in trial.system_attrs.get(FIXED_PARAMS, {}).items():
            field = self.problem.search_space.get(name)
            if field is not None and value in field:
                fixed[name] = value
            else:
                what = "no such parameter" if field is None else f"not in {field!r}"
                logger.warning(
                    "enqueued trial %d: %s=%r: %s; left to the sampler",
                    trial.number, name, value, what,
                )  # fmt: skip
        return fixed

    def _draw(
        self,
        study: Study,
        trial: FrozenTrial,
        relative_space: dict[str, BaseDistribution],
        attempt: int,
    ) -> dict[str, Any]:
        if isinstance(self.inner, GridSampler) and GRID_ID not in trial.system_attrs:
            return self._uniform(trial.number, attempt)  # an enqueued trial has no point of a grid
        self._reseed(trial.number, "relative", attempt)
        relative = self.inner.sample_relative(study, trial, relative_space)
        trial = copy.copy(trial)  # it shows what it has already, as in `Trial.suggest_...`
        trial.params, trial.distributions = {}, {}
        params = trial.params
        for name, distribution in self.problem.distributions.items():
            if name in relative:
                params[name] = relative[name]
            elif distribution.single():  # as in `Trial.suggest_...`: here TPE would give NaN
                params[name] = self.problem.search_space[name].boundary_values[0]
            else:
                self._reseed(trial.number, "param", name, attempt)
                params[name] = self.inner.sample_independent(study, trial, name, distribution)
            trial.distributions[name] = distribution
        return params

    def _uniform(self, *coordinates: int) -> dict[str, Any]:
        dice = RandomTrial(self._seed("uniform", *coordinates))
        return {name: each.suggest(dice, name) for name, each in self.problem.search_space.items()}

    def _is_feasible(self, params: dict[str, Any]) -> bool:
        if not self.problem.limits:
            return True
        cost: Cost = self.problem.cost(self.problem.decode(params))
        known = self.problem.known_limits
        measured = [limit for limit in self.problem.limits if limit.is_measured]
        return all(  # what has to be measured is so only of what is within the others
            self._are_met(limits, cost) for limits in (known, measured)
        )

    def _are_met(self, limits: Sequence[Limit], cost: Cost) -> bool:
        for limit in limits:
            amount = getattr(cost, limit.quantity)
            least = self.smallest.get(limit.quantity, amount)
            self.smallest[limit.quantity] = min(least, amount)
        return all(limit.violation(cost) <= 0 for limit in limits)

    def sample_independent(
        self, study: Study, trial: FrozenTrial, param_name: str, param_distribution: Any
    ) -> Any:
        self._reseed(trial.number, "param", param_name, 0)
        return self.inner.sample_independent(study, trial, param_name, param_distribution)

    def after_trial(
        self, study: Study, trial: FrozenTrial, state: TrialState, values: Sequence[float] | None
    ) -> None:
        self._reseed(trial.number, "after")
        with stoppable(study):  # GridSampler and BruteForceSampler stop it
            self.inner.after_trial(study, trial, state, values)

    def has_stopped(self, study: Study) -> bool:
        """Return whether the inner sampler has asked for the end of the study."""
        return study._stop_flag

    def _renew(self) -> None:
        self.inner = self.factory()
        self._states = list(_random_states(self.inner, set()))

    def _reseed(self, *coordinates: int | str) -> None:
        for index, state in enumerate(self._states):
            state.rng.seed(self._seed(*coordinates, index))

    def _seed(self, *coordinates: int | str) -> int:
        key = repr((self.seed, *coordinates)).encode()
        return int.from_bytes(hashlib.blake2b(key, digest_size=4).digest(), "big")


def _random_states(value: Any, seen: set[int]) -> Iterator[LazyRandomState]:
    """Yield every generator inside a sampler, each once, in an order that does not change."""
    if id(value) in seen:
        return
    seen.add(id(value))
    if isinstance(value, LazyRandomState):
        yield value
    elif isinstance(value, dict):
        for each in value.values():
            yield from _random_states(each, seen)
    elif isinstance(value, list | tuple):
        for each in value:
            yield from _random_states(each, seen)
    elif isinstance(value, BaseSampler) or type(value).__module__.startswith("optuna."):
        for _, each in sorted(vars(value).items() if hasattr(value, "__dict__") else ()):
            yield from _random_states(each, seen)


@contextmanager
def stoppable(study: Study) -> Iterator[None]:
    """Let `Study.stop` be called within the block, as `Study.optimize` does."""
    study._thread_local.in_optimize_loop = True
    try:
        yield
    finally:
        study._thread_local.in_optimize_loop = False
