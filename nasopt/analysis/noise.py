"""The noise of a search: how much of what it sees is architecture, and how much the training seed.

A few random networks are trained with a few seeds each, and the variance of their validation
accuracies is split in two. No sampler can find a difference that the luck of the seed hides. A
few broken networks raise the share of architecture, so it is measured among the better half, too.
"""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import combinations, count, takewhile
from statistics import NormalDist
from typing import Any

import numpy as np
import numpy.typing as npt

from nasopt.analysis.shown import Shown
from nasopt.training.evaluation import Evaluation

Table = npt.NDArray[np.float64]  # networks x seeds

CONFIDENCE = 0.95
GOOD_SHARE = 0.6  # of the variance that is architecture: above it a search has something to find
WEAK_SHARE = 0.3  # below it samplers can hardly be told apart
WANTED_SHARE = 0.8  # what averaging over seeds should reach
JUDGES = 2  # seeds that judge a half that the others chose: the fewest that tell a variance
LEAST_NETWORKS = 4  # of which a half has a variance
LEAST_SEEDS = JUDGES + 1
SAMPLE_SEED = 0  # of the random networks, so that a second call finds the first one's trainings


@dataclass(frozen=True)
class Components:
    """The variance components of one training's accuracy (a fraction), among some networks.

    `share` is the part of the variance that is architecture (the intraclass correlation), `low` to
    `high` its 95 % interval. `smallest_difference` is the least between two single trainings that
    is significant at 5 %. `replicates` is how many seeds an average needs for a share of .8; None
    where no number of them helps.
    """

    architectures: int
    mean: float
    between: float  # standard deviation between networks
    within: float  # standard deviation between seeds of one network
    share: float
    low: float
    high: float
    smallest_difference: float
    replicates: int | None


@dataclass(frozen=True)
class Noise(Components, Shown):
    """The components among all networks, and among the `better` half, where a search looks.

    Two seeds judge the half that the others chose, in all splits of the seeds: so choosing does not
    flatter it. None with fewer than 4 networks or 3 seeds.
    """

    seeds: int
    better: Components | None
    metric: str = "accuracy"  # that the trainings are scored by

    def to_json(self) -> dict[str, Any]:
        return {**asdict(self), "verdict": self.verdict, "remedies": list(self.remedies)}

    @property
    def decisive(self) -> Components:
        """The components that the verdict goes by: those of the better half, if they are known."""
        return self.better or self

    @property
    def shares(self) -> str:
        """The shares that are architecture, in a sentence."""
        told = f"{_with_interval(self)} of the variance of trainings is architecture"
        if self.better:
            told += f", among the better half of the networks {_with_interval(self.better)}"
        return f"{told}."

    @property
    def verdict(self) -> str:
        """The differences that a search can detect here, in one or two sentences."""
        if self.between == self.within == 0:
            return "All trainings gave the same accuracy: there is nothing to search for."
        found = self.decisive
        where = "among the better half of the networks" if self.better else "among all networks"
        if found.between == found.within == 0:
            return f"All trainings {where} gave the same accuracy: there a search finds nothing."
        if found.share >= GOOD_SHARE:
            told = f"A good signal: {where} most of what a search sees is architecture."
        elif found.share >= WEAK_SHARE:
            told = f"A fair signal: {where} samplers can be told apart, with several seeds each."
        else:
            told = f"A weak signal: {where} the winner of a search is mostly the luckiest seed."
        return " ".join([told, *self._doubts()])

    def _doubts(self) -> Iterator[str]:
        if self.better is None:
            yield (
                "A few poor ones may raise that; the better half can be judged from "
                f"{LEAST_NETWORKS} networks and {LEAST_SEEDS} seeds on."
            )
        elif self.better.low < WEAK_SHARE and self.better.high >= GOOD_SHARE:
            yield f"It may be weak or good: {self.architectures} networks are too few to tell."

    @property
    def remedies(self) -> tuple[str, ...]:
        """The remedies, most promising first; none where the signal is good."""
        if self.decisive.share >= GOOD_SHARE:
            return ()
        advice = []
        if self.decisive.replicates is not None:
            advice.append(f"average {self.decisive.replicates} training seeds a network")
        if self.mean > 1 - 2 * self.within or self.mean > 0.97:
            advice.append("a limit (parameters <= N): without one nearly all networks are good")
        advice += [
            "more epochs, or a lower learning rate: both steady a training",
            "more validation images (a larger limit=)",
            "a wider space: networks that differ more",
        ]
        return tuple(advice)


def _with_interval(found: Components) -> str:
    return f"{found.share:.2f} (95 % interval {found.low:.2f} to {found.high:.2f})"


def variance_components(accuracies: Sequence[Sequence[float]]) -> Noise:
    """Split the variance of `accuracies` (networks x seeds, at least 2 x 2).

    One-way random-effects analysis of variance; the interval is the exact one of the F
    distribution (Searle, Casella, McCulloch 1992, section 3.6), negative estimates are 0.
    """
    table = np.asarray(accuracies, dtype=float)
    everywhere = _components([table], table.shape[1])
    return Noise(**asdict(everywhere), seeds=table.shape[1], better=_better_half(table))


def _better_half(table: Table) -> Components | None:
    networks, seeds = table.shape
    if networks < LEAST_NETWORKS or seeds < LEAST_SEEDS:
        return None
    halves = []
    for judges in combinations(range(seeds), JUDGES):
        seen = np.delete(table, judges, axis=1).mean(axis=1)
        best = np.argsort(-seen, kind="stable")[: math.ceil(networks / 2)]
        halves.append(table[best][:, list(judges)])
    return _components(halves, seeds - 1)


def _components(tables: Sequence[Table], seeds: int) -> Components:
    """Return the components of `tables` (networks x seeds each), averaged.

    The interval is that of one table with so many `seeds`. Halves that were judged by all pairs of
    k seeds are worth k - 1: simulated, their interval holds the truth in 93 of 100 and more.
    """
    networks, judges = tables[0].shape
    within = float(np.mean([table.var(axis=1, ddof=1) for table in tables]))
    means = float(np.mean([table.mean(axis=1).var(ddof=1) for table in tables]))
    unbiased = means - within / judges
    low, high = _share_interval(unbiased, within, networks, seeds)
    between = max(0.0, unbiased)
    total = between + within
    quantile = NormalDist().inv_cdf((1 + CONFIDENCE) / 2)
    wanted = WANTED_SHARE / (1 - WANTED_SHARE)
    return Components(
        architectures=networks,
        mean=float(np.mean(tables)),
        between=math.sqrt(between),
        within=math.sqrt(within),
        share=between / total if total else 0.0,
        low=low,
        high=high,
        smallest_difference=quantile * math.sqrt(2 * within),
        replicates=math.ceil(wanted * within / between) if between else None,
    )


def _share_interval(
    between: float, within: float, networks: int, seeds: int
) -> tuple[float, float]:
    if within == 0:
        return (1.0, 1.0) if between else (0.0, 0.0)
    from scipy.special import fdtri  # the quantiles of F, without the second that scipy.stats takes

    freedom = (networks - 1, networks * (seeds - 1))
    tail = (1 - CONFIDENCE) / 2
    ratio = max(0.0, 1 + seeds * between / within)
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
        seeds = map(network.reseeded, count())
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
