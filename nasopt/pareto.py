"""The Pareto front of values to maximise against costs to minimise, and the fronts behind it."""

from collections.abc import Iterator
from itertools import chain, islice

import numpy as np
from numpy.typing import ArrayLike, NDArray

Rows = NDArray[np.int64]


def fronts(values: ArrayLike, costs: ArrayLike) -> Iterator[Rows]:
    """Yield the rows of the front, then of the front without them, and so on, each by its costs.

    Of equal points the first is on the front and the others are on the next ones. Optuna's
    non-domination rank has all of them on the same front, so that copies of one network could fill
    it.
    """
    values, costs = np.asarray(values, dtype=float), np.asarray(costs, dtype=float)
    left = np.lexsort((-values, costs))
    while len(left):
        best = np.maximum.accumulate(values[left])
        first = np.r_[True, np.diff(best) > 0]
        yield left[first]
        left = left[~first]


def nondominated_sort(values: ArrayLike, costs: ArrayLike, n: int) -> Rows:
    """Return the first `n` rows of all fronts in order, or all rows if they are fewer."""
    rows = chain.from_iterable(fronts(values, costs))
    return np.fromiter(islice(rows, n), dtype=np.int64)
