"""A Gaussian process whose weights are fitted to the data, one for each group of columns."""

import math
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import cho_factor, cho_solve, solve_triangular
from scipy.optimize import minimize
from threadpoolctl import ThreadpoolController

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

JITTER = 1e-6
ITERATIONS = 30
LEAST_FITTED = 2  # observations: fewer tell nothing of a kernel
AMPLITUDE, WEIGHTS, NOISE = 0.5, 0.25, 0.05  # means of the priors: of all weights together
NOISE_RANGE = (1e-4, 1.0)
RANGE = (-5.0, 4.0)  # of the other logarithms, from the means of their priors


_limiting = threading.Lock()


@contextmanager
def one_thread() -> Iterator[None]:
    """Let BLAS use one thread, for one search at a time: the limit is of the whole process.

    For matrices of this size a second thread only waits: 93 ms a suggestion, not 49 (100 trials of
    62 parameters, two cores). With one, suggestions do not depend on the machine's number of cores.
    """
    with _limiting, _libraries().limit(limits=1, user_api="blas"):
        yield


@cache
def _libraries() -> ThreadpoolController:
    """Return the loaded libraries: to look for them takes 1.6 ms, a tenth of a suggestion."""
    return ThreadpoolController()


@dataclass(frozen=True)
class Kernel:
    """The kernel k(x, z) = amplitude * Matern52(r), r^2 = sum of weights * (x - z)^2.

    `weights` has one for each column; `noise` is a variance.
    """

    amplitude: float
    weights: Floats
    noise: float

    def __call__(self, x: Floats, z: Floats) -> Floats:
        """Return the covariances (len(x), len(z))."""
        scale = np.sqrt(self.weights)
        return self.amplitude * _matern(_squares(x * scale, z * scale))[0]


@dataclass(frozen=True)
class Trend:
    """What is expected of a value before any is seen: the sum of slope * basis over k bases.

    `bases` gives those (n, k) at columns (n, c). The slopes are independent normal numbers, of
    means `slopes` (k,) and standard deviations `deviations` (k,): so the values say how much of a
    basis is true of them.
    """

    bases: Callable[[Floats], Floats]
    slopes: Floats
    deviations: Floats

    def mean(self, columns: Floats) -> Floats:
        """Return the expectations (n,) at `columns` (n, c)."""
        mean: Floats = self.bases(columns) @ self.slopes
        return mean

    def covariance(self, x: Floats, z: Floats) -> Floats:
        """Return the covariances (len(x), len(z)) that come of not knowing the slopes."""
        covariance: Floats = (self.bases(x) * self.deviations**2) @ self.bases(z).T
        return covariance

    def variance(self, columns: Floats) -> Floats:
        """Return the diagonal (n,) of `covariance` at `columns` (n, c)."""
        variance: Floats = self.bases(columns) ** 2 @ self.deviations**2
        return variance


NO_TREND = Trend(lambda columns: np.zeros((len(columns), 0)), np.zeros(0), np.zeros(0))


def fit(
    columns: Floats, groups: Ints, values: Floats, noise: Floats, trend: Trend = NO_TREND
) -> Kernel:
    """Return the most likely kernel for `values` (n,) at `columns` (n, c), given the priors.

    Of fewer than two values it is that of the priors' means. `groups` (c,) numbers the groups that
    share a weight from 0; `noise` (n,) are factors of the noise; the kernel is of what is beyond
    `trend`. The priors of the logarithms of all parameters are normal, with unit variance; the mean
    of a weight falls with their number, which is what makes many of them work.

    Raises numpy.linalg.LinAlgError if the numbers are not finite.
    """
    count = int(groups.max()) + 1 if len(groups) else 0
    means = np.log([AMPLITUDE, *[WEIGHTS / max(count, 1)] * count, NOISE])
    if len(values) < LEAST_FITTED:
        return Kernel(AMPLITUDE, np.exp(means[1:-1])[groups], NOISE)
    bounds = [(mean + RANGE[0], mean + RANGE[1]) for mean in means[:-1]]
    bounds.append((math.log(NOISE_RANGE[0]), math.log(NOISE_RANGE[1])))

    def loss(logs: Floats) -> tuple[float, Floats]:
        value, gradient = _log_likelihood(logs, columns, groups, beyond, noise, uncertain)
        return (
            0.5 * float(((logs - means) ** 2).sum()) - value,
            logs - means - gradient,
        )

    beyond, uncertain = values - trend.mean(columns), trend.covariance(columns, columns)
    options = {"maxiter": ITERATIONS}
    logs = minimize(loss, means, jac=True, method="L-BFGS-B", bounds=bounds, options=options).x
    return Kernel(math.exp(logs[0]), np.exp(logs[1:-1])[groups], math.exp(logs[-1]))


def _log_likelihood(
    logs: Floats,
    columns: Floats,
    groups: Ints,
    values: Floats,
    noise: Floats,
    uncertain: Floats,
) -> tuple[float, Floats]:
    """Return the log likelihood of `values`, up to a constant, and its gradient in `logs`.

    `uncertain` (n, n) is a covariance besides the kernel's, which does not depend on `logs`.
    With A the weighted columns, M = (alpha alpha' - K^-1) / 2 and H = M * a k'(r^2), the part of a
    column is 2 (sum_j (H 1)_j A_j^2 - diag(A' H A)): this needs no matrix for each weight.
    """
    amplitude, own = math.exp(logs[0]), math.exp(logs[-1]) * noise
    scaled = columns * np.sqrt(np.exp(logs[1:-1])[groups])
    correlation, slope = _matern(_squares(scaled, scaled))
    covariance = amplitude * correlation
    kernel = covariance + uncertain
    kernel.flat[:: len(kernel) + 1] += own + JITTER
    factor = cho_factor(kernel, lower=True)
    alpha = cho_solve(factor, values)
    inverse = cho_solve(factor, np.eye(len(kernel)))
    value = -0.5 * values @ alpha - np.log(factor[0].diagonal()).sum()
    half = 0.5 * (np.outer(alpha, alpha) - inverse)
    inner = half * slope * amplitude
    parts = 2 * (inner.sum(axis=1) @ scaled**2 - (scaled * (inner @ scaled)).sum(axis=0))
    weights = np.bincount(groups, parts, minlength=len(logs) - 2)
    return float(value), np.array([(half * covariance).sum(), *weights, half.diagonal() @ own])


class Posterior:
    """The posterior of a Gaussian process with `kernel`, given `values` (n,) at `columns` (n, c).

    `noise` (n,) are factors of the kernel's noise. The kernel is of what is beyond `trend`.
    """

    def __init__(
        self,
        kernel: Kernel,
        columns: Floats,
        values: Floats,
        noise: Floats,
        trend: Trend = NO_TREND,
    ) -> None:
        self.kernel = kernel
        self.columns = columns
        self.noise = noise
        self.trend = trend
        covariance = self._covariance(columns, columns)
        covariance.flat[:: len(covariance) + 1] += kernel.noise * noise + JITTER
        self._factor = cho_factor(covariance, lower=True)
        self._alpha = cho_solve(self._factor, values - trend.mean(columns))
        self.values = values

    def mean(self, columns: Floats) -> Floats:
        """Return the expectations (m,) at `columns` (m, c)."""
        cross = self._covariance(columns, self.columns)
        mean: Floats = cross @ self._alpha + self.trend.mean(columns)
        return mean

    def mean_and_deviation(self, columns: Floats) -> tuple[Floats, Floats]:
        """Return expectations and standard deviations (m,), without the noise of one value."""
        cross = self._covariance(columns, self.columns)
        solved = solve_triangular(self._factor[0], cross.T, lower=True)
        alone = self.kernel.amplitude + self.trend.variance(columns)
        variance = alone - (solved**2).sum(axis=0)
        mean = cross @ self._alpha + self.trend.mean(columns)
        return mean, np.sqrt(np.maximum(variance, 1e-12))

    def condition_on_pending(self, columns: Floats) -> "Posterior":
        """Return the posterior as if `columns` (m, c) had been observed, each as expected.

        Source: the kriging believer of Ginsbourger et al. 2010.
        """
        if not len(columns):
            return self
        return Posterior(
            self.kernel,
            np.concatenate([self.columns, columns]),
            np.concatenate([self.values, self.mean(columns)]),
            np.concatenate([self.noise, np.ones(len(columns))]),
            self.trend,
        )

    def _covariance(self, x: Floats, z: Floats) -> Floats:
        return self.kernel(x, z) + self.trend.covariance(x, z)


def _squares(x: Floats, z: Floats) -> Floats:
    """Return the squared distances (len(x), len(z))."""
    squares = (x**2).sum(axis=1)[:, None] + (z**2).sum(axis=1) - 2 * x @ z.T
    result: Floats = np.maximum(squares, 0)
    return result


def _matern(squares: Floats) -> tuple[Floats, Floats]:
    """Return the Matern 5/2 correlation at squared distances, and its derivative in them."""
    root = np.sqrt(5 * squares)
    decay = np.exp(-root)
    return (1 + root + 5 / 3 * squares) * decay, -5 / 6 * (1 + root) * decay
