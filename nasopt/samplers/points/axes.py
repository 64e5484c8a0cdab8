"""`Axes`: the parameters of a study as coordinates, so that many points are one array.

A point is a row of floats, one for each parameter: the index of its value if there are finitely
many, else a number from 0 to 1; NaN if the parameter is absent. A number outside the range, from a
trial that had another range, keeps its distance; a coordinate is infinite if nothing on the axis
can stand for the value.
"""

import math
from collections.abc import Mapping, Sequence
from contextlib import suppress
from functools import cached_property
from itertools import groupby
from numbers import Real
from typing import Any

import numpy as np
from numpy.random import RandomState
from numpy.typing import NDArray
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]

FEW = 12  # values; of an axis with more, neighbours are some near and some random ones, not all
NEAR = (0.02, 0.05, 0.1, 0.2)  # standard deviations of steps, as shares of the range
DECIMALS = 12  # of a coordinate, so that decoding and encoding returns the same one
ON_GRID = 1e-6  # of a step; a number so near to the grid is on it
FAR = 10.0  # deviations; values of another range that are farther are all alike
LOG_RATIO = 1.5  # of the largest to the smallest number, from which on the logarithm is taken
GRID = 1_000  # numbers by which a range with more is standardised
MISSING = object()  # stands for an absent value


class CategoricalAxis:
    """The axis of a parameter with choices."""

    def __init__(self, distribution: CategoricalDistribution) -> None:
        # Optuna takes equal choices (0 and False, 2 and 2.0) for the first of them
        self._position = distribution.to_internal_repr
        first = [int(self._position(choice)) for choice in distribution.choices]
        self._different = sorted(set(first))
        self.choices = tuple(distribution.choices[position] for position in self._different)
        self.size = len(self.choices)
        self.span = self.size - 1
        # by repr: a choice need not be hashable
        self._places = {
            repr(choice): float(self._different.index(position))
            for choice, position in zip(distribution.choices, first, strict=True)
        }
        self._places[repr(MISSING)] = math.nan

    def encode(self, values: Sequence[Any]) -> Floats:
        places = np.array([self._places.get(repr(value), math.inf) for value in values])
        for row in np.flatnonzero(np.isinf(places)):
            with suppress(ValueError):  # for values equal to no choice; np.int64(2) equals 2
                places[row] = self._different.index(int(self._position(values[int(row)])))
        return places

    def nearest(self, coordinates: Floats) -> Floats:
        return coordinates  # the choices of a parameter never change in Optuna

    def decode(self, coordinate: float) -> Any:
        return self.choices[int(coordinate)]

    def draw(self, n: int, rng: RandomState) -> Floats:
        return rng.randint(self.size, size=n).astype(float)

    def near(self, coordinates: Floats, rng: RandomState) -> Floats:
        return self.draw(len(coordinates), rng)

    def columns(self, coordinates: Floats) -> Floats:
        columns: Floats = self._table[coordinates.astype(int)]
        return columns

    @cached_property
    def _table(self) -> Floats:
        """The columns of each choice; there is a single one if all choices are finite numbers."""
        numeric = all(type(choice) in (int, float) for choice in self.choices)
        if numeric and np.isfinite(np.array(self.choices, dtype=float)).all():
            numbers = np.array(self.choices, dtype=float)
            if numbers.min() > 0 and numbers.max() >= LOG_RATIO * numbers.min():
                numbers = np.log(numbers)
            one: Floats = (numbers - numbers.mean()) / (numbers.std() or 1.0)
            return one[:, None]
        table: Floats = np.eye(self.size) - 1 / self.size
        return table / math.sqrt(max(1 - 1 / self.size, 0.5))


class NumericalAxis:
    """The axis of a parameter with a range.

    `size` is the number of its values, 0 if it is continuous.
    """

    def __init__(self, distribution: IntDistribution | FloatDistribution) -> None:
        self.distribution = distribution
        self.low, self.high, self.step = distribution.low, distribution.high, distribution.step
        self.log = distribution.log
        self.size = 0
        if self.step is not None:
            self.size = round((self.high - self.low) / self.step) + 1
        elif self.low == self.high:
            self.size, self.step = 1, 1.0
        self.span = self.size - 1 if self.size else 1  # of the coordinates

    def encode(self, values: Sequence[Any]) -> Floats:
        numbers = np.array([self._number(value) for value in values])
        if self._is_logarithmic:
            numbers[numbers <= 0] = math.inf
        if self.step is not None:
            steps = (numbers - self.low) / self.step
            whole = np.rint(steps)
            return np.where(np.isclose(steps, whole, rtol=0, atol=ON_GRID), whole, steps)
        if self.log:
            logarithms = np.log(numbers / self.low) / math.log(self.high / self.low)
            return np.round(logarithms, DECIMALS)
        return np.round((numbers - self.low) / (self.high - self.low), DECIMALS)

    def _number(self, value: Any) -> float:
        if value is MISSING:
            return math.nan
        if type(value) in (int, float):  # nearly all are, and asking an abstract class takes long
            return float(value)
        is_number = isinstance(value, Real) and not isinstance(value, bool | np.bool_)
        return float(value) if is_number else math.inf

    def nearest(self, coordinates: Floats) -> Floats:
        whole = np.rint(coordinates) if self.size else coordinates
        return np.clip(whole, 0, self.span)

    def decode(self, coordinate: float) -> Any:
        if isinstance(self.distribution, IntDistribution):
            return self.distribution.low + round(coordinate * self.distribution.step)
        number = float(self._numbers(np.array([coordinate]))[0])
        if not 0 <= coordinate <= self.span:
            return number
        return min(max(number, self.low), self.high)

    def draw(self, n: int, rng: RandomState) -> Floats:
        return self._at(rng.uniform(size=n))

    def _at(self, shares: Floats) -> Floats:
        """Return the coordinates below which these shares of all draws are."""
        if not self.size:
            return shares
        if self.log and self.size > 1:
            low, high = self.low - 0.5, self.high + 0.5
            numbers = np.rint(low * (high / low) ** shares)
            logarithmic: Floats = np.clip(numbers - self.low, 0, self.span)
            return logarithmic
        whole: Floats = np.minimum(np.floor(shares * self.size), self.span)
        return whole

    def near(self, coordinates: Floats, rng: RandomState) -> Floats:
        n = len(coordinates)
        steps = rng.normal(size=n) * rng.choice(NEAR, size=n) * self.span
        if self.size:
            steps = np.where(np.abs(steps) < 1, np.where(steps < 0, -1, 1), np.rint(steps))
        moved = np.abs(coordinates + steps)  # reflected at both ends
        near: Floats = np.clip(self.span - np.abs(self.span - moved), 0, self.span)
        return near

    def columns(self, coordinates: Floats) -> Floats:
        mean, deviation = self._scale
        columns = (self._scaled(coordinates) - mean) / deviation
        return np.clip(columns, -FAR, FAR)[:, None]

    @cached_property
    def _scale(self) -> tuple[float, float]:
        n = GRID if self.log else min(self.size or GRID, GRID)
        scaled = self._scaled(self._at((np.arange(n) + 0.5) / n))
        return float(scaled.mean()), float(scaled.std()) or 1.0

    def _scaled(self, coordinates: Floats) -> Floats:
        numbers = self._numbers(coordinates)
        return np.log(numbers) if self._is_logarithmic else numbers

    @property
    def _is_logarithmic(self) -> bool:
        """True if a model sees the logarithms of the numbers."""
        whole = isinstance(self.distribution, IntDistribution)
        return self.log or (whole and self.low > 0 and self.high >= LOG_RATIO * self.low)

    def _numbers(self, coordinates: Floats) -> Floats:
        if self.step is not None:
            return self.low + coordinates * self.step
        if self.log:
            numbers: Floats = self.low * (self.high / self.low) ** coordinates
            return numbers
        return self.low + coordinates * (self.high - self.low)


class Axes:
    """The parameters of a study, in order, as coordinates."""

    def __init__(self, distributions: Mapping[str, BaseDistribution]) -> None:
        self.distributions = dict(distributions)
        self.axes = {name: _axis(each) for name, each in distributions.items()}

    def __len__(self) -> int:
        return len(self.axes)

    @cached_property
    def count(self) -> float:
        """The number of different points."""
        return math.prod(axis.size or math.inf for axis in self.axes.values())

    def encode(self, params: Sequence[Mapping[str, Any]]) -> Floats:
        """Return the points (n, parameters) of n trials' parameters."""
        columns = [
            axis.encode([each.get(name, MISSING) for each in params])
            for name, axis in self.axes.items()
        ]
        return np.stack(columns, axis=1) if columns else np.zeros((len(params), 0))

    def has(self, points: Floats) -> Bools:
        """Return for each point (n,) whether all values that it has are in the present ranges."""
        within: Bools = np.all(np.isnan(points) | self.among(points), axis=-1)
        return within

    def among(self, points: Floats) -> Bools:
        """Return for each coordinate (..., parameters) whether it is in the present range."""
        spans, many = self._extents
        there: Bools = (points >= 0) & (points <= spans) & (many | (points == np.rint(points)))
        return there

    @cached_property
    def _extents(self) -> tuple[Floats, Bools]:
        """The last coordinate of each axis, and whether all before it are values, (parameters,)."""
        axes = self.axes.values()
        return np.array([float(axis.span) for axis in axes]), np.array([not a.size for a in axes])

    def nearest(self, points: Floats) -> Floats:
        """Return the nearest points (n, parameters) in the present ranges."""
        columns = [axis.nearest(points[:, i]) for i, axis in enumerate(self.axes.values())]
        return np.stack(columns, axis=1)

    def decode(self, point: Floats) -> dict[str, Any]:
        """Return the values by parameter, absent ones left out."""
        pairs = zip(self.axes.items(), point.tolist(), strict=True)
        return {name: axis.decode(each) for (name, axis), each in pairs if not math.isnan(each)}

    def draw(self, n: int, rng: RandomState) -> Floats:
        """Return random points (n, parameters), uniform on the scales of their distributions."""
        columns = [
            rng.randint(run, size=(len(run), n))
            if isinstance(run, np.ndarray)
            else run.draw(n, rng)[None]
            for run in self._runs
        ]
        return np.concatenate([np.zeros((0, n)), *columns]).T.copy()

    @cached_property
    def _runs(self) -> list[NumericalAxis | Ints]:
        """The axes in order; k axes of choices in a row are an array (k, 1) of their sizes.

        They are drawn at once, which gives the same as one by one, in a fifth of the time.
        """
        runs: list[NumericalAxis | Ints] = []
        for _, run in groupby(self.axes.values(), type):
            alike = list(run)
            if isinstance(alike[0], CategoricalAxis):
                runs.append(np.array([[axis.size] for axis in alike]))
            else:
                runs += [axis for axis in alike if isinstance(axis, NumericalAxis)]
        return runs

    def everything(self) -> Floats:
        """Return all points, if they are finitely many."""
        rest = np.arange(int(self.count))
        columns = []
        for axis in reversed(self.axes.values()):  # np.indices has at most 64 dimensions
            columns.append(rest % axis.size)
            rest //= axis.size
        return np.stack(columns[::-1], axis=1).astype(float)

    @cached_property
    def groups(self) -> Ints:
        """The index of the parameter of each column of a model, (c,)."""
        widths = [axis.columns(np.zeros(1)).shape[1] for axis in self.axes.values()]
        return np.repeat(np.arange(len(widths)), widths)

    def columns(self, points: Floats, active: Bools) -> Floats:
        """Return the columns (n, c) of a model, zero where a parameter is not active.

        `active` has the shape (n, parameters). A parameter has one column for numbers, of unit
        variance over its values, or else one for each choice: two random values are equally far
        apart in both kinds.
        """
        filled = np.where(active, points, 0)
        parts = [
            axis.columns(filled[:, column]) * active[:, column, None]
            for column, axis in enumerate(self.axes.values())
        ]
        return np.concatenate(parts, axis=1) if parts else np.zeros((len(points), 0))

    def redrawn(self, points: Floats, chosen: Bools, rng: RandomState) -> Floats:
        """Return `points` with the `chosen` coordinates (n, parameters) drawn anew.

        Half of the numbers of a wide range are drawn near what they were.
        """
        drawn = self.draw(len(points), rng)
        for column, axis in enumerate(self.axes.values()):
            if _is_wide(axis):
                near = rng.uniform(size=len(points)) < 0.5
                drawn[near, column] = axis.near(points[near, column], rng)
        return np.where(chosen, drawn, points)

    def neighbours(self, point: Floats, active: Bools, most: int, rng: RandomState) -> Floats:
        """Return points that differ from `point` in one `active` parameter, at most `most`.

        If there are more, they are chosen at random.
        """
        columns, coordinates = self._moves
        moves = np.flatnonzero(active[columns] & (coordinates != point[columns]))
        if len(moves) > most:
            moves = np.sort(rng.permutation(moves)[:most])
        columns, coordinates = columns[moves], coordinates[moves]
        rows = np.arange(len(moves))
        found = np.repeat(point[None], len(moves), axis=0)
        drawn = self.redrawn(found, np.ones(found.shape, dtype=bool), rng)[rows, columns]
        found[rows, columns] = np.where(np.isnan(coordinates), drawn, coordinates)
        return found

    @cached_property
    def _moves(self) -> tuple[Ints, Floats]:
        """The (columns, coordinates) of all one-parameter changes, NaN if drawn in a wide range."""
        columns: list[int] = []
        coordinates: list[float] = []
        for column, axis in enumerate(self.axes.values()):
            wide = _is_wide(axis)
            to = [math.nan] * FEW if wide else [float(each) for each in range(axis.size)]
            columns += [column] * len(to)
            coordinates += to
        return np.array(columns, dtype=np.int64), np.array(coordinates)


def _axis(distribution: BaseDistribution) -> CategoricalAxis | NumericalAxis:
    if isinstance(distribution, CategoricalDistribution):
        return CategoricalAxis(distribution)
    assert isinstance(distribution, IntDistribution | FloatDistribution)
    return NumericalAxis(distribution)


def _is_wide(axis: CategoricalAxis | NumericalAxis) -> bool:
    return axis.size == 0 or axis.size > FEW
