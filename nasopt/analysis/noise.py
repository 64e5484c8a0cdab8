"""The noise of a search: how much of what it sees is architecture, and how much the training seed.

A few random networks are trained with a few seeds each, and the variance of their validation
accuracies is split in two. No sampler can find a difference that the luck of the seed hides.
"""

import logging
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import count, takewhile
from statistics import NormalDist
from typing import TYPE_CHECKING, Any

import numpy as np

from nasopt.analysis.shown import Shown
from nasopt.training.evaluation import Evaluation

if TYPE_CHECKING:  # they import torch, which what was measured before can be read without
    pass

logger = logging.getLogger("nasopt")

CONFIDENCE = 0.95
GOOD_SHARE = 0.6  # of the variance that is architecture: above it a search has something to find
WEAK_SHARE = 0.3  # below it samplers can hardly be told apart
WANTED_SHARE = 0.8  # what averaging over seeds should reach
SAMPLE_SEED = 0  # of the random networks, so that a second call finds the first one's trainings


@dataclass(frozen=True)
class Noise(Shown):
    """The variance components of one training's accuracy (a fraction).

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
        """One sentence on the differences that a search can detect here."""
        if self.between == self.within == 0:
            return "All trainings gave the same accuracy: there is nothing to search for."
        if self.share >= GOOD_SHARE:
            return "A good signal: most of what a search sees here is architecture."
        if self.share >= WEAK_SHARE:
            return "A fair signal: samplers can be told apart, with several seeds each."
        return "A weak signal: the winner of a search here is mostly the luckiest seed."

    @property
    def remedies(self) -> tuple[str, ...]:
        """The remedies, most promising first; none where the signal is good."""
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
    n_networks, seeds = table.shape
    within = float(table.var(axis=1, ddof=1).mean())
    means = float(seeds * table.mean(axis=1).var(ddof=1))
    between = max(0.0, (means - within) / seeds)
    low, high = _share_interval(means, within, n_networks, seeds)
    total = between + within
    quantile = NormalDist().inv_cdf((1 + CONFIDENCE) / 2)
    wanted = WANTED_SHARE / (1 - WANTED_SHARE)
    return Noise(
        architectures=n_networks,
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


def _share_interval(
    means: float, within: float, n_networks: int, seeds: int
) -> tuple[float, float]:
    if within == 0:
        return (1.0, 1.0) if means else (0.0, 0.0)
    from scipy.special import fdtri  # the quantiles of F, without the second that scipy.stats takes

    freedom = (n_networks - 1, n_networks * (seeds - 1))
    tail = (1 - CONFIDENCE) / 2
    ratio = means / within
    lower = ratio / float(fdtri(*freedom, 1 - tail))
    upper = ratio / float(fdtri(*freedom, tail))
    low, high = ((f - 1) / (f + seeds - 1) for f in (lower, upper))
    return max(0.0, low), max(0.0, high)


def recorded_noise(
    draws: Iterable[Evaluation], accuracies: Mapping[str, float], *, limited: bool
) -> Noise | None:
    """Return the noise that was measured once, from what a ledger knows; None if it never was.

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
