"""The data sets: their descriptions, and three splits of uint8 images on a device."""

from nasopt.data.datasets import (
    DATASETS,
    Dataset,
    Seen,
    Splits,
    cifar10,
    cifar100,
    digits,
    fashion_mnist,
    image_folder,
    mnist,
    svhn,
)
from nasopt.data.own import external, tensors

__all__ = [
    "DATASETS",
    "Dataset",
    "Seen",
    "Splits",
    "cifar10",
    "cifar100",
    "digits",
    "external",
    "fashion_mnist",
    "image_folder",
    "mnist",
    "svhn",
    "tensors",
]
