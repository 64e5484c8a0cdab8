"""`ImageFolder`: a folder of pictures for each class, or such folders for each split."""

import hashlib
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch

from nasopt.data.pictures import read_all, read_picture
from nasopt.data.readers import Listing, Raw, Split
from nasopt.errors import DataError

LEFTOVERS = ("Thumbs.db", "ehthumbs.db", "desktop.ini", "__MACOSX", "@eaDir", "Icon\r")
TRAIN, VALIDATION, TEST = "training", "validation", "test"
SPLITS = {"train": TRAIN, "val": VALIDATION, "valid": VALIDATION, "validation": VALIDATION,
          "test": TEST}  # what the names of folders mean  # fmt: skip


class Picture(NamedTuple):
    """A file and the number of its class."""

    label: int
    file: Path


@dataclass(frozen=True)
class ImageFolder:
    """The pictures in `path`, as squares of `size` pixels.

    Its sub-folders are the classes, or they are train, val (valid, validation) and test, in any
    case, with the classes inside: train and one of the others, at least.
    """

    path: Path
    size: int

    @property
    def splits(self) -> Mapping[str, Path]:
        """The folder of each split that there is; none if the sub-folders are classes."""
        folders = _folders(self.path)
        named = [each for each in folders if each.name.lower() in SPLITS]
        others = [each for each in folders if each not in named]
        if not any(map(_folders, named)) or (len(named) == 1 and others):
            return {}  # with pictures in it, or among classes, it is a class of that name
        if len(named) == 1:
            raise DataError(f"{self.path}: nothing but {named[0].name} in it; give {named[0]}")
        found: dict[str, Path] = {}
        for folder in named:
            split = SPLITS[folder.name.lower()]
            if split in found:
                raise DataError(
                    f"{found[split]}, {folder.name}: two {split} splits; leave one of them here"
                )
            found[split] = folder
        if TRAIN not in found:
            raise DataError(f"{named[0]}: no train beside it; add that, with the same classes")
        if others:
            known = " and ".join(each.name for each in named)
            raise DataError(f"{others[0]}: beside the splits {known}; move it elsewhere")
        return found

    def class_names(self) -> tuple[str, ...]:
        return tuple(map(class_name, self._classes()))

    def _classes(self) -> list[Path]:
        """Return the folders of the classes, of the training split if there are several."""
        if not self.path.is_dir():
            raise DataError(f"image_folder.path={self.path}: no such folder; give an existing one")
        path = self.splits.get(TRAIN, self.path)
        folders = [each for each in _inside(path) if each.is_dir()]
        if len(folders) < 2:
            raise DataError(
                f"image_folder.path={path}: {len(folders)} sub-folders; "
                "give it one for each of two or more classes"
            )
        return folders

    def _classes_of(self, split: Path, train: Path) -> Iterator[Path]:
        """Yield the folders of the classes of `train` in another split, in the same order.

        They are told by their names, whose case may differ where that leaves no doubt.
        """
        left = {each.name: each for each in _inside(split) if each.is_dir()}
        if not left:
            raise DataError(
                f"{split}: no class in it; put its pictures into folders of classes as those in "
                f"{train.name}, or move it elsewhere"
            )
        for known in self._classes():
            alike = [name for name in left if name.casefold() == known.name.casefold()]
            found = [name for name in alike if name == known.name] or alike
            if len(found) != 1:
                raise DataError(
                    f"{split}: class {_spelled(known.name)!r} of {train.name} is missing; add a "
                    f"folder of its pictures, or remove it from {train.name}"
                )
            yield left.pop(found[0])
        for name, extra in left.items():
            raise DataError(
                f"{extra}: class {_spelled(name)!r} is not in {train.name}; add it there, or "
                "remove it"
            )

    def parts(self) -> Mapping[str, list[Picture]]:
        """Return the pictures of each split that there is, or all as if for training.

        Raises DataError for other contents.
        """
        found = {TRAIN: _pictures(self._classes())}
        splits = self.splits
        for name in (VALIDATION, TEST):
            if name in splits:
                found[name] = _pictures([*self._classes_of(splits[name], splits[TRAIN])])
        return found

    def files(self) -> list[Picture]:
        """Return all pictures, split by split."""
        return [each for part in self.parts().values() for each in part]

    def listing(self) -> Listing:
        """Return the names within the folder and the labels of what `read` reads."""
        named = {
            split: [(each.file.relative_to(self.path).as_posix(), each.label) for each in part]
            for split, part in self.parts().items()
        }
        return Listing(named[TRAIN], named.get(TEST), named.get(VALIDATION))

    def digest(self) -> str:
        hashed = hashlib.blake2b(str(self.size).encode(), digest_size=16)
        for _, file in self.files():
            name = file.relative_to(self.path).as_posix()
            hashed.update(name.encode(errors="surrogateescape") + b"\0")
            hashed.update(hashlib.blake2b(_content(file)).digest())
        return hashed.hexdigest()

    def read(self) -> Raw:
        read = {split: self._read(part) for split, part in self.parts().items()}
        none = self._read([]) if VALIDATION in read else None  # then none is split off
        return Raw(*read[TRAIN], read.get(TEST, none), read.get(VALIDATION))

    def _read(self, pictures: list[Picture]) -> Split:
        images = np.empty((len(pictures), 3, self.size, self.size), np.uint8)
        files = [picture.file for picture in pictures]
        for place, pixels in enumerate(read_all(partial(read_picture, size=self.size), files)):
            images[place] = pixels.transpose(2, 0, 1)
        labels = torch.tensor([each.label for each in pictures], dtype=torch.int64)
        return Split(torch.from_numpy(images), labels)


def _pictures(folders: list[Path]) -> list[Picture]:
    """Return the pictures of the classes in `folders`; raise DataError for other contents."""
    found = []
    for label, folder in enumerate(folders):
        inside = _inside(folder)
        for each in inside:
            if each.is_dir():
                raise DataError(
                    f"{each}: a folder within a class; move its pictures into {folder}, or "
                    f"call image_folder with the folder whose sub-folders are the classes"
                )
        if not inside:
            raise DataError(f"{folder}: no images; add some or remove the folder")
        found += [Picture(label, file) for file in inside]
    return found


def _folders(folder: Path) -> list[Path]:
    """Return the folders in `folder` that are to be seen, by name; none if it cannot be read."""
    try:
        return [folder / name for name in _shown(folder) if (folder / name).is_dir()]
    except OSError:
        return []


def _shown(folder: Path) -> list[str]:
    names = sorted(os.listdir(folder))
    return [name for name in names if not (name.startswith(".") or name in LEFTOVERS)]


def _inside(folder: Path) -> list[Path]:
    """Return the files and folders in `folder` by name, without hidden ones and `LEFTOVERS`.

    Raises DataError if one is a link to nothing, or neither a file nor a folder.
    """
    try:
        shown = [folder / name for name in _shown(folder)]
    except OSError as error:
        raise DataError(f"{folder}: cannot be read ({error.strerror}); allow it") from error
    for each in shown:
        if each.is_file() or each.is_dir():
            continue
        if each.is_symlink():
            raise DataError(
                f"{each}: a link to {os.readlink(each)}, which is not there; fetch that "
                "(git annex get, dvc pull), or remove the link"
            )
        raise DataError(f"{each}: not a file; remove it from the folder")
    return shown


def class_name(folder: Path) -> str:
    """Return the name of a folder; bytes that are not UTF-8 are spelled as \\xe9."""
    return _spelled(folder.name)


def _spelled(name: str) -> str:
    return name.encode(errors="surrogateescape").decode(errors="backslashreplace")


def _content(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as error:
        raise DataError(f"{file}: cannot be read ({error.strerror}); allow or remove it") from error
