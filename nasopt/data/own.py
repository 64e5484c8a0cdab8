"""Data sets of your own that are no files: in memory, or known to a training function alone."""

import hashlib
from typing import Any

import torch
from numpy.typing import NDArray

from nasopt.data.datasets import Dataset
from nasopt.data.readers import Raw, checked
from nasopt.errors import DataError, check_name, spelled
from nasopt.space.layers import Shape

Array = torch.Tensor | NDArray[Any]


@spelled(DataError)
def tensors(
    images: Array,
    labels: Array,
    *,
    test: tuple[Array, Array] | None = None,
    name: str = "tensors",
    limit: int | None = None,
) -> Dataset:
    """Return a data set of your own tensors.

    The images are uint8 (n, channels, height, width), the labels 0, 1, 2, ... (n,). NumPy arrays
    are accepted as well. `test` is a pair of images and labels that no search sees.

    Raises DataError for images or labels that do not fit.
    """
    check_name(name, "tensors.name", DataError)
    parts = [checked(images, labels)]
    if test is not None:
        if not isinstance(test, tuple | list) or len(test) != 2:
            raise DataError("tensors.test: give a pair, test=(images, labels)")
        parts.append(checked(*test, field="tensors.test"))
    shapes = [tuple(part.images.shape[1:]) for part in parts]
    if shapes[-1] != shapes[0]:
        raise DataError(
            f"tensors.test: images of shape {shapes[1]} beside {shapes[0]}; give them one shape"
        )
    classes = int(max(part.labels.max() for part in parts)) + 1
    if classes > len(parts[0].labels):  # each would need an image; and a name, which takes memory
        raise DataError(
            f"tensors.labels: a label {classes - 1} among {len(parts[0].labels)} images; number "
            "the classes 0, 1, 2, ..."
        )

    def digest() -> str:
        hashed = hashlib.blake2b(digest_size=16)
        for part in parts:
            for tensor in part:
                hashed.update(str(tuple(tensor.shape)).encode())
                hashed.update(tensor.contiguous().numpy().tobytes())
        return hashed.hexdigest()

    return Dataset(
        name=name, input_shape=shapes[0], limit=limit, content=digest,
        read=lambda: Raw(*parts[0], parts[1] if test is not None else None),
        class_names=lambda: tuple(map(str, range(classes))), has_test=test is not None,
    )  # fmt: skip


@spelled(DataError)
def external(name: str, input_shape: Shape, classes: int) -> Dataset:
    """Return a data set that only a training function of your own loads: `Experiment(train=...)`.

    `input_shape` is (channels, height, width). What it is called, its shape and classes are all
    that is known of it: for other images, give another name.
    """
    check_name(name, "external.name", DataError)
    shape = tuple(input_shape) if isinstance(input_shape, tuple | list) else ()
    if len(shape) != 3 or any(type(side) is not int or side < 1 for side in shape):
        raise DataError(
            f"external.input_shape={input_shape!r}: give (channels, height, width), (3, 32, 32) say"
        )
    if type(classes) is not int or classes < 2:
        raise DataError(f"external.classes={classes!r}: use 2, 3, 4, ...")

    def read() -> Raw:
        raise DataError(f"{name}: images that nasopt does not have; give Experiment(train=...)")

    sides = "x".join(map(str, shape))
    return Dataset(
        name=name, input_shape=shape, read=read, content=lambda: f"external:{sides}:{classes}",
        class_names=lambda: tuple(map(str, range(classes))),
    )  # fmt: skip
