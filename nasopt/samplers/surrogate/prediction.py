"""`Prediction`: the value that a model expected of a trial, to be compared with the outcome."""

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from nasopt.samplers.points.domain import EncodedPoints
from nasopt.samplers.points.history import History
from nasopt.storage.prediction import Near, Prediction

if TYPE_CHECKING:
    from nasopt.samplers.surrogate.gaussian_process import Posterior

Floats = NDArray[np.float64]

WIDTH = 1.96  # deviations; 95 % of a normal distribution are within
MOST_WEIGHTS, MOST_NEAR = 5, 3


def prediction(
    history: History, model: "Posterior", value_of: Callable[[Floats], Floats], point: Floats
) -> Prediction:
    """Return the prediction of `model` for `point`; `value_of` leads from scores to values."""
    encoded = history.encode(point[None])
    mean, deviation = model.mean_and_deviation(encoded.columns)
    spread = WIDTH * np.sqrt(deviation[0] ** 2 + model.kernel.noise)
    bounds = value_of(mean[0] + spread * np.array([-1.0, 0.0, 1.0]))
    low, expected, high = sorted(bounds.tolist())
    return Prediction(
        expected, low, high, _weights(history, model), _nearest(history, model, encoded)
    )


def _weights(history: History, model: "Posterior") -> dict[str, float]:
    domain = history.domain
    weights = np.zeros(len(domain.group_names))
    weights[domain.groups] = model.kernel.weights  # the columns of a group share theirs
    shares = weights / weights.sum()
    largest = np.argsort(-shares, kind="stable")[:MOST_WEIGHTS]
    return {domain.group_names[group]: float(shares[group]) for group in largest}


def _nearest(history: History, model: "Posterior", encoded: EncodedPoints) -> tuple[Near, ...]:
    told = history.observed
    apart = (history.known.columns[told] - encoded.columns) ** 2 @ model.kernel.weights
    near = np.argsort(apart, kind="stable")[:MOST_NEAR]
    trials = [(history.trials[told[row]], float(np.sqrt(apart[row]))) for row in near]
    return tuple(Near(t.number, d, t.values[0] if t.values else None) for t, d in trials)
