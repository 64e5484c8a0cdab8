"""`SurrogateSampler`: a Gaussian process on networks says which one to train next."""

import hashlib
import warnings
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.random import RandomState
from numpy.typing import NDArray
from optuna.distributions import BaseDistribution
from optuna.samplers import BaseSampler
from optuna.samplers._lazy_random_state import LazyRandomState
from optuna.study import Study, StudyDirection
from optuna.trial import FrozenTrial

from nasopt.problem import Problem
from nasopt.samplers.domain import Domain, Features, Known, Look
from nasopt.samplers.observations import (
    is_complete,
    is_feasible,
    normal_scores,
    observe,
    winsorised,
)

if TYPE_CHECKING:
    from nasopt.samplers.gaussian_process import Kernel, Posterior

Floats = NDArray[np.float64]

FIRST = 5  # trials that are spread out before a model is asked
LEAST_COMPLETE = 3
SPREAD = 50  # random points of which one is chosen then
PARENTS = 8
NEIGHBOURS = 60  # at most, of each point
MUTANTS, MUTANTS_OF_TWO, RANDOM = 160, 80, 200
CROSSED = 0.3  # share of mutants
MOST_MUTATIONS = 4
CLIMBS = 4  # rounds, each of
CLIMBERS = 3  # points
OPTIMISM = 2.0  # deviations above the mean
FITTED, FITTED_BEST = 250, 83  # observations that a kernel is fitted to, so many the best of all
REMEMBERED = 8  # fits


class SurrogateSampler(BaseSampler):
    """Suggests what a Gaussian process believes best, for few and costly trials.

        study = optuna.create_study(sampler=SurrogateSampler(seed=0), direction="maximize")

    For spaces of any parameters, with conditional ones, too. `features` gives a few numbers of a
    trial's parameters that its value may depend on (the size of a network, say), always as many.
    A `problem` knows more: what a network costs, which parameters have an effect, limits.

    Its state is the study: it is fitted anew where the number of trials has grown by a tenth, and
    what it remembers changes no suggestion.
    """

    def __init__(
        self,
        *,
        seed: int | None = None,
        features: Features | None = None,
        problem: Problem | None = None,
    ) -> None:
        self._rng = LazyRandomState(seed)
        self._features = features
        self._problem = problem
        self._domain: Domain | None = None
        self._kernels: dict[bytes, Kernel] = {}  # by what they were fitted to

    def reseed_rng(self) -> None:
        self._rng.rng.seed()

    def infer_relative_search_space(
        self, study: Study, trial: FrozenTrial
    ) -> dict[str, BaseDistribution]:
        """All parameters that any trial has asked for, as the last of them did."""
        if self._problem is not None:
            return dict(self._problem.distributions)
        space: dict[str, BaseDistribution] = {}
        for other in _others(study, trial):
            space.update(other.distributions)
        return space

    def sample_relative(
        self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        if not search_space:
            return {}
        domain = self._domain_of(search_space)
        suggestion = Suggestion(domain, self._kernels, _others(study, trial), self._rng.rng)
        if suggestion.complete < LEAST_COMPLETE or len(suggestion.known) < FIRST:
            point = suggestion.spread()
        else:
            sign = -1 if study.directions[0] is StudyDirection.MINIMIZE else 1
            point = suggestion.best(sign, (normal_scores, winsorised)[trial.number % 2])
        if point is None:
            warnings.warn("SurrogateSampler: every point of the space is known", stacklevel=2)
            point = domain.random(1, self._rng.rng).points[0]
        return domain.axes.decode(point)

    def sample_independent(
        self,
        study: Study,
        trial: FrozenTrial,
        param_name: str,
        param_distribution: BaseDistribution,
    ) -> Any:
        axes = Domain({param_name: param_distribution}).axes
        return axes.decode(axes.draw(1, self._rng.rng)[0])[param_name]

    def _domain_of(self, search_space: dict[str, BaseDistribution]) -> Domain:
        if self._domain is None or self._domain.axes.distributions != search_space:
            self._domain = Domain(search_space, self._problem, self._features)
        return self._domain


class Suggestion:
    """One suggestion, for a study with the trials `others`."""

    def __init__(
        self,
        domain: Domain,
        kernels: "dict[bytes, Kernel]",
        others: Sequence[FrozenTrial],
        rng: RandomState,
    ) -> None:
        self.domain = domain
        self.kernels = kernels
        self.rng = rng
        points = domain.axes.encode([_params(trial) for trial in others])
        there = ~np.all(np.isnan(points), axis=1)
        self.trials = [trial for trial, has in zip(others, there, strict=True) if has]
        self.known = domain.look(points[there])
        self.tried = Known(self.known.points)
        self.complete = sum(is_complete(trial) for trial in self.trials)

    def spread(self) -> Floats | None:
        """A random point far from all that are known; the first is a central one."""
        look = self._fresh(self.domain.random(SPREAD, self.rng))
        if not len(look):
            return self._any()
        if not len(self.known):
            row = (look.columns**2).sum(axis=1).argmin()
        else:
            apart = look.columns[:, None] - self.known.columns
            row = (apart**2).sum(axis=2).min(axis=1).argmax()
        point: Floats = look.points[row]
        return point

    def best(self, sign: int, target: Callable[[Floats], Floats]) -> Floats | None:
        """The fresh point with the highest upper bound that was found."""
        try:
            return self._best(sign, target)
        except np.linalg.LinAlgError as error:
            warnings.warn(f"SurrogateSampler: {error}; a random point instead", stacklevel=2)
            return self._any()

    def _best(self, sign: int, target: Callable[[Floats], Floats]) -> Floats | None:
        rows = [row for row, trial in enumerate(self.trials) if self._counts(trial)]
        trials = [self.trials[row] for row in rows]
        seen = self.known[rows]
        model = self._posterior(seen, trials, sign, target)
        running = [row for row, t in enumerate(self.trials) if not t.state.is_finished()]
        bold = model.believing(self.known[running].columns)

        def bound(look: Look) -> Floats:
            mean, deviation = bold.mean_and_deviation(look.columns)
            return mean + OPTIMISM * deviation

        order = np.argsort(-model.mean(seen.columns), kind="stable")
        whole = ~np.isnan(seen.points).any(axis=1) & seen.feasible
        parents = self._filled(seen[_distinct(seen, order[whole[order]])[:PARENTS]])
        found = self._fresh(self.domain.look(self._candidates(parents)))
        if not len(found):
            return self._any()
        bounds = bound(found)
        for _ in range(CLIMBS):
            top = np.argsort(-bounds, kind="stable")[:CLIMBERS]
            near = self.domain.look(self._neighbours(self._filled(found[top])))
            near = self._fresh(near)
            if not len(near):
                break
            found, higher = _joined(found, near), bound(near)
            gained = higher.max() > bounds.max()
            bounds = np.concatenate([bounds, higher])
            if not gained:
                break
        return self._first_new(found, np.argsort(-bounds, kind="stable"))

    def _counts(self, trial: FrozenTrial) -> bool:
        """Whether the model learns from it: no repeat, nothing that was never to be trained."""
        if not trial.state.is_finished() or "repeat_of" in trial.user_attrs:
            return False
        return self.domain.problem is None or is_feasible(trial)

    def _posterior(
        self,
        seen: Look,
        trials: Sequence[FrozenTrial],
        sign: int,
        target: Callable[[Floats], Floats],
    ) -> "Posterior":
        from nasopt.samplers.gaussian_process import Posterior

        first = _fitted_at(len(trials))
        observed = observe(trials[:first], sign)
        values = target(observed.values)
        rows = np.arange(first)
        if first > FITTED:
            ranked = np.argsort(-values, kind="stable")
            others = RandomState(first).permutation(ranked[FITTED_BEST:])
            rows = np.sort(np.r_[ranked[:FITTED_BEST], others[: FITTED - FITTED_BEST]])
        kernel = self._kernel(seen.columns[rows], values[rows], observed.noise[rows])
        observed = observe(trials, sign)
        return Posterior(kernel, seen.columns, target(observed.values), observed.noise)

    def _kernel(self, columns: Floats, values: Floats, noise: Floats) -> "Kernel":
        """The kernel fitted to these: once."""
        from nasopt.samplers.gaussian_process import fit

        digest = hashlib.blake2b(columns.tobytes())
        digest.update(values.tobytes() + noise.tobytes())
        key = digest.digest()
        if key not in self.kernels:
            while len(self.kernels) >= REMEMBERED:
                self.kernels.pop(next(iter(self.kernels)))
            self.kernels[key] = fit(columns, self.domain.groups, values, noise)
        return self.kernels[key]

    def _candidates(self, parents: Look) -> Floats:
        return np.concatenate(
            [
                self._neighbours(parents),
                self._mutants(parents, MUTANTS),
                self._mutants(parents[:2], MUTANTS_OF_TWO),
                self.domain.axes.draw(RANDOM, self.rng),
            ]
        )

    def _neighbours(self, look: Look) -> Floats:
        axes = self.domain.axes
        return np.concatenate(
            [
                axes.neighbours(point, active, NEIGHBOURS, self.rng)
                for point, active in zip(look.points, look.active, strict=True)
            ]
            or [np.zeros((0, len(axes)))]
        )

    def _mutants(self, parents: Look, n: int) -> Floats:
        if not len(parents):
            return np.zeros((0, len(self.domain.axes)))
        rng = self.rng
        one, other = rng.randint(len(parents), size=(2, n))
        shape = (n, len(self.domain.axes))
        crossed = (rng.uniform(size=n) < CROSSED)[:, None] & (rng.uniform(size=shape) < 0.5)
        points = np.where(crossed, parents.points[other], parents.points[one])
        expected = rng.randint(1, MOST_MUTATIONS + 1, size=n)
        share = expected / np.maximum(parents.active[one].sum(axis=1), 1)
        chosen = rng.uniform(size=shape) < share[:, None]
        return self.domain.axes.redrawn(points, chosen, rng)

    def _filled(self, look: Look) -> Look:
        """With what has no effect drawn at random: a change may give it one."""
        drawn = self.domain.axes.draw(len(look), self.rng)
        points = np.where(look.active, look.points, drawn)
        return Look(points, look.active, look.columns, look.feasible)

    def _fresh(self, look: Look) -> Look:
        """Those that are new and within the limits, each once."""
        look = look[look.feasible & self.tried.fresh(look.points)]
        return look[_distinct(look, np.arange(len(look)))]

    def _any(self) -> Floats | None:
        """A random point that is new."""
        axes = self.domain.axes
        if axes.count <= 5_000:
            points = self.rng.permutation(axes.everything())
        else:
            points = axes.draw(5_000, self.rng)
        look = self._fresh(self.domain.look(points))
        return self._first_new(look, np.arange(len(look)))

    def _first_new(self, look: Look, order: Any) -> Floats | None:
        """The first point whose network is not known in another spelling."""
        known = {self.domain.identity(point) for point in self.known.points}
        for row in order:
            if self.domain.identity(look.points[row]) not in known:
                point: Floats = look.points[row]
                return point
        return None


def _others(study: Study, trial: FrozenTrial) -> list[FrozenTrial]:
    """All trials but `trial`, by number: of the storage, since Hyperband shows one bracket only."""
    trials = study._storage.get_all_trials(study._study_id, deepcopy=False)
    return [other for other in trials if other.number != trial.number]


def _params(trial: FrozenTrial) -> dict[str, Any]:
    return {**trial.system_attrs.get("fixed_params", {}), **trial.params}


def _fitted_at(n: int) -> int:
    """How many of the first observations the kernel is fitted to: all up to 20, then by tenths."""
    at = min(n, 20)
    while at + -(-at // 10) <= n and at >= 20:
        at += -(-at // 10)
    return at


def _distinct(look: Look, rows: Any) -> Any:
    """Those of `rows` that are the first with their point."""
    first: dict[bytes, int] = {}
    for row in rows:
        first.setdefault(look.points[row].tobytes(), int(row))
    return np.array(list(first.values()), dtype=np.int64)


def _joined(one: Look, other: Look) -> Look:
    pairs = [
        (getattr(one, name), getattr(other, name))
        for name in ("points", "active", "columns", "feasible")
    ]
    return Look(*(np.concatenate(pair) for pair in pairs))
