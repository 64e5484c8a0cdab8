"""The scores of a classifier from its predictions on labelled images; numbers alone.

A confusion matrix counts images: a row for each true class, a column for each predicted one.
"""

import math
import statistics
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

Numbers = NDArray[np.int64]

CONFIDENCE = 0.95
Z = 1.959963984540054  # the normal quantile of it


@dataclass(frozen=True)
class Scores:
    """The scores of one model on one split.

    `accuracy` has its 95 % interval `low` to `high` (Wilson's), which covers the draw of the
    images. `recalls` are None for classes without an image, which no mean counts.
    """

    images: int
    accuracy: float
    low: float
    high: float
    balanced_accuracy: float  # the mean of the recalls
    macro_f1: float  # the mean of the classes' F1, of those that occur or are predicted
    recalls: tuple[float | None, ...]
    confusion: tuple[tuple[int, ...], ...]

    def by(self, metric: str) -> float:
        """Return the score by a metric of an experiment."""
        return float(getattr(self, metric))

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True)
class Mean:
    """The mean of the scores of several trainings, with its 95 % interval (Student's t).

    It covers the luck of the training seeds, not the draw of the images. Of a single training
    there is none: `low` and `high` are None.
    """

    mean: float
    low: float | None
    high: float | None


@dataclass(frozen=True)
class Lead:
    """The lead of one network's mean score over another's, with its 95 % interval."""

    mean: float
    low: float
    high: float

    @property
    def is_told(self) -> bool:
        """True if the interval leaves no doubt about who is ahead."""
        return self.low > 0 or self.high < 0


def confusion_matrix(labels: Numbers, predicted: Numbers, classes: int) -> Numbers:
    counts = np.bincount(labels * classes + predicted, minlength=classes * classes)
    return counts.reshape(classes, classes).astype(np.int64)


def wilson(correct: int, count: int) -> tuple[float, float]:
    """Return the 95 % interval of a share: Wilson 1927, which stays within 0 and 1."""
    from scipy.stats import binomtest

    found = binomtest(correct, count).proportion_ci(CONFIDENCE, method="wilson")
    return float(found.low), float(found.high)


def scores(confusion: Numbers) -> Scores:
    """Return the scores of a model by its confusion matrix, which has an image at least."""
    right = np.diag(confusion)
    true, predicted = confusion.sum(1), confusion.sum(0)
    count, correct = int(confusion.sum()), int(right.sum())
    recalls = [float(r / t) if t else None for r, t in zip(right, true, strict=True)]
    both = true + predicted
    f1 = [float(2 * r / b) for r, b in zip(right, both, strict=True) if b]
    return Scores(
        count,
        correct / count,
        *wilson(correct, count),
        statistics.fmean(each for each in recalls if each is not None),
        statistics.fmean(f1),
        tuple(recalls),
        tuple(tuple(map(int, row)) for row in confusion),
    )


def over_seeds(scored: Sequence[float]) -> Mean:
    mean = statistics.fmean(scored)
    if len(scored) < 2:
        return Mean(mean, None, None)
    from scipy.stats import t

    error = statistics.stdev(scored) / math.sqrt(len(scored))
    half = float(t.ppf((1 + CONFIDENCE) / 2, len(scored) - 1)) * error
    return Mean(mean, max(0.0, mean - half), min(1.0, mean + half))


@dataclass(frozen=True, eq=False)
class Judged:
    """The score of one training of a network, and what each of the images does to it."""

    score: float
    influences: NDArray[np.float64]  # of each image

    @classmethod
    def of(cls, labels: Numbers, predicted: Numbers, classes: int, metric: str) -> Self:
        confusion = confusion_matrix(labels, predicted, classes)
        slopes = INFLUENCES[metric](confusion)
        return cls(scores(confusion).by(metric), slopes[labels, predicted])


def lead(ours: Sequence[Judged], theirs: Sequence[Judged]) -> Lead:
    """Return the lead of one network over another on the same images, by the same metric.

    The error has two parts, which are added as variances: the draw of the images (they are paired),
    by the infinitesimal jackknife (Efron 1982), and the trainings' seeds.
    """
    paired = np.mean([each.influences for each in ours], axis=0)
    paired = paired - np.mean([each.influences for each in theirs], axis=0)
    variance = float((paired**2).sum())
    for each in (ours, theirs):
        if len(each) > 1:
            variance += statistics.variance([one.score for one in each]) / len(each)
    mean = statistics.fmean(e.score for e in ours) - statistics.fmean(e.score for e in theirs)
    half = Z * math.sqrt(variance)
    return Lead(mean, mean - half, mean + half)


def _of_accuracy(confusion: Numbers) -> NDArray[np.float64]:
    """Return how the accuracy grows with each count of a confusion matrix, here and below."""
    count = confusion.sum()
    return np.asarray((np.eye(len(confusion)) - np.trace(confusion) / count) / count)


def _of_balanced_accuracy(confusion: Numbers) -> NDArray[np.float64]:
    true = confusion.sum(1)
    there = np.maximum(true, 1)
    recalls = np.diag(confusion) / there
    slopes = (np.eye(len(true)) - recalls[:, None]) / there[:, None]
    return np.asarray(slopes / np.count_nonzero(true))


def _of_macro_f1(confusion: Numbers) -> NDArray[np.float64]:
    both = confusion.sum(0) + confusion.sum(1)
    there = np.maximum(both, 1)
    lost = 2 * np.diag(confusion) / there**2  # by one image more that has, or is taken for, a class
    slopes = np.diag(2 / there) - lost[:, None] - lost[None, :]
    return np.asarray(slopes / np.count_nonzero(both))


INFLUENCES: dict[str, Callable[[Numbers], NDArray[np.float64]]] = {
    "accuracy": _of_accuracy,
    "balanced_accuracy": _of_balanced_accuracy,
    "macro_f1": _of_macro_f1,
}
