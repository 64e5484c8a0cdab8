"""The readers of images as uint8 tensors on the CPU; no file is assumed to be sound."""

import gzip
import math
import os
import struct
import zlib
from dataclasses import dataclass
from importlib.metadata import distribution
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch

from nasopt.errors import DataError


class Split(NamedTuple):
    """Images (n, channels, height, width) as uint8, and labels (n,) as int64."""

    images: torch.Tensor
    labels: torch.Tensor

    def to(self, device: torch.device) -> "Split":
        return Split(self.images.to(device), self.labels.to(device))


class Raw(NamedTuple):
    """A data set as read, on the CPU: images that a search may see, and the splits that it brings.

    A split that it does not bring is split off; an empty one is not.
    """

    images: torch.Tensor
    labels: torch.Tensor
    test: Split | None
    validation: Split | None = None


Named = list[tuple[str, int]]  # the name of each image, and its label


class Listing(NamedTuple):
    """The names and labels of what will be `Raw`, in the same order."""

    images: Named
    test: Named | None = None
    validation: Named | None = None


def data_dir() -> Path:
    """Return the folder for downloads: `NASOPT_DATA`, or a folder in the user's cache."""
    cache = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(os.environ.get("NASOPT_DATA") or Path(cache) / "nasopt").expanduser()


def read_digits() -> Raw:
    """Read what `sklearn.datasets.load_digits` loads, without the seconds that its import takes."""
    file = "sklearn/datasets/data/digits.csv.gz"
    rows = np.loadtxt(str(distribution("scikit-learn").locate_file(file)), delimiter=",")
    images = (rows[:, :-1].reshape(-1, 1, 8, 8) * (255 / 16)).round().astype(np.uint8)
    return Raw(torch.from_numpy(images), torch.from_numpy(rows[:, -1].astype(np.int64)), None)


IDX_FILES = (
    "train-images-idx3-ubyte.gz", "train-labels-idx1-ubyte.gz",
    "t10k-images-idx3-ubyte.gz", "t10k-labels-idx1-ubyte.gz",
)  # fmt: skip
# the files that torchvision takes instead of a download: class -> (folder in `data_dir()`, files)
PUBLISHED = {
    "MNIST": ("MNIST/raw", IDX_FILES),
    "FashionMNIST": ("FashionMNIST/raw", IDX_FILES),
    "CIFAR10": ("", ("cifar-10-python.tar.gz",)),
    "CIFAR100": ("", ("cifar-100-python.tar.gz",)),
    "SVHN": ("", ("train_32x32.mat", "test_32x32.mat")),
}


def read_torchvision(class_name: str, name: str) -> Raw:
    """Read both parts with torchvision's own class, downloaded into `data_dir()` on first use."""
    from torchvision import datasets

    root = data_dir()

    def part(train: bool) -> Split:
        which: dict[str, Any] = {"train": train}
        if class_name == "SVHN":
            which = {"split": "train" if train else "test"}
        try:
            loaded = getattr(datasets, class_name)(root, download=True, **which)
        # torchvision has assertions and look-ups that fail for damaged files
        except (OSError, RuntimeError, ValueError, EOFError, AssertionError, LookupError) as error:
            reason = " ".join(str(error).split()) or type(error).__name__
            folder, files = PUBLISHED[class_name]
            raise DataError(
                f"{name}: cannot be read from or downloaded to {root} ({reason}); put "
                f"{' and '.join(files)} into {root / folder}, or name another folder with "
                "--data-dir or NASOPT_DATA"
            ) from error
        images = torch.as_tensor(loaded.data)
        if images.ndim == 3:
            images = images[:, None]
        elif images.shape[-1] == 3:  # CIFAR has its channels last
            images = images.permute(0, 3, 1, 2).contiguous()
        targets = getattr(loaded, "targets", getattr(loaded, "labels", None))
        return Split(images, torch.as_tensor(targets).long())

    train, test = part(True), part(False)
    return Raw(train.images, train.labels, test)


@dataclass(frozen=True)
class IdxFolder:
    """The four .gz files of MNIST's format in one folder."""

    folder: Path

    def __call__(self) -> Raw:
        if not self.folder.is_dir():
            raise DataError(
                f"fashion_mnist.folder={self.folder}: no such folder; "
                "give the one with train-images-idx3-ubyte.gz"
            )
        train, test = (self._part(prefix) for prefix in ("train", "t10k"))
        return Raw(train.images, train.labels, test)

    def _part(self, prefix: str) -> Split:
        images = _read_idx(self.folder / f"{prefix}-images-idx3-ubyte.gz", 3)
        labels = _read_idx(self.folder / f"{prefix}-labels-idx1-ubyte.gz", 1)
        if len(images) != len(labels):
            raise DataError(
                f"{self.folder}: {len(images)} {prefix} images beside {len(labels)} labels; "
                "fetch the folder again"
            )
        return Split(torch.from_numpy(images)[:, None], torch.from_numpy(labels).long())


def _read_idx(path: Path, dimensions: int) -> Any:
    """Return the uint8 array of an IDX file: magic 0 0 8 n, n sizes (big-endian), the bytes."""
    try:
        content = gzip.decompress(path.read_bytes())
    except FileNotFoundError as error:
        raise DataError(f"{path}: missing; fetch the four files of the data set") from error
    except (OSError, EOFError, zlib.error) as error:  # gzip.BadGzipFile is an OSError
        raise DataError(f"{path}: damaged ({error}); fetch it again") from error
    header = 4 + 4 * dimensions
    sizes = struct.unpack(f">{dimensions}I", content[4:header].ljust(header - 4, b"\0"))
    if content[:4] != bytes((0, 0, 8, dimensions)) or len(content) != header + math.prod(sizes):
        raise DataError(f"{path}: damaged (no IDX file of its size); fetch it again")
    return np.frombuffer(bytearray(content), np.uint8, offset=header).reshape(sizes)


def checked(images: Any, labels: Any, field: str = "tensors") -> Split:
    """Return tensors or NumPy arrays as a split; raise DataError if they do not fit."""
    if isinstance(images, np.ndarray) and images.dtype == np.uint8:
        images = torch.from_numpy(images.copy())
    if not isinstance(images, torch.Tensor) or images.dtype != torch.uint8 or images.ndim != 4:
        raise DataError(
            f"{field}.images={_kind(images)}: give a torch.uint8 tensor of shape "
            "(n, channels, height, width)"
        )
    if _has_channels_last(images.shape):
        raise DataError(
            f"{field}.images={_kind(images)}: the channels are last; give images of shape "
            "(n, channels, height, width), as by images.permute(0, 3, 1, 2) of a tensor"
        )
    return Split(images.cpu(), _whole_numbers(labels, len(images), f"{field}.labels"))


def _whole_numbers(labels: Any, count: int, field: str) -> torch.Tensor:
    """Return `count` labels from 0 as int64, on the CPU; raise DataError if they are not."""
    if isinstance(labels, np.ndarray) and labels.dtype.kind in "iub":
        labels = torch.from_numpy(labels.astype(np.int64))
    if not isinstance(labels, torch.Tensor):
        raise DataError(f"{field}={_kind(labels)}: give a tensor of whole numbers, one an image")
    if labels.shape != (count,):
        one_hot = labels.ndim == 2 and labels.shape[1] > 1
        hint = "; from one-hot labels take labels.argmax(1)" if one_hot else ""
        raise DataError(
            f"{field}={tuple(labels.shape)}: give one label an image, {count} in all{hint}"
        )
    if labels.is_floating_point() or labels.is_complex() or not count:
        raise DataError(f"{field}: give whole numbers from 0, one an image")
    whole: torch.Tensor = labels.cpu().long()
    if whole.min() < 0:
        raise DataError(f"{field}: give whole numbers from 0, one an image")
    return whole


def _kind(value: Any) -> str:
    """Return the kind of a value in a few words: its type, or its dtype and shape."""
    if hasattr(value, "dtype") and hasattr(value, "shape"):
        return f"{value.dtype} {tuple(value.shape)}"
    return type(value).__name__


def _has_channels_last(shape: torch.Size) -> bool:
    """Return whether `shape` is (n, height, width, channels) rather than channels first.

    A signal may be (n, channels, length, 1), so a single last channel counts only for square maps.
    """
    _, first, second, last = shape
    return min(first, second) > 4 and (last in (3, 4) or (last == 1 and first == second))
