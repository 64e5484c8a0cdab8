"""Which image goes into which split, drawn class by class from their labels alone."""

import math
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from nasopt.errors import DataError

TEST_SHARE = 0.2  # of all images, where a data set brings no test split of its own
VALIDATION_SHARE = 0.2  # of the images that a search may see, where it does; else of all images

Places = NDArray[np.intp]


class Plan(NamedTuple):
    """The places of the images of each split, among those that it is drawn from.

    A split that a data set brings along is not drawn: its places are those in that split.
    """

    train: Places
    validation: Places
    test: Places


class Missing(DataError):
    """A class without an image in a split."""

    def __init__(self, label: int, images: int, split: str) -> None:
        super().__init__(f"class {label} has no {split} image")
        self.label, self.images, self.split = label, images, split


def draw_splits(
    labels: NDArray[Any],
    classes: int,
    *,
    validation: NDArray[Any] | None,
    test: bool,
    limit: int | None,
    seed: int,
    least: int = 0,
) -> Plan:
    """Draw a validation split, unless its labels are given, and a test split if `test`.

    `least` images of each class go into each of them, at least. `limit` is the number of images
    kept for training and validation, at most what there is.

    Raises Missing if one of `classes` has no training or no validation image.
    """
    rng = np.random.default_rng(seed)
    rest = np.arange(len(labels))
    tested = rest[:0]
    if test:
        tested, rest = stratified(rest, labels, TEST_SHARE, rng, least)
    if validation is None:
        if limit is not None:
            rest, _ = stratified(rest, labels, limit / len(rest), rng)
        share = VALIDATION_SHARE / (1 - TEST_SHARE) if test else VALIDATION_SHARE
        scored, trained = stratified(rest, labels, share, rng, least)
        scores = labels
    else:
        trained, scored, scores = rest, np.arange(len(validation)), validation
        if limit is not None:
            kept = round(limit * len(trained) / (len(trained) + len(scored)))
            trained, _ = stratified(trained, labels, kept / len(trained), rng)
            scored, _ = stratified(scored, scores, (limit - kept) / len(scored), rng)
    for name, found in (("training", labels[trained]), ("validation", scores[scored])):
        for label in sorted(set(range(classes)) - set(found.tolist())):
            raise Missing(label, int((labels == label).sum()), name)
    return Plan(trained, scored, tested)


def stratified(
    places: Places,
    labels: NDArray[Any],
    share: float,
    rng: np.random.Generator,
    least: int = 0,
) -> tuple[Places, Places]:
    """Split `places` at random into `share` of them and the rest, class by class.

    Sizes are exact in total, unless `least` of each class are more: the classes with the largest
    remainders get the images left over.
    """
    groups = [places[labels[places] == label] for label in np.unique(labels[places])]
    wanted = [len(group) * share for group in groups]
    counts = [math.floor(want) for want in wanted]
    left = round(len(places) * share) - sum(counts)
    for position in sorted(range(len(groups)), key=lambda i: counts[i] - wanted[i])[:left]:
        counts[position] += 1
    counts = [max(count, least) for count in counts]
    shuffled = [rng.permutation(group) for group in groups]
    first = [group[:count] for group, count in zip(shuffled, counts, strict=True)]
    second = [group[count:] for group, count in zip(shuffled, counts, strict=True)]
    return np.sort(np.concatenate(first)), np.sort(np.concatenate(second))
