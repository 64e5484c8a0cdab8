"""The data sets: their descriptions, and three splits of uint8 images on a device.

A description costs nothing; `load` reads, checks and splits. The images stay bytes: training
normalises, shifts and flips whole batches on its device.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch

from nasopt.data.folders import ImageFolder
from nasopt.data.paths import located, looked_in
from nasopt.data.readers import (
    IdxFolder,
    Listing,
    Raw,
    Split,
    read_digits,
    read_torchvision,
)
from nasopt.data.splitting import (
    TEST_SHARE,
    VALIDATION_SHARE,
    Missing,
    Places,
    Plan,
    draw_splits,
)
from nasopt.errors import DataError, Spelled, spelled
from nasopt.space.layers import Shape
from nasopt.text import several

DEBIAN_FASHION_MNIST = Path("/usr/share/datasets/fashion-mnist")  # package dataset-fashion-mnist


class Seen(NamedTuple):
    """The splits that a training is handed: one to train on, one to be scored on."""

    train: Split
    validation: Split


class Splits(NamedTuple):
    """The split to train on, the split that a search may look at, and the one it never sees."""

    train: Split
    validation: Split
    test: Split

    @property
    def seen(self) -> Seen:
        """All that a search may see."""
        return Seen(self.train, self.validation)


@dataclass(frozen=True, kw_only=True)
class Dataset(Spelled):
    """A description of labelled images.

    `limit` is the size of a stratified subset of the images that a search may see (train and
    validation together); the test split is never reduced. `split_seed` decides which images go
    where. `files` lists what `read` reads, where it reads a file for each image.
    """

    _error = DataError

    name: str
    input_shape: Shape  # (channels, height, width)
    read: Callable[[], Raw] = field(repr=False, compare=False)
    content: Callable[[], str] | None = field(default=None, repr=False, compare=False)
    class_names: Callable[[], tuple[str, ...]] = field(repr=False, compare=False)
    files: Callable[[], Listing] | None = field(default=None, repr=False, compare=False)
    images: int | None = None  # number that a search may see, if it is known without reading
    has_test: bool = True  # which may be empty; else one is split off
    limit: int | None = None  # images
    split_seed: int = 0
    arguments: Mapping[str, Any] = field(default_factory=dict, repr=False, compare=False)

    def __post_init__(self) -> None:
        if self.limit is not None and (type(self.limit) is not int or self.limit < 1):
            raise DataError(f"limit={self.limit!r}: not a number of images; use 1, 2, 3, ...")

    @cached_property
    def classes(self) -> int:
        return len(self.class_names())

    @cached_property
    def fingerprint(self) -> str:
        """The identity of the content and its split, constant for a data set of known content."""
        parts = [self.name, f"limit={self.limit}", f"split={self.split_seed}"]
        if self.content is not None:
            parts.insert(1, self.content())
        return " ".join(parts)

    def describe(self) -> dict[str, Any]:
        """Return the description as JSON has it, for `described`."""
        return {
            "name": self.name,
            **self.arguments,
            "limit": self.limit,
            "split_seed": self.split_seed,
            "fingerprint": self.fingerprint,
        }

    @cached_property
    def counts(self) -> tuple[int, int]:
        """The numbers of training and validation images.

        The images are read only if the numbers are not known beforehand.
        """
        if self.images is not None:
            images = self.limit or self.images
            share = VALIDATION_SHARE if self.has_test else VALIDATION_SHARE / (1 - TEST_SHARE)
            validation = round(images * share)
            return images - validation, validation
        if self.files is not None:
            plan = self._listed[1]
            return len(plan.train), len(plan.validation)
        return len(self._splits.train.labels), len(self._splits.validation.labels)

    def load(self, device: torch.device | str = "cpu") -> Splits:
        """Read, check and split the images; raise DataError that names the file or the field."""
        return Splits(*(split.to(torch.device(device)) for split in self._splits))

    def forget(self) -> None:
        """Free the memory of the images; they are read again when they are needed."""
        self.__dict__.pop("_splits", None)

    @property
    def test_files(self) -> tuple[str, ...] | None:
        """The names of the test images, in their order; None where images are no files."""
        if self.files is None:
            return None
        listing, plan = self._listed
        names = [name for name, _ in listing.images]
        brought = [name for name, _ in listing.test or ()]
        return tuple(brought if self.has_test else [names[place] for place in plan.test])

    @cached_property
    def _listed(self) -> tuple[Listing, Plan]:
        """The names of the images and the plan of their splits, for which none is read."""
        assert self.files is not None
        listing = self.files()
        labels, validation = (
            None if named is None else np.array([label for _, label in named])
            for named in (listing.images, listing.validation)
        )
        return listing, self._plan(labels, validation)

    def _plan(self, labels: Any, validation: Any | None) -> Plan:
        """Return which images go where, those of the smallest classes at least somewhere."""
        seen = len(labels) + (0 if validation is None else len(validation))
        seen -= 0 if self.has_test else round(len(labels) * TEST_SHARE)
        if self.limit is not None and self.limit > seen:
            raise DataError(
                f"limit={self.limit}: {self.name} has {seen} images to search with; "
                "use that or less"
            )
        draw = partial(
            draw_splits, labels, self.classes, validation=validation, test=not self.has_test,
            limit=self.limit, seed=self.split_seed,
        )  # fmt: skip
        try:
            return draw()
        except Missing as missing:
            if self.limit is None and missing.images >= (2 if self.has_test else 3):
                return draw(least=1)
            name = repr(self.class_names()[missing.label])
            if self.limit is not None:
                raise DataError(
                    f"limit={self.limit}: class {name} has no {missing.split} image of "
                    f"{self.name}; raise it"
                ) from missing
            splits = "training and validation" if self.has_test else "training, validation and test"
            raise DataError(
                f"{self.name}: class {name} has {several(missing.images, 'image')} for {splits}; "
                "give it more, or leave it out"
            ) from missing

    def _check(self, raw: Raw) -> None:
        """Raise DataError unless `raw` holds what this data set is said to hold."""
        brought = [split for split in (raw.validation, raw.test) if split is not None]
        for images, labels in ((raw.images, raw.labels), *brought):
            if images.shape[1:] != self.input_shape or len(images) != len(labels):
                raise DataError(
                    f"{self.name}: {len(labels)} labels and images of shape "
                    f"{tuple(images.shape)} where {self.input_shape} is expected; fetch it again"
                )
            if len(labels) and int(labels.max()) >= self.classes:
                raise DataError(
                    f"{self.name}: a label {int(labels.max())} where there are {self.classes} "
                    "classes; fetch it again"
                )
        if self.images is not None and self.has_test and len(raw.labels) != self.images:
            raise DataError(
                f"{self.name}: {len(raw.labels)} images where {self.images:,} are expected; "
                "fetch it again, or use image_folder or tensors for images of your own"
            )

    @cached_property
    def _splits(self) -> Splits:
        if self.files is not None:
            _ = self._listed  # whatever is wrong with it is told before all is read
        raw = self.read()
        self._check(raw)
        own = raw.validation
        plan = self._plan(raw.labels.numpy(), None if own is None else own.labels.numpy())

        def pick(places: Places, split: Split) -> Split:
            chosen = torch.from_numpy(places)
            return Split(split.images[chosen], split.labels[chosen])

        everything = Split(raw.images, raw.labels)
        return Splits(
            pick(plan.train, everything),
            pick(plan.validation, own or everything),
            raw.test or pick(plan.test, everything),
        )


@spelled(DataError)
def digits(*, limit: int | None = None) -> Dataset:
    """Return scikit-learn's 1,797 images of handwritten digits, 8x8, part of that package."""
    return Dataset(
        name="digits", input_shape=(1, 8, 8), read=read_digits, limit=limit,
        class_names=lambda: tuple("0123456789"), has_test=False, images=1438,
    )  # fmt: skip


@spelled(DataError)
def fashion_mnist(folder: str | Path | None = None, *, limit: int | None = None) -> Dataset:
    """Return Fashion-MNIST (Xiao et al. 2017): 60,000 and 10,000 images of clothes, 28x28.

    The images are read from the four .gz files of `folder`, or else from those of Debian's package
    dataset-fashion-mnist if it is installed, or else downloaded.
    """
    if folder is None and DEBIAN_FASHION_MNIST.is_dir():
        folder = DEBIAN_FASHION_MNIST
    dataset = _torchvision("FashionMNIST", "fashion_mnist", (1, 28, 28), FASHION, 60_000, limit)
    return dataset if folder is None else replace(dataset, read=IdxFolder(located(folder)))


@spelled(DataError)
def mnist(*, limit: int | None = None) -> Dataset:
    """Return MNIST: 60,000 and 10,000 images of handwritten digits, 28x28."""
    return _torchvision("MNIST", "mnist", (1, 28, 28), tuple("0123456789"), 60_000, limit)


@spelled(DataError)
def cifar10(*, limit: int | None = None) -> Dataset:
    """Return CIFAR-10: 50,000 and 10,000 colour images of ten classes, 32x32."""
    return _torchvision("CIFAR10", "cifar10", (3, 32, 32), CIFAR10, 50_000, limit)


@spelled(DataError)
def cifar100(*, limit: int | None = None) -> Dataset:
    """Return CIFAR-100: 50,000 and 10,000 colour images of a hundred classes, 32x32."""
    classes = tuple(map(str, range(100)))
    return _torchvision("CIFAR100", "cifar100", (3, 32, 32), classes, 50_000, limit)


@spelled(DataError)
def svhn(*, limit: int | None = None) -> Dataset:
    """Return Street View House Numbers: 73,257 and 26,032 colour images of digits, 32x32."""
    return _torchvision("SVHN", "svhn", (3, 32, 32), tuple("0123456789"), 73_257, limit)


FASHION = (
    "t-shirt", "trouser", "pullover", "dress", "coat",
    "sandal", "shirt", "sneaker", "bag", "ankle boot",
)  # fmt: skip
CIFAR10 = (
    "airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck",
)  # fmt: skip


@spelled(DataError)
def image_folder(path: str | Path, size: int, *, limit: int | None = None) -> Dataset:
    """Return images of your own: one sub-folder of `path` for each class, in any common format.

    Or the sub-folders are train, val (valid, validation) and test, or train and one of the others,
    with the classes inside: then they are the splits as they stand, and what is missing is split
    off train, but for a test split beside one for validation.

    Each is converted to RGB, and its centre square scaled to `size` x `size` pixels; if it has
    several frames or pages, the first is taken. Only hidden files are ignored: a folder within a
    class, a link to nothing, or values without a known white raise a DataError that names the file.
    In a study file, a relative path is looked up from the file's folder, then from the working
    folder.
    """
    if type(size) is not int or size < 1:
        raise DataError(f"image_folder.size={size!r}: use 1, 2, 3, ... pixels")
    folder = ImageFolder(located(path), size)
    if not folder.path.is_dir():
        raise DataError(
            f"image_folder.path={path}: no such folder{looked_in(path)}; give an existing one"
        )
    return Dataset(
        name="image_folder", input_shape=(3, size, size), read=folder.read, limit=limit,
        content=folder.digest, class_names=folder.class_names, files=folder.listing,
        has_test=bool(folder.splits), arguments={"path": str(path), "size": size},
    )  # fmt: skip


DATASETS: dict[str, Callable[..., Dataset]] = {
    "digits": digits,
    "fashion_mnist": fashion_mnist,
    "mnist": mnist,
    "cifar10": cifar10,
    "cifar100": cifar100,
    "svhn": svhn,
}


def described(value: Mapping[str, Any], folder: str | Path | None = None) -> Dataset:
    """Return the data set that `Dataset.describe` described; its images are in `folder`, if given.

    Raises DataError if it was of tensors, which only their owner has, or the content is another.
    """
    name = value["name"]
    if "path" in value:
        dataset = image_folder(value["path"] if folder is None else folder, value["size"])
    elif name == "fashion_mnist":
        dataset = fashion_mnist(folder)
    elif name in DATASETS:
        dataset = DATASETS[name]()
    else:
        raise DataError(f"dataset={name}: its images were in memory; give them as dataset=...")
    dataset = replace(dataset, limit=value["limit"], split_seed=value["split_seed"])
    check_same(dataset, value)
    return dataset


def check_same(dataset: Dataset, value: Mapping[str, Any]) -> None:
    """Raise DataError unless `value` describes the images of `dataset` and their split."""
    if dataset.fingerprint != value["fingerprint"]:
        raise DataError(
            f"dataset={dataset.name}: other images or another split than described "
            f"({dataset.fingerprint}, not {value['fingerprint']}); give the same"
        )


def _torchvision(
    class_name: str,
    name: str,
    shape: Shape,
    classes: tuple[str, ...],
    images: int,
    limit: int | None,
) -> Dataset:
    return Dataset(
        name=name, input_shape=shape, images=images, limit=limit,
        read=lambda: read_torchvision(class_name, name), class_names=lambda: classes,
    )  # fmt: skip
