"""How much of what a search sees is architecture, and how much is the luck of a training seed.

A few random networks are trained with a few seeds each, and the variance of their validation
accuracies is split in two. What the luck hides no sampler can find.
"""

import logging
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import count, takewhile
from pathlib import Path
from statistics import NormalDist
from typing import TYPE_CHECKING, Any

import numpy as np

from nasopt.errors import OutOfMemory, RecipeError, SpaceError
from nasopt.evaluation import EpochResult, Evaluation

if TYPE_CHECKING:  # they import torch, which what was measured before can be read without
    from nasopt.experiment import Experiment

logger = logging.getLogger("nasopt")

CONFIDENCE = 0.95
GOOD_SHARE = 0.6  # of the variance that is architecture: above it a search has something to find
WEAK_SHARE = 0.3  # below it samplers can hardly be told apart
WANTED_SHARE = 0.8  # what averaging over seeds should reach
SAMPLE_SEED = 0  # of the random networks, so that a second call finds the first one's trainings


@dataclass(frozen=True)
class Noise:
    """Variance components of one training's accuracy (a fraction).

    `share` is the part of the variance that is architecture (the intraclass correlation), `low` to
    `high` its 95 % interval. `smallest_difference` is the least between two single trainings that
    is significant at 5 %. `replicates` is how many seeds an average needs for a share of .8; None
    where no number of them helps.
    """

    architectures: int
    seeds: int
    mean: float
    between: float  # standard deviation between networks
    within: float  # standard deviation between seeds of one network
    share: float
    low: float
    high: float
    smallest_difference: float
    replicates: int | None

    def to_json(self) -> dict[str, Any]:
        return {**asdict(self), "verdict": self.verdict, "remedies": list(self.remedies)}

    @property
    def verdict(self) -> str:
        """One sentence on what a search here can tell."""
        if self.between == self.within == 0:
            return "All trainings gave the same accuracy: there is nothing to search for."
        if self.share >= GOOD_SHARE:
            return "A good signal: most of what a search sees here is architecture."
        if self.share >= WEAK_SHARE:
            return "A fair signal: samplers can be told apart, with several seeds each."
        return "A weak signal: the winner of a search here is mostly the luckiest seed."

    @property
    def remedies(self) -> tuple[str, ...]:
        """What would help, most promising first; nothing where the signal is good."""
        if self.share >= GOOD_SHARE:
            return ()
        advice = []
        if self.replicates is not None:
            advice.append(f"average {self.replicates} training seeds a network")
        if self.mean > 1 - 2 * self.within or self.mean > 0.97:
            advice.append("a limit (parameters <= N): without one nearly all networks are good")
        advice += [
            "more epochs, or a lower learning rate: both steady a training",
            "more validation images (a larger limit=)",
            "a wider space: networks that differ more",
        ]
        return tuple(advice)


def variance_components(accuracies: Sequence[Sequence[float]]) -> Noise:
    """Split the variance of `accuracies` (networks x seeds, at least 2 x 2).

    One-way random-effects analysis of variance; the interval is the exact one of the F
    distribution (Searle, Casella, McCulloch 1992, section 3.6), negative estimates are 0.
    """
    table = np.asarray(accuracies, dtype=float)
    networks, seeds = table.shape
    within = float(table.var(axis=1, ddof=1).mean())
    means = float(seeds * table.mean(axis=1).var(ddof=1))
    between = max(0.0, (means - within) / seeds)
    low, high = _share_interval(means, within, networks, seeds)
    total = between + within
    quantile = NormalDist().inv_cdf((1 + CONFIDENCE) / 2)
    wanted = WANTED_SHARE / (1 - WANTED_SHARE)
    return Noise(
        architectures=networks,
        seeds=seeds,
        mean=float(table.mean()),
        between=math.sqrt(between),
        within=math.sqrt(within),
        share=between / total if total else 0.0,
        low=low,
        high=high,
        smallest_difference=quantile * math.sqrt(2 * within),
        replicates=math.ceil(wanted * within / between) if between else None,
    )


def _share_interval(means: float, within: float, networks: int, seeds: int) -> tuple[float, float]:
    if within == 0:
        return (1.0, 1.0) if means else (0.0, 0.0)
    from scipy.special import fdtri  # the quantiles of F, without the second that scipy.stats takes

    freedom = (networks - 1, networks * (seeds - 1))
    tail = (1 - CONFIDENCE) / 2
    ratio = means / within
    lower = ratio / float(fdtri(*freedom, 1 - tail))
    upper = ratio / float(fdtri(*freedom, tail))
    low, high = ((f - 1) / (f + seeds - 1) for f in (lower, upper))
    return max(0.0, low), max(0.0, high)


def recorded_noise(
    draws: Iterable[Evaluation], accuracies: Mapping[str, float], *, limited: bool
) -> Noise | None:
    """The noise that was measured once, from what a ledger knows; None if it never was.

    `draws` are random networks in the order in which `NoiseStudy` draws them, with the seed of the
    experiment; `accuracies` are those of whole trainings by their keys. The first draw without two
    seeds ends the sample; where networks are `limited`, it may be one over a limit and is passed
    over. (Of winners that were trained again there are several seeds, too, but the first draws are
    hardly among them.)
    """
    rows = []
    seen = set()
    for network in draws:
        if network.key in seen:
            continue
        seen.add(network.key)
        seeds = (replace(network, seed=network.seed + offset) for offset in count())
        known = takewhile(lambda evaluation: evaluation.key in accuracies, seeds)
        row = [accuracies[evaluation.key] for evaluation in known]
        if len(row) > 1:
            rows.append(row)
        elif not limited:
            break
    if len(rows) < 2:
        return None
    seeds_of_all = min(map(len, rows))
    return variance_components([row[:seeds_of_all] for row in rows])


@dataclass(frozen=True)
class NoiseProgress:
    """A training of `total` is under way: `result` is its latest epoch."""

    training: int  # from 1
    total: int
    evaluation: Evaluation
    result: EpochResult


class NoiseStudy:
    """The trainings that tell the noise: iterate over it, then read `noise`.

    The evaluations are kept in the ledger: a second call costs nothing, and a search of the same
    experiment replays those of its own seed.
    """

    def __init__(
        self,
        experiment: "Experiment",
        storage: str | Path | None = None,
        device: str = "auto",
        *,
        architectures: int = 8,
        seeds: int = 3,
    ) -> None:
        from nasopt.workshop import Workshop

        for name, value in (("architectures", architectures), ("seeds", seeds)):
            if type(value) is not int or value < 2:
                raise RecipeError(f"{name}={value!r}: a variance needs 2 or more")
        if experiment.benchmark is not None:  # two seeds may well see the same replicate
            raise RecipeError(
                f"Experiment.dataset={experiment.name}: a benchmark trains nothing; give a data set"
            )
        most = experiment.networks
        sample = []
        if most is None or architectures <= most:
            sample = experiment.sample(architectures, SAMPLE_SEED)
            most = len(sample)
        if len(sample) < architectures:
            raise SpaceError(
                f"architectures={architectures}: only {most} networks within the limits were "
                "found; ask for fewer, or widen the space"
            )
        self.evaluations = [
            [replace(each, seed=experiment.seed + offset) for offset in range(seeds)]
            for each in sample
        ]
        self.workshop = Workshop(experiment, storage, device)
        self.accuracies: list[list[float]] = []

    def __iter__(self) -> Iterator[NoiseProgress]:
        self.accuracies = []
        total = sum(map(len, self.evaluations))
        training = 0
        for network in self.evaluations:
            row = []
            try:
                for evaluation in network:
                    training += 1
                    for result in self.workshop.epochs(evaluation):
                        yield NoiseProgress(training, total, evaluation, result)
                    row.append(result.accuracy)
            except OutOfMemory as error:
                logger.warning("one network is left out: %s", error)
                training += len(network) - len(row) - 1
                continue
            self.accuracies.append(row)

    @property
    def noise(self) -> Noise:
        """What the trainings told. Raises SpaceError if fewer than two networks fit the device."""
        if len(self.accuracies) < 2:
            raise SpaceError("fewer than two networks fit the device's memory; limit macs, say")
        return variance_components(self.accuracies)
