"""The pictures that a command names, and what a model says of them; scored where they are sorted.

A file that is no picture is told and left out; the others have their predictions all the same.
"""

import glob
import logging
import warnings
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from nasopt.analysis.classification import Scores, scores
from nasopt.data.folders import LEFTOVERS, class_name
from nasopt.errors import DataError, closest
from nasopt.models.model import Classification, Model
from nasopt.models.trained_on import digest_of_image
from nasopt.text import several

logger = logging.getLogger("nasopt")


@dataclass(frozen=True)
class Picture:
    """A file, and the class that its folder says it is of, if it says."""

    file: Path
    label: str | None = None


def named(names: Iterable[str], classes: Sequence[str]) -> list[Picture]:
    """Return the pictures that files, folders and patterns name, in order.

    A folder stands for all in it. If it has sub-folders named after `classes`, their pictures are
    labelled.

    Raises DataError for a name that is nothing, a folder with nothing in it, or a sub-folder that
    is no class beside others that are.
    """
    return [picture for name in names for picture in _named(name, classes)]


def _named(name: str, classes: Sequence[str]) -> list[Picture]:
    path = Path(name).expanduser()
    if path.is_dir():
        found = _in_folder(path, classes)
        if not found:
            raise DataError(f"{name}: no picture in it; name another folder")
        return found
    if path.exists() or path.is_symlink():
        return [Picture(path)]
    if not glob.has_magic(name):
        raise DataError(f"{name}: no such file or folder; name pictures")
    matches = sorted(glob.glob(str(path), recursive=True))
    if not matches:
        raise DataError(f"{name}: no file is called like that; name pictures")
    return [picture for match in matches for picture in _named(glob.escape(match), classes)]


def _in_folder(folder: Path, classes: Sequence[str]) -> list[Picture]:
    inside = _inside(folder)
    folders = [each for each in inside if each.is_dir()]
    if not any(class_name(each) in classes for each in folders):
        return [
            picture
            for each in inside
            for picture in (_in_folder(each, ()) if each.is_dir() else [Picture(each)])
        ]
    for each in folders:
        if class_name(each) not in classes:
            remedy = closest(class_name(each), classes)
            raise DataError(f"{each}: no class of the model; {remedy}")
    beside = [Picture(each) for each in inside if not each.is_dir()]
    return beside + [Picture(file, class_name(each)) for each in folders for file in _inside(each)]


def _inside(folder: Path) -> list[Path]:
    """Return what is in `folder` by name, without hidden files and what systems leave there."""
    try:
        everything = sorted(folder.iterdir())
    except OSError as error:
        raise DataError(f"{folder}: cannot be read ({error.strerror}); allow it") from error
    return [
        each for each in everything if not each.name.startswith(".") and each.name not in LEFTOVERS
    ]


class Predictions:
    """What `model` says of `pictures`: iterate for pairs, then look at what was left out.

    `unreadable` are errors, a line for each file that is no picture; `known` is how many pictures
    are among those that the model was trained on. That, and what had to be converted, is logged at
    the end, once.
    """

    def __init__(self, model: Model, pictures: Sequence[Picture]) -> None:
        self.model = model
        self.known = 0
        self.pictures = pictures
        self.unreadable: dict[str, str] = {}
        self.confusion = np.zeros((len(model.classes),) * 2, dtype=np.int64)
        self._scaled = self._cut = self._recoloured = 0

    @property
    def scores(self) -> Scores | None:
        """The scores on the labelled pictures so far; None if there are none."""
        return scores(self.confusion) if self.confusion.any() else None

    def __iter__(self) -> Iterator[tuple[Picture, Classification]]:
        for batch in self.model.batched(self.pictures):
            read = [
                (picture, image) for picture in batch if (image := self._read(picture)) is not None
            ]
            if not read:
                continue
            images = torch.stack([image for _, image in read])
            self.known += sum(digest_of_image(each) in self.model.trained_on for each in images)
            names = [str(picture.file) for picture, _ in read]
            answers = self.model.answers(images, names)
            for (picture, _), prediction in zip(read, answers, strict=True):
                self._count(picture, prediction)
                yield picture, prediction
        self._tell()

    def _read(self, picture: Picture) -> torch.Tensor | None:
        try:
            image = self.model.preprocessing.read(picture.file)
        except DataError as error:
            self.unreadable[str(picture.file)] = str(error)
            return None
        self._note(picture.file)
        return image

    def _note(self, file: Path) -> None:
        """Count what was converted, by the head of a file that was read whole before."""
        from PIL import Image

        height, width = self.model.preprocessing.size
        with warnings.catch_warnings(action="ignore"), Image.open(file) as image:
            self._scaled += image.size != (width, height)
            self._cut += image.width != image.height
            modes = ("L",) if self.model.preprocessing.colour == "grey" else ("RGB",)
            self._recoloured += image.mode not in modes

    def _tell(self) -> None:
        """Log what was converted, once for all."""
        pictures = several(len(self.pictures) - len(self.unreadable), "picture")
        height, width = self.model.preprocessing.size
        if self._scaled:
            scaled = f"{self._scaled} of {pictures} scaled to {width}x{height} pixels"
            cut = f", the centre square of {self._cut} of them" if self._cut else ""
            logger.warning("%s%s", scaled, cut)
        if self._recoloured:
            colour = self.model.preprocessing.colour
            logger.warning("%s of %s turned into %s", self._recoloured, pictures, colour)
        if self.known:
            known = f"{self.known:,} of {pictures} {'was' if self.known == 1 else 'were'}"
            logger.warning("%s among those that it was trained on: that flatters it", known)

    def _count(self, picture: Picture, prediction: Classification) -> None:
        if picture.label is not None:
            place = self.model.classes.index
            self.confusion[place(picture.label), place(prediction.label)] += 1
