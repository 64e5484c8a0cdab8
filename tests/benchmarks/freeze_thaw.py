"""Paused networks that may go on, against pruning, replayed on learning curves of real trainings.

    python -m tests.benchmarks.freeze_thaw runs/digits20.db

A Gaussian process chooses among the networks that the studies of databases trained to their end, by
its upper bound, as the default sampler does among all; the first ten are random, and trained
whole. Freeze-thaw (Swersky et al. 2014, arXiv:1406.3896) trains what is highest for some epochs
more, be it a new network or a paused one, whose value so far a line takes to the final one. Told is
what the best of the complete networks lacks, in standard deviations of all, after as many epochs as
so many whole trainings take, with the standard error over orders.
"""

import argparse
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from nasopt.samplers.points.observations import winsorised
from nasopt.samplers.surrogate.gaussian_process import Kernel, Posterior, fit
from tests.benchmarks.pruning import (
    Networks,
    Stops,
    fitted_line,
    known,
    modelled_reach,
)

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

RANDOM = 10  # trainings before a model is asked
TRAININGS = (15, 20, 25, 30, 40)
LEAST_VARIANCE = 1e-8  # of what a line does not tell
NEW_SHARE = 10  # the kernel is fitted anew where one in so many complete trainings is new


@dataclass(frozen=True)
class Way:
    """How trainings are gone on with: `step` epochs at a time, up to `deviations` of optimism.

    A network that is begun is trained to its end unless `may_pause`, but for what `stops` stops.
    """

    name: str
    step: int
    deviations: float = 2.0
    may_pause: bool = False
    stops: Stops | None = None


def ways(epochs: int) -> list[Way]:
    third = max(2, -(-epochs // 3))
    return [
        Way("each to its end", epochs),
        Way("`surrogate`: pruned at thirds, by 3 deviations", third, stops=modelled_reach(3)),
        Way("freeze-thaw, an epoch at a time", 1, may_pause=True),
        Way("less optimistic: 1 deviation", 1, 1.0, may_pause=True),
        Way("a third at a time", third, may_pause=True),
        Way("pruned after an epoch by one who knows all", 1, stops=_knows),
    ]


def _knows(complete: Networks, own: Networks, epochs: int) -> bool:
    return bool(own.scores[0, -1] <= complete.scores[:, -1].max())


def search(networks: Networks, way: Way, seed: int, budget: int) -> Iterator[tuple[int, float]]:
    """Yield (epochs so far, best final score) after each piece of training."""
    count, last = networks.scores.shape
    reached = np.zeros(count, dtype=np.int64)  # epochs of each
    closed = np.zeros(count, dtype=bool)
    kernel: Kernel | None = None
    fitted = spent = 0
    best = -np.inf
    for first in np.random.default_rng(seed).permutation(count)[:RANDOM]:
        reached[first], closed[first] = last, True
        spent, best = spent + last, max(best, float(networks.scores[first, -1]))
        yield spent, best
    while spent < budget and not closed.all():
        complete = np.flatnonzero(reached == last)
        partly = np.flatnonzero((reached > 0) & (reached < last))
        values, variances = _expected(networks, complete, partly, reached)
        scores = winsorised(values).scores
        told = networks.columns[np.r_[complete, partly]]
        if kernel is None or len(complete) - fitted >= max(1, fitted // NEW_SHARE):
            fitted, ones = len(complete), np.ones(len(complete))
            kernel = fit(told[:fitted], networks.groups, scores[:fitted], ones)
        mean, deviation = _predicted(
            networks, kernel, told, scores, variances / values.var(), partly
        )
        bound = np.where(closed, -np.inf, mean + way.deviations * deviation)
        chosen = int(np.argmax(bound))
        while not closed[chosen]:
            before = int(reached[chosen])
            reached[chosen] = min(last, before + way.step)
            spent += int(reached[chosen]) - before
            if reached[chosen] == last:
                best, closed[chosen] = max(best, float(networks.scores[chosen, -1])), True
            yield spent, best
            if way.may_pause:
                break
            own, epochs = networks[[chosen]], int(reached[chosen])
            if epochs < last and way.stops and way.stops(networks[complete.tolist()], own, epochs):
                closed[chosen] = True


def _expected(
    networks: Networks, complete: Ints, partly: Ints, reached: Ints
) -> tuple[Floats, Floats]:
    """Return the final values of the `complete`, those expected of the others, and variances."""
    late = networks.scores[complete, -1]
    values, variances = late.tolist(), [0.0] * len(complete)
    for network in partly:
        early = networks.scores[complete, reached[network] - 1]
        slope, around = fitted_line(early, late)
        now = networks.scores[network, reached[network] - 1]
        values.append(late.mean() + slope * (now - early.mean()))
        variances.append(max(float(around.var()), LEAST_VARIANCE))
    return np.array(values), np.array(variances)


def _predicted(
    networks: Networks,
    kernel: Kernel,
    told: Floats,
    scores: Floats,
    variances: Floats,
    partly: Ints,
) -> tuple[Floats, Floats]:
    """Return the mean and the deviation of the final scores of all networks.

    What a paused one will reach, its value so far says, and what the complete ones say of it.
    """
    complete = len(told) - len(partly)
    noise = 1 + variances / kernel.noise
    model = Posterior(kernel, told, scores, noise)
    mean, deviation = model.mean_and_deviation(networks.columns)
    if len(partly):
        others = Posterior(kernel, told[:complete], scores[:complete], noise[:complete])
        prior, spread = others.mean_and_deviation(told[complete:])
        by_others, by_itself = 1 / (spread**2 + kernel.noise), 1 / variances[complete:]
        both = by_others + by_itself
        mean[partly] = (by_others * prior + by_itself * scores[complete:]) / both
        deviation[partly] = both**-0.5
    return mean, deviation


def table(networks: Networks, orders: int) -> Iterator[str]:
    count, epochs = networks.scores.shape
    final = networks.scores[:, -1]
    after = " / ".join(map(str, TRAININGS))
    yield f"| way ({count} networks, {epochs} epochs) | lacking after {after} trainings' epochs |"
    yield "|---|---|"
    for way in ways(epochs):
        lacking = []
        for seed in range(orders):
            spent, best = np.array(list(search(networks, way, seed, TRAININGS[-1] * epochs))).T
            at = [best[spent <= epochs * trainings][-1] for trainings in TRAININGS]
            lacking.append((final.max() - np.array(at)) / final.std())
        means = np.mean(lacking, axis=0)
        errors = np.std(lacking, axis=0, ddof=1) / np.sqrt(orders)
        cells = (f"{mean:.2f} +- {error:.2f}" for mean, error in zip(means, errors, strict=True))
        yield f"| {way.name} | {' / '.join(cells)} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("storage", type=Path, nargs="+")
    parser.add_argument("--orders", type=int, default=30)
    given = parser.parse_args()
    for line in table(known(*given.storage), given.orders):
        print(line, flush=True)


if __name__ == "__main__":
    main()
