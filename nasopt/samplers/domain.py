"""`Domain`: what can be said of points of a search before any is tried."""

import math
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.random import RandomState
from numpy.typing import NDArray
from optuna.distributions import BaseDistribution

from nasopt.errors import StudyError
from nasopt.problem import Problem
from nasopt.samplers.axes import Axes

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]

SAMPLE = 1_000  # random points by which features are standardised
CLIP = 4.0  # deviations
MOST_DRAWS = 5_000  # of random points, where few are fresh or within the limits

Features = Callable[[dict[str, Any]], Sequence[float]]


@dataclass(frozen=True)
class Look:
    """n points in canonical form, (n, parameters), and what is known of them.

    `active`, of the same shape, says which parameters have an effect; `columns` (n, c) are what a
    model sees, `feasible` (n,) whether the limits are met.
    """

    points: Floats
    active: Bools
    columns: Floats
    feasible: Bools

    def __len__(self) -> int:
        return len(self.points)

    def __getitem__(self, rows: Any) -> "Look":
        return Look(self.points[rows], self.active[rows], self.columns[rows], self.feasible[rows])


class Domain:
    """The points of `distributions`, with all that `problem` or `features` know of them.

    `features` gives numbers of the parameters of a trial, always as many of them.
    """

    def __init__(
        self,
        distributions: Mapping[str, BaseDistribution],
        problem: Problem | None = None,
        features: Features | None = None,
    ) -> None:
        self.axes = Axes(distributions)
        self.problem = problem
        self.networks = None if problem is None else problem.networks
        self._features = features
        self._identities: dict[bytes, Hashable] = {}

    def look(self, points: Floats) -> Look:
        """`points` (n, parameters) in canonical form; NaN where a parameter is not there."""
        points, active, feasible, numbers = self._survey(points)
        mean, deviation = self._scale
        features = np.clip((numbers - mean) / deviation, -CLIP, CLIP)
        columns = np.concatenate([self.axes.columns(points, active), features], axis=1)
        return Look(points, active, columns, feasible)

    @cached_property
    def groups(self) -> Ints:
        """(c,) for each column of a model its group: one a parameter, one a feature."""
        groups, features = self.axes.groups, len(self._scale[0])
        return np.concatenate([groups, len(self.axes) + np.arange(features)])

    def identity(self, point: Floats) -> Hashable:
        """The same for two canonical points if they are one network, trained in one way."""
        if self.problem is None:
            return point.tobytes()
        key = point.tobytes()
        if key not in self._identities:
            params = self.axes.decode(point)
            recipe = tuple(v for name, v in params.items() if name.startswith("recipe."))
            self._identities[key] = (self.problem.decode(params).key, recipe)
        return self._identities[key]

    def random(self, n: int, rng: RandomState) -> Look:
        """`n` random points, those within the limits if there are any."""
        look = self.look(self.axes.draw(n, rng))
        if not look.feasible.all():
            more = self.look(self.axes.draw(MOST_DRAWS, rng))
            if more.feasible.any():
                return more[np.flatnonzero(more.feasible)[:n]]
        return look

    @cached_property
    def _scale(self) -> tuple[Floats, Floats]:
        """Mean and deviation of each feature over random points."""
        numbers = self._survey(self.axes.draw(SAMPLE, RandomState(0)))[3]
        deviation = numbers.std(axis=0)
        return numbers.mean(axis=0), np.where(deviation > 1e-9, deviation, math.inf)

    def _survey(self, points: Floats) -> tuple[Floats, Bools, Bools, Floats]:
        """(canonical points, active, feasible, features as they are)."""
        active = ~np.isnan(points)
        feasible = np.ones(len(points), dtype=bool)
        if self.networks is not None:
            mine = [list(self.axes.axes).index(name) for name in self.networks.names]
            whole = np.all(active[:, mine], axis=1)
            survey = self.networks.survey(np.nan_to_num(points[:, mine]).astype(np.int64))
            points = points.copy()
            points[:, mine] = np.where(whole[:, None], survey.places, points[:, mine])
            active[:, mine] &= survey.active
            assert self.problem is not None
            for limit in self.problem.limits:
                feasible &= survey.costs[limit.quantity] <= limit.bound
            return points, active, feasible, survey.features
        if self.problem is not None and self.problem.limits:
            feasible = np.array([self._is_feasible(point) for point in points])
        if self._features is None or not len(self.axes):
            return points, active, feasible, np.zeros((len(points), 0))
        return points, active, feasible, self._asked(self._features, points)

    def _is_feasible(self, point: Floats) -> bool:
        problem = self.problem
        assert problem is not None
        cost = problem.cost(problem.decode(self.axes.decode(point)))
        return max(problem.violations(cost).values()) <= 0

    def _asked(self, features: Features, points: Floats) -> Floats:
        rows: list[list[float]] = []
        for point in points:
            there = self.axes.decode(point)
            numbers = [float(number) for number in features(there)]
            if not all(map(math.isfinite, numbers)) or (rows and len(numbers) != len(rows[0])):
                raise StudyError(
                    f"SurrogateSampler.features: {numbers} for {there}; give finite numbers, "
                    "always as many"
                )
            rows.append(numbers)
        return np.array(rows, dtype=float).reshape(len(points), -1)


class Known:
    """The points that were tried already.

    One with parameters missing is known by those that it has: a trial that chooses them alike asks
    for no others.
    """

    def __init__(self, points: Floats) -> None:
        self._of: dict[bytes, tuple[Bools, set[bytes]]] = {}
        for point, there in zip(points, ~np.isnan(points), strict=True):
            _, known = self._of.setdefault(there.tobytes(), (there, set()))
            known.add(point[there].tobytes())

    def fresh(self, points: Floats) -> Bools:
        """(n,) whether a point is new."""
        fresh = np.ones(len(points), dtype=bool)
        for there, known in self._of.values():
            parts = np.ascontiguousarray(points[:, there])
            fresh &= [part.tobytes() not in known for part in parts]
        return fresh
