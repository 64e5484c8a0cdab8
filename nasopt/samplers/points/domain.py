"""`Domain`: the facts about the points of a search that are known before any is tried."""

import math
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, fields
from functools import cached_property
from typing import Any, Self

import numpy as np
from numpy.random import RandomState
from numpy.typing import NDArray
from optuna.distributions import BaseDistribution

from nasopt.errors import StudyError
from nasopt.samplers.points.axes import Axes
from nasopt.samplers.problem import Problem

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]

SAMPLE = 1_000  # random points by which features are standardised
CLIP = 4.0  # deviations
MOST_DRAWS = 5_000  # of random points, where few are within the limits
LARGEST = 1e100  # of a feature: its square is still a number

Features = Callable[[dict[str, Any]], Sequence[float]]


@dataclass(frozen=True)
class EncodedPoints:
    """The canonical forms of n points, (n, parameters), and the facts known of them.

    `active`, of the same shape, says which parameters have an effect; `columns` (n, c) are what a
    model sees. `excess` (n,) is the share by which a point is over its worst limit, at most 0
    within them; `costs` (n, k) are the quantities that the domain was asked to tell.
    """

    points: Floats
    active: Bools
    columns: Floats
    excess: Floats
    costs: Floats

    def __len__(self) -> int:
        return len(self.points)

    def __getitem__(self, rows: Any) -> Self:
        return type(self)(*(getattr(self, field.name)[rows] for field in fields(self)))

    def __add__(self, other: Self) -> Self:
        pairs = [(getattr(self, f.name), getattr(other, f.name)) for f in fields(self)]
        return type(self)(*map(np.concatenate, pairs))


class Domain:
    """The points of `distributions`, with all that `problem` or `features` know of them.

    `features` gives a few numbers for the parameters of a trial, always equally many. `costs` are
    quantities of the problem.
    """

    def __init__(
        self,
        distributions: Mapping[str, BaseDistribution],
        problem: Problem | None = None,
        features: Features | None = None,
        costs: Sequence[str] = (),
    ) -> None:
        self.axes = Axes(distributions)
        self.problem = problem
        self._features = features
        self._costs = tuple(costs)
        self._identities: dict[bytes, Hashable] = {}
        self._counted: dict[bytes, list[float]] = {}

    def encode(self, points: Floats) -> EncodedPoints:
        """Return the canonical forms of `points` (n, parameters) and all that is known of them.

        A coordinate is NaN if the parameter is absent, which happens only in plain Optuna.
        """
        points, active, costs, numbers = self._survey(points)
        mean, deviation = self._scale
        features = np.clip((numbers - mean) / deviation, -CLIP, CLIP)
        columns = np.concatenate([self.axes.columns(points, active), features], axis=1)
        excess = np.zeros(len(points))
        if self._bounds:
            shares = [costs[:, i] / bound - 1 for i, (_, bound) in enumerate(self._bounds)]
            excess = np.max(shares, axis=0)
        return EncodedPoints(points, active, columns, excess, costs[:, len(self._bounds) :])

    @cached_property
    def groups(self) -> Ints:
        """The group of each column of a model, (c,): one for each parameter and each feature."""
        groups, features = self.axes.groups, len(self._scale[0])
        return np.concatenate([groups, len(self.axes) + np.arange(features)])

    @cached_property
    def group_names(self) -> tuple[str, ...]:
        """The name of each group: that of a parameter, or of a feature."""
        surveys = None if self.problem is None else self.problem.surveys
        count = len(self._scale[0])
        told = [f"feature {n + 1}" for n in range(count)] if surveys is None else surveys.features
        return (*self.axes.axes, *told)

    def identity(self, point: Floats) -> Hashable:
        """Return a key that is the same for canonical points of one network, trained in one way."""
        key = point.tobytes()
        if self.problem is None:
            return key
        if key not in self._identities:
            params = self.axes.decode(point)
            recipe = tuple(v for name, v in params.items() if name.startswith("recipe."))
            self._identities[key] = (self.problem.decode(params).key, recipe)
        return self._identities[key]

    def random(self, n: int, rng: RandomState) -> Floats:
        """Return `n` random points, or fewer if not so many within the limits are found.

        If none of many is within them, return the one that the way down from the best leads to.
        """
        points = self.axes.draw(n, rng)
        if not self._bounds or (self.encode(points).excess <= 0).all():
            return points
        points = self.axes.draw(MOST_DRAWS, rng)
        encoded = self.encode(points)
        within = np.flatnonzero(encoded.excess <= 0)[:n]
        return (
            points[within]
            if len(within)
            else self._lowered(encoded[[encoded.excess.argmin()]], rng)
        )

    def _lowered(self, here: EncodedPoints, rng: RandomState) -> Floats:
        """Return the point where there is no excess, or no change of one parameter lowers it."""
        while here.excess[0] > 0:
            near = self.encode(
                self.axes.neighbours(here.points[0], here.active[0], MOST_DRAWS, rng)
            )
            if not len(near) or near.excess.min() >= here.excess[0]:
                break
            here = near[[near.excess.argmin()]]
        return here.points

    @cached_property
    def _bounds(self) -> list[tuple[str, float]]:
        """The (quantity, bound) of each limit that is known without measuring."""
        limits = () if self.problem is None else self.problem.known_limits
        return [(limit.quantity, limit.bound) for limit in limits]

    @cached_property
    def _scale(self) -> tuple[Floats, Floats]:
        """The mean and the deviation of each feature over random points."""
        numbers = self._survey(self.axes.draw(SAMPLE, RandomState(0)))[3]
        deviation = numbers.std(axis=0)
        return numbers.mean(axis=0), np.where(deviation > 1e-9, deviation, math.inf)

    def _survey(self, points: Floats) -> tuple[Floats, Bools, Floats, Floats]:
        """Return (canonical points, active, costs, features before standardisation).

        The costs are those of the limits, then those that were asked for.
        """
        active = ~np.isnan(points)
        quantities = [*(quantity for quantity, _ in self._bounds), *self._costs]
        problem = self.problem
        if problem is not None and problem.surveys is not None:
            mine = [list(self.axes.axes).index(name) for name in problem.surveys.names]
            survey = problem.surveys.survey(points[:, mine].astype(np.int64))
            points = points.copy()
            points[:, mine] = survey.places
            active[:, mine] = survey.active
            counts = np.zeros((len(points), len(quantities)))
            for column, quantity in enumerate(quantities):
                counts[:, column] = survey.costs[quantity]
            return points, active, counts, survey.features
        rows = [self._count(point, quantities) for point in points] if quantities else []
        counts = np.array(rows, dtype=float).reshape(len(points), len(quantities))
        features = self._features
        numbers = np.zeros((len(points), 0)) if features is None else self._asked(features, points)
        return points, active, counts, numbers

    def _count(self, point: Floats, quantities: Sequence[str]) -> list[float]:
        """Return the costs of one network, for problems that cannot survey many at once."""
        assert self.problem is not None
        key = point.tobytes()
        if key not in self._counted:
            cost = self.problem.cost(self.problem.decode(self.axes.decode(point)))
            self._counted[key] = [float(getattr(cost, quantity)) for quantity in quantities]
        return self._counted[key]

    def _asked(self, features: Features, points: Floats) -> Floats:
        if not len(points):
            return np.zeros((0, len(self._scale[0])))
        rows: list[list[float]] = []
        for point in points:
            params = self.axes.decode(point)
            given = features(params)
            numbers = _numbers(given)
            if numbers is None or (rows and len(numbers) != len(rows[0])):
                raise StudyError(
                    f"SurrogateSampler.features: {given!r} for {params}; give a list of finite "
                    "numbers, always as many"
                )
            rows.append(numbers)
        return np.array(rows, dtype=float).reshape(len(points), len(rows[0]))


def _numbers(given: Any) -> list[float] | None:
    """Return the numbers, or None if it is no list of numbers, or one is not finite."""
    try:
        numbers = [float(number) for number in given]
    except (TypeError, ValueError):
        return None
    return numbers if all(abs(number) < LARGEST for number in numbers) else None
