"""`StatelessSampler`: the base of samplers whose only state is the study."""

import logging
from dataclasses import replace
from threading import Lock
from typing import Any

import numpy as np
from numpy.random import RandomState
from numpy.typing import NDArray
from optuna.distributions import BaseDistribution
from optuna.samplers import BaseSampler, PartialFixedSampler
from optuna.samplers._lazy_random_state import LazyRandomState
from optuna.study import Study, StudyDirection
from optuna.trial import FrozenTrial, TrialState

from nasopt.errors import SpaceError, Unsuitable
from nasopt.samplers.baselines.largest import Lattice
from nasopt.samplers.points.axes import Axes
from nasopt.samplers.points.conditions import search_space
from nasopt.samplers.points.domain import Domain
from nasopt.samplers.points.history import FEW_POINTS, History, other_trials
from nasopt.samplers.problem import Problem
from nasopt.storage.attributes import FIXED_PARAMS

Floats = NDArray[np.float64]

logger = logging.getLogger("nasopt")


class StatelessSampler(BaseSampler):
    """A sampler of points that are in no trial of the study, chosen by `suggest` of a subclass.

    In plain Optuna the parameters are those that any trial has asked for; a `problem` knows them
    beforehand, and more. Once all points are known, the sampler stops the study.
    """

    learns_from_earlier = False  # searches, by the record of them that a study keeps

    def __init__(self, *, seed: int | None = None, problem: Problem | None = None) -> None:
        self._rng = LazyRandomState(seed)
        self._problem: Problem | None = None
        self._domain: Domain | None = None
        self._at_a_loss: set[int] = set()  # numbers of running trials for which nothing was new
        self._suggested: dict[int, dict[str, Any]] = {}  # to running trials, by number
        self._study: tuple[int, int] | None = None  # the study of those trials
        self._lock = Lock()  # of threads that share the sampler
        if problem is not None:
            self.take(problem)

    @property
    def has_problem(self) -> bool:
        return self._problem is not None

    def take(self, problem: Problem) -> None:
        """Seek the objectives of `problem`, with all that it knows; raise Unsuitable if it cannot.

        It is for a sampler that was made without.
        """
        self._problem = problem
        self.check_objectives(len(problem.directions))

    def suggest(
        self, study: Study, trial: FrozenTrial, history: History, rng: RandomState
    ) -> Floats | None:
        """Return a point for `trial`, or None if all are known; `history` has all other trials."""
        raise NotImplementedError

    def make_domain(self, search_space: dict[str, BaseDistribution]) -> Domain:
        return Domain(search_space, self._problem)

    def check_objectives(self, objectives: int) -> None:
        """Raise Unsuitable if there are more objectives than this sampler can handle."""
        if objectives > 1:
            raise Unsuitable(
                f"objectives: {objectives}, but {type(self).__name__} seeks one; use nsga2 or tpe"
            )

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in vars(self).items() if name != "_lock"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state, _lock=Lock())

    def reseed_rng(self) -> None:
        self._rng.rng.seed()

    def infer_relative_search_space(
        self, study: Study, trial: FrozenTrial
    ) -> dict[str, BaseDistribution]:
        """Return all parameters that any trial has asked for, with the ranges of the last ones."""
        if self._problem is not None:
            return dict(self._problem.distributions)
        return search_space(other_trials(study, trial))

    def sample_relative(
        self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        self.check_objectives(len(study.directions))
        if not search_space:
            return {}
        whole = self.infer_relative_search_space(study, trial)
        held = {
            name: value
            for name, value in held_fast(study.sampler).items()
            if name in whole.keys() - search_space.keys()
        }
        with self._lock:
            study_now = id(study._storage), study._study_id
            if study_now != self._study:  # the sampler may serve one study after the other
                self._study = study_now
                self._suggested.clear()
                self._at_a_loss.clear()
            params = self._suggested[trial.number] = self._new(study, trial, whole, held)
        return {name: value for name, value in params.items() if name in search_space}

    def _new(
        self,
        study: Study,
        trial: FrozenTrial,
        search_space: dict[str, BaseDistribution],
        held: dict[str, Any],
    ) -> dict[str, Any]:
        """Return the parameters to try, beside those that a wrapper has `held` fast.

        Points that other threads were told, and have not written down yet, are known as well.
        """
        domain = self._domain
        if domain is None or domain.axes.distributions != search_space:
            domain = self._domain = self.make_domain(search_space)
        rng = self._rng.rng
        others = other_trials(study, trial)
        for other in others:
            if other.state.is_finished():
                self._suggested.pop(other.number, None)
        fixed = trial.system_attrs.get(FIXED_PARAMS, {})
        history = History(domain, others, self._suggested, {**held, **fixed})
        point = self.suggest(study, trial, history, rng)
        if point is None and not history.observed:
            point = self._within_limits(history, rng)
        if point is None and fixed:
            point = domain.random(1, rng)[0]
        if point is None:
            logger.warning("%s: every point of the space is known", type(self).__name__)
            self._at_a_loss.add(trial.number)
            point = domain.random(1, rng)[0]
        return domain.axes.decode(point)

    def _within_limits(self, history: History, rng: RandomState) -> Floats | None:
        """Return a new network within limits that thousands of random ones do not meet.

        It is found on the way down from the largest. Return None if there are no limits, or if the
        network is not new.

        Raises SpaceError if no network is within the limits.
        """
        if self._problem is None or not self._problem.known_limits:
            return None
        lattice = Lattice(replace(self._problem, limits=self._problem.known_limits))
        if lattice.network_at(lattice.start).excess > 0:
            raise SpaceError(lattice.no_feasible_network())
        axes = history.domain.axes
        params = axes.decode(axes.draw(1, rng)[0]) | lattice.params(lattice.start)
        encoded = history.novel(history.encode(axes.encode([params])))
        return history.first_new(encoded, range(len(encoded)))

    def sample_independent(
        self,
        study: Study,
        trial: FrozenTrial,
        param_name: str,
        param_distribution: BaseDistribution,
    ) -> Any:
        """Return a random value, or the nearest new one to a suggestion that is out of range."""
        axes = Axes({param_name: param_distribution})
        suggested = axes.encode([self._suggested.get(trial.number, {})])
        if np.isfinite(suggested[0, 0]):
            others = other_trials(study, trial)
            points = axes.nearest(suggested)
            if axes.count <= FEW_POINTS:  # else no two are alike
                points = axes.everything()
                points = points[np.argsort(abs(points - suggested)[:, 0], kind="stable")]
            for point in points:
                nearest = axes.decode(point)
                so_far = {**trial.params, **nearest}.items()
                if not any(so_far <= other.params.items() for other in others):
                    return nearest[param_name]
        return axes.decode(axes.draw(1, self._rng.rng)[0])[param_name]

    def after_trial(self, study: Study, trial: FrozenTrial, state: TrialState, values: Any) -> None:
        self._suggested.pop(trial.number, None)
        if trial.number in self._at_a_loss:
            self._at_a_loss.discard(trial.number)
            if self._domain is not None and trial.params.keys() - self._domain.axes.axes.keys():
                return  # it asked for more than was known of the space
            whole = getattr(study, "_study", study)  # Hyperband shows one of its brackets
            if whole._thread_local.in_optimize_loop:  # with ask and tell there is nothing to stop
                whole.stop()


def held_fast(sampler: BaseSampler) -> dict[str, Any]:
    """Return the parameters that a PartialFixedSampler has fixed around others, with values."""
    if isinstance(sampler, PartialFixedSampler):
        return {**held_fast(sampler._base_sampler), **sampler._fixed_params}
    inner = getattr(sampler, "inner", None)  # of one that is seeded trial by trial
    return held_fast(inner) if isinstance(inner, BaseSampler) else {}


def sign_of(study: Study) -> int:
    """Return 1 if more is better for the first objective, else -1."""
    return -1 if study.directions[0] is StudyDirection.MINIMIZE else 1
