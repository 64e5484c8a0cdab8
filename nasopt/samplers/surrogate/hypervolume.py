"""`Front`: the best value at each cost, and the area that a point would add."""

import numpy as np
from numpy.typing import NDArray

from nasopt.pareto import fronts

Floats = NDArray[np.float64]


class Front:
    """The points of highest `values` (n,) at no higher `costs` (n,).

    Gains are measured up to the highest of the costs and down to the lowest of the values.
    """

    def __init__(self, values: Floats, costs: Floats) -> None:
        rows = next(fronts(values, costs))
        self._levels = np.r_[values.min(), values[rows]]
        self._edges = np.r_[-np.inf, costs[rows], costs.max()]

    def hypervolume_improvement(self, values: Floats, costs: Floats) -> Floats:
        """Return the areas (m,) that points of `values` and `costs` (m,) would add, each alone."""
        from_ = np.maximum(self._edges[:-1], costs[:, None])
        widths = np.maximum(self._edges[1:] - from_, 0)
        heights = np.maximum(values[:, None] - self._levels, 0)
        gains: Floats = (widths * heights).sum(axis=1)
        return gains
