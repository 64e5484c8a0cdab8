"""The scores of an epoch: its confusion matrix, what follows from it, and its stored form."""

import math
import statistics
import zlib
from array import array
from collections.abc import Callable

Confusion = tuple[tuple[int, ...], ...]  # images of class i (row) that were taken for j (column)

MOST_BYTES = 2**26  # of a matrix that is read: of 4,096 classes


def accuracy(confusion: Confusion) -> float:
    """Return the share of images whose class is right."""
    right = sum(row[place] for place, row in enumerate(confusion))
    return right / sum(map(sum, confusion))


def balanced_accuracy(confusion: Confusion) -> float:
    """Return the mean recall of the classes that there are images of, each counting alike.

    Source: Brodersen et al. 2010, "The balanced accuracy and its posterior distribution".
    """
    return statistics.fmean(
        row[place] / sum(row) for place, row in enumerate(confusion) if any(row)
    )


def macro_f1(confusion: Confusion) -> float:
    """Return the mean F1 of the classes that an image has or was taken for, each counting alike.

    F1 = 2 TP / (2 TP + FP + FN) is the harmonic mean of precision and recall.
    """
    taken = [sum(column) for column in zip(*confusion, strict=True)]
    there = [sum(row) for row in confusion]
    return statistics.fmean(
        2 * confusion[place][place] / (taken[place] + there[place])
        for place in range(len(confusion))
        if taken[place] + there[place]
    )


METRICS: dict[str, Callable[[Confusion], float]] = {
    "accuracy": accuracy,
    "balanced_accuracy": balanced_accuracy,
    "macro_f1": macro_f1,
}
SAID = {"balanced_accuracy": "balanced accuracy", "macro_f1": "macro F1"}  # in words


def in_words(metric: str) -> str:
    """Return a metric, or another objective, as a text says it: "macro F1"."""
    return SAID.get(metric, metric)


def capital(metric: str) -> str:
    """Return a metric at the head of a label: "Macro F1"."""
    said = in_words(metric)
    return said[0].upper() + said[1:]


def with_article(metric: str) -> str:
    """Return a metric with its indefinite article: "an accuracy"."""
    return f"{'an' if metric == 'accuracy' else 'a'} {in_words(metric)}"


def packed(confusion: Confusion) -> bytes:
    """Return a matrix as bytes, most of which are zeros and take no room."""
    counts = array("I", (count for row in confusion for count in row))
    return zlib.compress(counts.tobytes())


def unpacked(content: bytes) -> Confusion | None:
    """Return the matrix that `packed` wrote; None for bytes that it cannot have written."""
    counts = array("I")
    try:
        counts.frombytes(zlib.decompressobj().decompress(content, MOST_BYTES))
    except (ValueError, zlib.error):
        return None
    classes = math.isqrt(len(counts))
    if not counts or classes**2 != len(counts) or not any(counts):
        return None
    return tuple(tuple(counts[start : start + classes]) for start in range(0, len(counts), classes))
