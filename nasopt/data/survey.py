"""`Survey`: what there is to learn about a folder of pictures before anything is trained on it."""

import statistics
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from nasopt.data.datasets import image_folder
from nasopt.data.folders import TEST, TRAIN, VALIDATION, ImageFolder
from nasopt.data.pictures import read_all, read_picture, shorter_side
from nasopt.errors import DataError
from nasopt.text import several

DECODED_SECONDS = 5  # that decoding pictures may take, at most; of all others the heads are read
LOOKED_AT = 32  # pixels of a side
SPLITS = 3  # that a folder without any is divided into
UNBALANCED = 3  # pictures of the largest class for each one of the smallest
GREY = 6  # levels of 255 that the channels of a grey picture may differ by, after JPEG


@dataclass(frozen=True)
class Survey:
    """A folder of pictures in numbers.

    `classes` has the number of pictures of each class. `brought` names the splits that the folder
    has; `training`, `validation` and `test` are the numbers of pictures in each of the three,
    brought or split off. `short_sides` are the least, median and greatest shorter side in pixels.
    `grey` is the share of grey pictures among the `decoded` ones, each of which took
    `seconds_a_picture`.
    """

    path: Path
    classes: dict[str, int]
    brought: tuple[str, ...]
    training: int
    validation: int
    test: int
    short_sides: tuple[int, int, int]
    grey: float
    decoded: int
    seconds_a_picture: float

    @property
    def pictures(self) -> int:
        return sum(self.classes.values())

    @property
    def is_grey(self) -> bool:
        return self.grey > 0.95

    @property
    def seconds_to_read(self) -> float:
        """The seconds that reading all pictures takes at each start of a study."""
        return self.pictures * self.seconds_a_picture

    @property
    def imbalance(self) -> float:
        """The pictures of the largest class for each one of the smallest."""
        return max(self.classes.values()) / min(self.classes.values())

    @property
    def is_unbalanced(self) -> bool:
        """Whether the plain accuracy is mostly that of the large classes."""
        return self.imbalance >= UNBALANCED

    def to_json(self) -> dict[str, Any]:
        return {**asdict(self), "path": str(self.path), "pictures": self.pictures}


def look_at(path: str | Path) -> Survey:
    """Look at a folder of pictures as `image_folder` takes it.

    The head of each is read; as many are decoded, at random, as can be in a few seconds.

    Raises DataError, naming the file or folder, for what cannot be taken.
    """
    dataset = image_folder(path, LOOKED_AT)
    training, validation = dataset.counts
    folder = ImageFolder(Path(path).expanduser(), LOOKED_AT)
    files = [picture.file for picture in folder.files()]
    labels = [picture.label for picture in folder.files()]
    names = dataset.class_names()
    counts = np.bincount(labels, minlength=len(names)).tolist()
    classes = dict(zip(names, counts, strict=True))
    if not folder.splits:
        _check_for_splits(classes, folder.path)
    sides = [*read_all(shorter_side, files)]
    decoded, seconds = _decoded(files)
    return Survey(
        path=folder.path,
        classes=classes,
        brought=tuple(name for name in (TRAIN, VALIDATION, TEST) if name in folder.splits),
        training=training,
        validation=validation,
        test=len(dataset.test_files or ()),
        short_sides=(min(sides), round(statistics.median(sides)), max(sides)),
        grey=statistics.fmean(decoded),
        decoded=len(decoded),
        seconds_a_picture=seconds / len(decoded),
    )


def _check_for_splits(classes: dict[str, int], path: Path) -> None:
    """Raise DataError for a class that has not a picture for each of the three splits."""
    name = min(classes, key=lambda each: classes[each])
    if classes[name] < SPLITS:
        raise DataError(
            f"{path}: class {name!r} has {several(classes[name], 'image')} for training, "
            "validation and test; give it more, or leave it out"
        )


def _decoded(files: Sequence[Path]) -> tuple[list[bool], float]:
    """Return whether each of a random sample of pictures is grey, and the seconds that took."""
    started = time.perf_counter()

    def sample() -> Iterator[Path]:
        for place in np.random.default_rng(0).permutation(len(files)):
            yield files[place]
            if time.perf_counter() - started > DECODED_SECONDS:
                break

    grey = [
        bool(np.ptp(pixels.astype(int), axis=2).max() <= GREY)
        for pixels in read_all(partial(read_picture, size=LOOKED_AT), sample())
    ]
    return grey, time.perf_counter() - started
