"""What a trial would ask for, learnt from what others asked for: `search_space`, `Conditions`."""

import math
from collections import defaultdict
from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from optuna.distributions import BaseDistribution, FloatDistribution, IntDistribution
from optuna.trial import FrozenTrial

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

ABSENT = -1.0  # a coordinate below all others
RECENT = 10  # trials with a parameter, whose ranges count: it may be another in each, or for good


def search_space(trials: Iterable[FrozenTrial]) -> dict[str, BaseDistribution]:
    """All parameters that any of `trials` has asked for, with all that the last of them could take.

    A range may depend on other parameters: then it is a part of this one.
    """
    asked: dict[str, list[BaseDistribution]] = defaultdict(list)
    for trial in trials:
        for name, distribution in trial.distributions.items():
            asked[name].append(distribution)
    space = {}
    for name, each in asked.items():
        *others, space[name] = each[-RECENT:]
        for other in others:
            space[name] = _both(space[name], other)
    return space


def _both(one: BaseDistribution, other: BaseDistribution) -> BaseDistribution:
    """The range of all values of both; `one`, if they have none in common."""
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


class Conditions:
    """What define-by-run trials with these `points` (n, parameters) tell, NaN being absence.

    Whether a parameter is asked for is taken to follow from those that stand before it: a decision
    tree each tells it without error for the trials that it has learnt from.
    """

    def __init__(self, points: Floats) -> None:
        there = ~np.isnan(points)
        self._trees = {
            column: _tree(points[:, :column], there[:, column])
            for column in np.flatnonzero(~there.all(axis=0)).tolist()
            if column
        }

    def applied(self, points: Floats) -> Floats:
        """`points` (m, parameters) with NaN for what would not be asked for."""
        points = points.copy()
        for column in self._trees:
            points[~self._asked(points, column), column] = math.nan
        return points

    def whole(self, points: Floats) -> Bools:
        """(m,) whether each has all that it would be asked for."""
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


def _tree(before: Floats, there: Bools) -> Any:
    # half a second, which spaces without conditions need not pay
    from sklearn.tree import DecisionTreeClassifier

    return DecisionTreeClassifier(random_state=0).fit(_filled(before), there)


def _filled(points: Floats) -> Floats:
    return np.nan_to_num(points, nan=ABSENT)
