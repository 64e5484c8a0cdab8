"""The parameters that a trial would ask for, learnt from other trials, and their ranges."""

import math
from collections import defaultdict
from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from optuna.distributions import BaseDistribution, FloatDistribution, IntDistribution
from optuna.trial import FrozenTrial, TrialState

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

ENDED = (TrialState.COMPLETE, TrialState.PRUNED)
ADDED = 5  # trials in a row that asked for a parameter for which none before them did
ABSENT = -1.0  # a coordinate below all others
RECENT = 10  # last trials with a parameter whose ranges count: they may vary, or change for good


def search_space(trials: Iterable[FrozenTrial]) -> dict[str, BaseDistribution]:
    """Return all parameters that `trials` ask for, with all values that the last could take.

    A range may depend on other parameters: then it is a part of the one returned. A parameter that
    each trial asked for up to one, and none of many after it, was given up and is left out.
    """
    trials = list(trials)
    asked: dict[str, list[BaseDistribution]] = defaultdict(list)
    places: dict[str, list[int]] = defaultdict(list)
    ended = 0
    for trial in trials:
        for name, distribution in trial.distributions.items():
            asked[name].append(distribution)
        if trial.state in ENDED:
            for name in trial.distributions:
                places[name].append(ended)
            ended += 1
    space = {}
    for name, each in asked.items():
        at = places[name]
        if at and at[-1] - at[0] == len(at) - 1 and ended - 1 - at[-1] >= RECENT:
            continue
        *others, space[name] = each[-RECENT:]
        for other in others:
            space[name] = _both(space[name], other)
    return space


def _both(one: BaseDistribution, other: BaseDistribution) -> BaseDistribution:
    """Return the range that holds the values of both, or `one` if they are of different kinds."""
    if one == other or type(one) is not type(other):
        return one
    if isinstance(one, IntDistribution | FloatDistribution):
        assert isinstance(other, IntDistribution | FloatDistribution)
        low, high = min(one.low, other.low), max(one.high, other.high)
        steps = 0.0 if one.step is None else (one.low - other.low) / one.step
        on_one_grid = math.isclose(steps, round(steps), abs_tol=1e-6)
        if (one.log, one.step) == (other.log, other.step) and on_one_grid:
            return type(one)(low, high, log=one.log, step=one.step)  # type: ignore[arg-type]
    return one


class Ranges:
    """The parts of ranges that trials with certain values may take, such as `b` in `a..10`.

    `points` (n, parameters) are those of trials that had `bounds` (n, parameters, 2), the lowest
    and the highest coordinates. A range depends on the parameters before it if it came back after
    another one; a range that was changed once does not. For each such range a decision tree tells
    the bounds, without error for the trials that it was fitted to.
    """

    def __init__(self, points: Floats, bounds: Floats) -> None:
        self._trees = {}
        for column in range(1, points.shape[1]):
            rows = np.isfinite(bounds[:, column]).all(axis=1)
            if _comes_back(bounds[rows, column]):
                before = _filled(points[rows, :column])
                self._trees[column] = _regression(before, bounds[rows, column])

    def applied(self, points: Floats) -> Floats:
        """Return `points` (m, parameters), each value replaced by the nearest in its range."""
        points = points.copy()
        for column, tree in self._trees.items() if len(points) else ():
            low, high = np.rint(tree.predict(_filled(points[:, :column]))).T
            points[:, column] = np.clip(points[:, column], low, np.maximum(low, high))
        return points


def _comes_back(bounds: Floats) -> bool:
    runs = 1 + int(np.any(bounds[1:] != bounds[:-1], axis=1).sum())
    return runs > max(1, len(np.unique(bounds, axis=0)))


def _regression(before: Floats, bounds: Floats) -> Any:
    from sklearn.tree import DecisionTreeRegressor

    return DecisionTreeRegressor(random_state=0).fit(before, bounds)


class Conditions:
    """The conditions under which define-by-run trials ask for parameters.

    They are learnt from `points` (n, parameters), NaN where a parameter is absent. Whether a
    parameter is asked for is taken to follow from those before it: for each a decision tree tells
    it, without error for the trials that it was fitted to. A parameter that each trial has asked
    for since the first of many that did was added then, and depends on nothing.
    """

    def __init__(self, points: Floats) -> None:
        there = ~np.isnan(points)
        self._trees = {
            column: _tree(points[:, :column], there[:, column])
            for column in np.flatnonzero(~there.all(axis=0)).tolist()
            if column and not _was_added(there[:, column])
        }

    def applied(self, points: Floats) -> Floats:
        """Return `points` (m, parameters), NaN for parameters that would not be asked for."""
        points = points.copy()
        for column in self._trees:
            points[~self._asked(points, column), column] = math.nan
        return points

    def whole(self, points: Floats) -> Bools:
        """Return for each point (m,) whether it has all parameters that would be asked for."""
        lacking = np.isnan(points)
        for column in self._trees:
            lacking[:, column] &= self._asked(points, column)
        whole: Bools = ~np.any(lacking, axis=1)
        return whole

    def _asked(self, points: Floats, column: int) -> Bools:
        if not len(points):
            return np.zeros(0, dtype=bool)
        asked: Bools = self._trees[column].predict(_filled(points[:, :column]))
        return asked


def _was_added(there: Bools) -> bool:
    since = there[there.argmax() :]
    return len(since) >= ADDED and bool(since.all())


def _tree(before: Floats, there: Bools) -> Any:
    # the import takes half a second, which spaces without conditions need not pay
    from sklearn.tree import DecisionTreeClassifier

    # if trials contradict each other it is asked for: a suggestion too many does no harm
    weights = np.where(there, len(there), 1)
    return DecisionTreeClassifier(random_state=0).fit(_filled(before), there, sample_weight=weights)


def _filled(points: Floats) -> Floats:
    return np.nan_to_num(points, nan=ABSENT)
