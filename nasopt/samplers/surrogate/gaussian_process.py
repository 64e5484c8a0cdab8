"""A Gaussian process whose weights are fitted to the data, one for each group of columns."""

import math
import threading
from collections.abc import Iterator
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


def fit(columns: Floats, groups: Ints, values: Floats, noise: Floats) -> Kernel:
    """Return the most likely kernel for `values` (n,) at `columns` (n, c), given the priors.

    `groups` (c,) numbers the groups that share a weight from 0; `noise` (n,) are factors of the
    noise. The priors of the logarithms of all parameters are normal, with unit variance; the mean
    of a weight falls with their number, which is what makes many of them work.

    Raises numpy.linalg.LinAlgError if the numbers are not finite.
    """
    count = int(groups.max()) + 1 if len(groups) else 0
    means = np.log([AMPLITUDE, *[WEIGHTS / max(count, 1)] * count, NOISE])
    bounds = [(mean + RANGE[0], mean + RANGE[1]) for mean in means[:-1]]
    bounds.append((math.log(NOISE_RANGE[0]), math.log(NOISE_RANGE[1])))

    def loss(logs: Floats) -> tuple[float, Floats]:
        value, gradient = _log_likelihood(logs, columns, groups, values, noise)
        return (
            0.5 * float(((logs - means) ** 2).sum()) - value,
            logs - means - gradient,
        )

    options = {"maxiter": ITERATIONS}
    logs = minimize(loss, means, jac=True, method="L-BFGS-B", bounds=bounds, options=options).x
    return Kernel(math.exp(logs[0]), np.exp(logs[1:-1])[groups], math.exp(logs[-1]))


def _log_likelihood(
    logs: Floats, columns: Floats, groups: Ints, values: Floats, noise: Floats
) -> tuple[float, Floats]:
    """Return the log likelihood of `values`, up to a constant, and its gradient in `logs`.

    With A the weighted columns, M = (alpha alpha' - K^-1) / 2 and H = M * a k'(r^2), the part of a
    column is 2 (sum_j (H 1)_j A_j^2 - diag(A' H A)): this needs no matrix for each weight.
    """
    amplitude, own = math.exp(logs[0]), math.exp(logs[-1]) * noise
    scaled = columns * np.sqrt(np.exp(logs[1:-1])[groups])
    correlation, slope = _matern(_squares(scaled, scaled))
    covariance = amplitude * correlation
    kernel = covariance.copy()
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

    `noise` (n,) are factors of the kernel's noise.
    """

    def __init__(self, kernel: Kernel, columns: Floats, values: Floats, noise: Floats) -> None:
        self.kernel = kernel
        self.columns = columns
        self.noise = noise
        covariance = kernel(columns, columns)
        covariance.flat[:: len(covariance) + 1] += kernel.noise * noise + JITTER
        self._factor = cho_factor(covariance, lower=True)
        self._alpha = cho_solve(self._factor, values)
        self.values = values

    def mean(self, columns: Floats) -> Floats:
        """Return the expectations (m,) at `columns` (m, c)."""
        mean: Floats = self.kernel(columns, self.columns) @ self._alpha
        return mean

    def mean_and_deviation(self, columns: Floats) -> tuple[Floats, Floats]:
        """Return expectations and standard deviations (m,), without the noise of one value."""
        cross = self.kernel(columns, self.columns)
        solved = solve_triangular(self._factor[0], cross.T, lower=True)
        variance = self.kernel.amplitude - (solved**2).sum(axis=0)
        return cross @ self._alpha, np.sqrt(np.maximum(variance, 1e-12))

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
        )


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
