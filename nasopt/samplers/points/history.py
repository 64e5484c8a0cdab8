"""`History`: the trials of a study as points, and the points that are new beside them."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.random import RandomState
from numpy.typing import NDArray
from optuna.distributions import IntDistribution
from optuna.study import Study
from optuna.trial import FrozenTrial, TrialState

from nasopt.samplers.points.candidates import neighbours
from nasopt.samplers.points.conditions import Conditions, Ranges
from nasopt.samplers.points.domain import Domain, EncodedPoints
from nasopt.samplers.points.observations import is_feasible
from nasopt.storage.attributes import FIXED_PARAMS
from nasopt.storage.record import is_repeat

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]

FEW_POINTS = 20_000  # in a space: they are all looked at before it is called exhausted
DRAWS, MANY_DRAWS = 50, 5_000
FAILURES = 3  # of the same point, which are no accident
NOTHING: Mapping[Any, Any] = MappingProxyType({})
MOST_PARENTS, MOST_NEIGHBOURS = 100, 1_000  # of known points, where none at random is new


class History:
    """The trials of a study that have parameters, with `known`, a row for each.

    They count in any state: a network that runs or waits elsewhere is not new. `suggested` are the
    parameters of trials, by number, that may not have asked for them yet. `fixed` are parameters
    that the trial to come has already, since it was enqueued with them.
    """

    def __init__(
        self,
        domain: Domain,
        trials: Sequence[FrozenTrial],
        suggested: Mapping[int, Mapping[str, Any]] = NOTHING,
        fixed: Mapping[str, Any] = NOTHING,
    ) -> None:
        self.domain = domain
        points = domain.axes.encode([_params(trial, suggested) for trial in trials])
        missing = np.isnan(points)
        if domain.problem is None:
            there = ~np.all(missing, axis=1) & ~np.any(np.isinf(points), axis=1)
        else:
            there = ~np.any(missing, axis=1) & domain.axes.has(points)
        self.trials = [trial for trial, has in zip(trials, there, strict=True) if has]
        self.known = domain.encode(points[there])
        self._conditions = Conditions(self.known.points[self._informative()])
        # a trial that failed, was pruned, or still runs, may not have asked for all
        self._whole = self._conditions.whole(self.known.points)
        self._tried = Tried(self.known.points[self._whole | self._failing()])
        self._ranges = Ranges(self.known.points, self._bounds())
        (self._fixed,) = domain.axes.encode([fixed])
        self._fixed[~domain.axes.among(self._fixed)] = np.nan

    def _informative(self) -> Bools:
        """Return for each row (n,) whether conditions are learnt from it.

        They are learnt from complete trials, or from pruned ones if none is complete.
        """
        states = [trial.state for trial in self.trials]
        learnt = TrialState.COMPLETE if TrialState.COMPLETE in states else TrialState.PRUNED
        return np.array([state is learnt for state in states], dtype=bool)

    def _failing(self) -> Bools:
        """Return for each row (n,) whether its trial failed as others did, and none went further.

        Several trials must have failed with the same parameters, and no complete trial have them.
        """
        points = self.known.points
        states = [trial.state for trial in self.trials]
        complete = points[np.array([each is TrialState.COMPLETE for each in states], dtype=bool)]
        failing = np.zeros(len(points), dtype=bool)
        rows: dict[bytes, list[int]] = defaultdict(list)
        for row, state in enumerate(states):
            if state is TrialState.FAIL:
                rows[points[row].tobytes()].append(row)
        for alike in rows.values():
            there = ~np.isnan(points[alike[0]])
            further = np.all(complete[:, there] == points[alike[0], there], axis=1)
            failing[alike] = len(alike) >= FAILURES and not further.any()
        return failing

    def encode(self, points: Floats) -> EncodedPoints:
        """Return `points` (n, parameters) encoded, without what they would not ask for."""
        points = np.where(np.isnan(self._fixed), points, self._fixed)
        points = self._ranges.applied(self._conditions.applied(points))
        return self.domain.encode(points)

    def _bounds(self) -> Floats:
        """Return the bounds (n, parameters, 2) of the whole numbers of each trial, as coordinates.

        They are NaN if a parameter is absent, is no whole number, or has one range in all trials.
        """
        bounds = np.full((*self.known.points.shape, 2), np.nan)
        for column, (name, axis) in enumerate(self.domain.axes.axes.items()):
            now = self.domain.axes.distributions[name]
            theirs = [trial.distributions.get(name, now) for trial in self.trials]
            if isinstance(now, IntDistribution) and any(each != now for each in theirs):
                for row, each in enumerate(theirs):
                    if isinstance(each, IntDistribution) and name in self.trials[row].params:
                        bounds[row, column] = axis.encode([each.low, each.high])
        return bounds

    @property
    def running(self) -> list[int]:
        """The rows of `known` whose values are to come."""
        return [
            row
            for row, trial in enumerate(self.trials)
            if not trial.state.is_finished() and self._whole[row]
        ]

    @property
    def observed(self) -> list[int]:
        """The rows of `known` to learn from: those of trials that ended.

        Repeats are left out, and so are networks over the limits, which were never to be trained.
        """
        return [row for row, trial in enumerate(self.trials) if self._counts(trial)]

    def _counts(self, trial: FrozenTrial) -> bool:
        if not trial.state.is_finished() or is_repeat(trial):
            return False
        return self.domain.problem is None or is_feasible(trial)

    def novel(self, encoded: EncodedPoints) -> EncodedPoints:
        """Return the points that are new and within the limits, each once."""
        points = encoded.points
        here = self.domain.axes.has(points)  # no neighbour of a point from another range
        encoded = encoded[(encoded.excess <= 0) & here & self._tried.without(points)]
        return encoded[distinct(encoded.points)]

    def any_fresh(self, rng: RandomState) -> Floats | None:
        """Return a random point that is new, or None if there is none."""
        encoded = self.novel(self.encode(self.domain.random(DRAWS, rng)))
        point = self.first_new(encoded, range(len(encoded)))
        if point is not None:
            return point
        axes = self.domain.axes
        few = axes.count <= FEW_POINTS
        points = rng.permutation(axes.everything()) if few else axes.draw(MANY_DRAWS, rng)
        encoded = self.novel(self.encode(points))
        point = self.first_new(encoded, range(len(encoded)))
        if point is not None or few or not len(self.known):
            return point
        some = self.known[rng.permutation(len(self.known))[:MOST_PARENTS]]
        encoded = self.novel(self.encode(neighbours(axes, some, MOST_NEIGHBOURS, rng)))
        return self.first_new(encoded, range(len(encoded)))

    def first_new(self, encoded: EncodedPoints, rows: Iterable[int]) -> Floats | None:
        """Return the first of `rows` whose network is not known in another spelling, or None."""
        known = {self.domain.identity(point) for point in self.known.points}
        for row in rows:
            if self.domain.identity(encoded.points[row]) not in known:
                point: Floats = encoded.points[row]
                return point
        return None


class Tried:
    """A set of points that are known.

    A point with absent parameters is known by those that it has: a trial that chooses the same for
    them asks for no others.
    """

    def __init__(self, points: Floats) -> None:
        self._by_parameters: dict[bytes, tuple[Bools, set[bytes]]] = {}
        for point, there in zip(points, ~np.isnan(points), strict=True):
            _, known = self._by_parameters.setdefault(there.tobytes(), (there, set()))
            known.add(point[there].tobytes())

    def without(self, points: Floats) -> Bools:
        """Return for each of `points` (n,) whether it is none of the known ones."""
        fresh = np.ones(len(points), dtype=bool)
        for there, known in self._by_parameters.values():
            parts = np.ascontiguousarray(points[:, there])
            fresh &= np.array([part.tobytes() not in known for part in parts], dtype=bool)
        return fresh


def other_trials(study: Study, trial: FrozenTrial) -> list[FrozenTrial]:
    """Return all trials but `trial`, by number.

    They are read from the storage, since a study within Hyperband shows one bracket only.
    """
    trials = study._storage.get_all_trials(study._study_id, deepcopy=False)
    return [other for other in trials if other.number != trial.number]


def distinct(points: Floats) -> Ints:
    """Return the rows of the first of equal points, in order."""
    first: dict[bytes, int] = {}
    for row, point in enumerate(points):
        first.setdefault(point.tobytes(), row)
    return np.array(list(first.values()), dtype=np.int64)


def _params(trial: FrozenTrial, suggested: Mapping[int, Mapping[str, Any]]) -> Mapping[str, Any]:
    """Return the parameters of `trial`, also suggested or enqueued ones not asked for yet."""
    if trial.state.is_finished():
        return trial.params
    enqueued = trial.system_attrs.get(FIXED_PARAMS, {})
    return {**suggested.get(trial.number, {}), **enqueued, **trial.params}
