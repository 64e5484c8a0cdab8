"""What earlier searches of a space have seen, as an expectation of the values to come."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from nasopt.samplers.points.domain import Domain, EncodedPoints
from nasopt.samplers.points.observations import normal_scores
from nasopt.samplers.surrogate.gaussian_process import Posterior, Trend, fit

Floats = NDArray[np.float64]

SLOPE, DEVIATION = 0.8, 0.4  # of a value by what an earlier search expects of it


@dataclass(frozen=True)
class Earlier:
    """The networks that earlier searches have seen, and the trend that they expect of any.

    Each search has a Gaussian process of its own, whose posterior mean is a basis of the trend. How
    much of it is true of another study, the values of that study say: a search that has nothing in
    common with it soon counts for nothing.
    """

    seen: EncodedPoints
    trend: Trend

    @classmethod
    def of(cls, searches: Sequence[Mapping[str, Any]], domain: Domain) -> Self:
        """Return what `searches` tell of the networks of `domain`.

        A search has "parameters" (names), "points" (rows of their values) and "values".
        """
        posteriors: list[Posterior] = []
        seen: EncodedPoints | None = None
        for search in searches:
            params = [dict(zip(search["parameters"], row, strict=True)) for row in search["points"]]
            networks = domain.encode(domain.axes.encode(params))
            scores, noise = normal_scores(np.array(search["values"])).scores, np.ones(len(params))
            kernel = fit(networks.columns, domain.groups, scores, noise)
            posteriors.append(Posterior(kernel, networks.columns, scores, noise))
            seen = networks if seen is None else seen + networks
        assert seen is not None

        def bases(columns: Floats) -> Floats:
            return np.column_stack([posterior.mean(columns) for posterior in posteriors])

        slopes = np.full(len(posteriors), SLOPE / len(posteriors))
        return cls(seen, Trend(bases, slopes, np.full(len(posteriors), DEVIATION)))
