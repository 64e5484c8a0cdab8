"""`Conditions`: which parameters a trial would ask for, learnt from those that others asked for."""

import math

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]


class Conditions:
    """What define-by-run trials with these `points` (n, parameters) tell, NaN being absence.

    A parameter is taken to depend on one that stands before it: on the one from whose value its
    presence can be told with the fewest errors, when each point is told by the others.
    """

    def __init__(self, points: Floats) -> None:
        there = ~np.isnan(points)
        values = [np.unique(column, return_inverse=True) for column in points.T]
        self._rules: list[tuple[int, int, Floats, Bools]] = []  # (column, on, values, presence)
        for column in np.flatnonzero(~np.all(there, axis=0)).tolist():
            errors = [_errors(inverse, there[:, column]) for _, inverse in values[:column]]
            if errors:
                on = int(np.argmin(errors))
                of, inverse = values[on]
                share = np.bincount(inverse, there[:, column]) / np.bincount(inverse)
                self._rules.append((column, on, of, share >= 0.5))

    def applied(self, points: Floats) -> Floats:
        """`points` (m, parameters) with NaN for what would not be asked for."""
        points = points.copy()
        for column, on, values, presence in self._rules:
            numbers = values[~np.isnan(values)]
            between = (numbers[1:] + numbers[:-1]) / 2
            nearest = np.searchsorted(between, np.nan_to_num(points[:, on]))
            nearest[np.isnan(points[:, on])] = len(values) - 1  # NaN is the last, if there is one
            points[~presence[nearest], column] = math.nan
        return points


def _errors(inverse: NDArray[np.intp], there: Bools) -> int:
    """How often presence is told wrongly, a value that stands once being no help."""
    counts = np.bincount(inverse)
    present = np.bincount(inverse, there)
    fewer = np.minimum(present, counts - present)
    return int(np.where(counts == 1, 1, fewer).sum())
