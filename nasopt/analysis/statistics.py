"""The statistics of a few studies by each sampler.

Scores are higher where better, one a sampler and seed; the studies of one seed are a pair.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Scores = Mapping[str, Mapping[int, float]]  # sampler -> seed -> score
Numbers = NDArray[np.float64]

CONFIDENCE = 0.95
SIGNIFICANCE = 0.05
TEST_PAIRS = 8  # fewer can hardly be significant: the least p of 5 pairs is .0625, of 8 .0078
EXACT_PAIRS = 14  # up to here all assignments of signs are enumerated, ties or not
RESAMPLES = 9_999
CURVE_RESAMPLES = 1_999  # of whole curves
EQUAL = 1e-12  # differences of means below which they are the same
SEED = 0  # of the bootstrap, so that the same studies give the same interval


def _stats() -> Any:
    """Import `scipy.stats`, which takes as long as all else that the page of one study needs."""
    from scipy import stats

    return stats


@dataclass(frozen=True)
class Difference:
    """The difference of `sampler` less `baseline`, seed by seed.

    `mean` is of the pairs' differences, `low` to `high` its bootstrap 95 % interval (nan for a
    single pair). It is too short for few pairs: it holds the truth in about 87 % of cases with 5
    normal differences, in 90 % with 8. `p` is of the two-sided Wilcoxon signed-rank test and `holm`
    the same, corrected for testing several samplers; None below 8 pairs. `superiority` is the
    chance that a study by `sampler` beats one by `baseline`, whatever their seeds; a draw is half.
    """

    sampler: str
    baseline: str
    pairs: int
    mean: float
    low: float
    high: float
    p: float | None
    holm: float | None
    superiority: float

    @property
    def significant(self) -> bool:
        """True if the difference is significant at the 5 % level; never without a test."""
        return self.holm is not None and self.holm <= SIGNIFICANCE

    def to_json(self) -> dict[str, Any]:
        return {**asdict(self), "significant": self.significant}


def pairs_needed(comparisons: int) -> int:
    """Return the pairs from which on so many differences can each be significant.

    The least p of n pairs is 2 / 2^n, and the correction multiplies it by their number: 8 pairs for
    up to six differences, 9 for up to twelve.
    """
    least = math.ceil(math.log2(2 * max(comparisons, 1) / SIGNIFICANCE))
    return max(TEST_PAIRS, least)


def differences(scores: Scores, baseline: str) -> dict[str, Difference]:
    """Return the difference of each sampler to `baseline`; those without a common seed are out."""
    found: dict[str, tuple[Numbers, float]] = {}
    for sampler, by_seed in scores.items():
        seeds = sorted(by_seed.keys() & scores[baseline].keys())
        if sampler != baseline and seeds:
            ours, theirs = ([scores[name][seed] for seed in seeds] for name in (sampler, baseline))
            found[sampler] = np.subtract(ours, theirs), superiority(ours, theirs)
    ps = {name: signed_rank(d) for name, (d, _) in found.items() if len(d) >= TEST_PAIRS}
    corrected = holm(ps)
    return {
        name: Difference(
            name, baseline, len(d), float(d.mean()), *mean_interval(d),
            ps.get(name), corrected.get(name), chance,
        )
        for name, (d, chance) in found.items()
    }  # fmt: skip


def mean_interval(values: Sequence[float] | Numbers) -> tuple[float, float]:
    """Return the bootstrap 95 % interval of a mean; nan for a single value.

    Percentiles, not BCa: with 5 to 20 values it holds the truth no less often, and BCa has no
    answer where all values are equal, as accuracies on few images often are.
    """
    if len(values) < 2:
        return math.nan, math.nan
    interval = (
        _stats()
        .bootstrap(
            (np.asarray(values, dtype=float),),
            np.mean,
            n_resamples=RESAMPLES,
            confidence_level=CONFIDENCE,
            method="percentile",
            rng=np.random.default_rng(SEED),
        )
        .confidence_interval
    )
    return float(interval.low), float(interval.high)


def signed_rank(differences: Sequence[float] | Numbers) -> float:
    """Return the two-sided p of Wilcoxon's signed-rank test around 0; zeros are left out.

    Exact up to 14 differences; beyond, exact unless there are ties.
    """
    values = np.asarray(differences, dtype=float)
    # differences of fractions: .1 + .2 and .3 are a tie
    values = np.round(values[np.abs(values) > 1e-12], 12)
    if len(values) < 2:
        return 1.0
    exact = _stats().PermutationMethod(n_resamples=2**EXACT_PAIRS)
    method = exact if len(values) <= EXACT_PAIRS else "auto"
    return float(_stats().wilcoxon(values, method=method).pvalue)


def holm(ps: Mapping[str, float]) -> dict[str, float]:
    """Correct p-values so that one false claim among all has at most the level's chance.

    Source: Holm 1979; SciPy corrects for the rate of false discoveries only.
    """
    corrected: dict[str, float] = {}
    least = 0.0
    for place, name in enumerate(sorted(ps, key=lambda name: ps[name])):
        least = max(least, min(1.0, (len(ps) - place) * ps[name]))
        corrected[name] = least
    return corrected


def superiority(ours: Sequence[float], theirs: Sequence[float]) -> float:
    """Return the chance that one of `ours` is above one of `theirs`, a draw being half.

    Source: Vargha and Delaney 2000; the statistic of Mann and Whitney's test, over all pairs.
    """
    return float(_stats().mannwhitneyu(ours, theirs).statistic) / (len(ours) * len(theirs))


def average_ranks(scores: Scores) -> dict[str, float]:
    """Return the mean rank of each sampler (1 is best, ties share) over the seeds that all have.

    Empty if there are none.
    """
    seeds = set.intersection(*(set(by_seed) for by_seed in scores.values()))
    if not seeds:
        return {}
    table = [[-by_seed[seed] for seed in sorted(seeds)] for by_seed in scores.values()]
    ranks = _stats().rankdata(table, axis=0).mean(axis=1)
    return dict(zip(scores, map(float, ranks), strict=True))


@dataclass(frozen=True)
class Equivalent:
    """The point where `sampler` at `at` is as good as `baseline` at `equals`, with a 95 % interval.

    It is in evaluations or epochs; by the mean incumbent over the seeds. None: at more than `most`,
    which is as far as the studies of `baseline` go. 0: `baseline` is better from its first on.
    """

    sampler: str
    baseline: str
    at: int
    equals: int | None
    low: int | None
    high: int | None
    most: int

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


def equivalent(
    sampler: str,
    baseline: str,
    at: int,
    reached: Sequence[float] | Numbers,
    incumbents: Sequence[Sequence[float]] | Numbers,
    positions: Sequence[int],
) -> Equivalent | None:
    """Return the point where `baseline` is as good as `sampler` at `at`.

    `reached` is the incumbent of `sampler` there, one a seed, and `incumbents` (seeds, positions)
    those of `baseline` with the same seeds, -inf where there is none. The interval resamples the
    seeds. None if a study of `sampler` has no incumbent at `at`.
    """
    ours, theirs = np.asarray(reached, dtype=float), np.asarray(incumbents, dtype=float)
    if not np.isfinite(ours).all():
        return None
    beyond = len(positions)

    def place(seeds: Any, axis: int = -1) -> Any:
        """Return indices into `positions`, one for each row of `seeds`; -1 is before them."""
        ahead = theirs[seeds].mean(axis=axis - 1) - ours[seeds].mean(axis=axis)[..., None]
        enough = ahead >= -EQUAL
        first = np.where(ahead[..., 0] > EQUAL, -1.0, enough.argmax(axis=-1))
        return np.where(enough.any(axis=-1), first, float(beyond))

    seeds = np.arange(len(ours))
    low, high = _interval(seeds, place) if len(ours) > 1 else (-1, beyond)  # one tells nothing
    named = [0, *positions, None]
    equals, least, most = (named[each + 1] for each in (int(place(seeds)), low, high))
    return Equivalent(sampler, baseline, at, equals, least, most, positions[-1])


def _interval(seeds: Any, statistic: Callable[..., Any]) -> tuple[int, int]:
    """Return the bootstrap interval of `statistic` of `seeds`, rounded outwards."""
    found = (
        _stats()
        .bootstrap(
            (seeds,),
            statistic,
            n_resamples=CURVE_RESAMPLES,
            batch=100,
            confidence_level=CONFIDENCE,
            method="percentile",
            rng=np.random.default_rng(SEED),
        )
        .confidence_interval
    )
    return math.floor(found.low), math.ceil(found.high)
