"""`Front`: the best value at each cost, and the area that a point would add."""

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


class Front:
    """The points of highest `values` (n,) at no higher `costs` (n,).

    Gains are measured up to the highest of the costs and down to the lowest of the values.
    """

    def __init__(self, values: Floats, costs: Floats) -> None:
        order = np.lexsort((-values, costs))
        best = np.maximum.accumulate(values[order])
        first = np.r_[True, np.diff(best) > 0]
        self._levels = np.r_[values.min(), best[first]]
        self._edges = np.r_[-np.inf, costs[order][first], costs.max()]

    def hypervolume_improvement(self, values: Floats, costs: Floats) -> Floats:
        """Return the areas (m,) that points of `values` and `costs` (m,) would add, each alone."""
        from_ = np.maximum(self._edges[:-1], costs[:, None])
        widths = np.maximum(self._edges[1:] - from_, 0)
        heights = np.maximum(values[:, None] - self._levels, 0)
        gains: Floats = (widths * heights).sum(axis=1)
        return gains


def nondominated_sort(values: Floats, costs: Floats, n: int) -> Ints:
    """Return `n` rows, or all: those of the front, then of the front without them, and so on."""
    left = np.lexsort((-values, costs))
    rows: list[int] = []
    while len(left) and len(rows) < n:
        best = np.maximum.accumulate(values[left])
        first = np.r_[True, np.diff(best) > 0]
        rows += left[first].tolist()
        left = left[~first]
    return np.array(rows[:n], dtype=np.int64)
