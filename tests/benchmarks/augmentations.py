"""Which augmentations pay: one network, one recipe and some seeds, with and without each.

    python -m tests.benchmarks.augmentations FOLDER|fashion_mnist [--images N] [--seeds N]

Accuracies are of the last epoch, on the same 2,000 validation images for all. A difference is to
the training without any that has the same seed; +- is its standard error over the seeds.
"""

import argparse
import statistics
from dataclasses import replace
from typing import Any

import torch

from nasopt import Architecture, Conv, Recipe
from nasopt.data import Dataset, fashion_mnist, image_folder
from nasopt.data.readers import Split
from nasopt.training.evaluation import Evaluation
from nasopt.training.metrics import accuracy
from nasopt.training.trainer import Trainer, evaluate

ARCHITECTURE = Architecture(tuple(Conv(filters=filters, stride=2) for filters in (24, 36, 48)))
RECIPE = Recipe(epochs=40, batch_size=32, lr=0.05)
SCORED = 2_000  # validation images
OBJECTS = {"shift": 4, "flip": True}
EVERY: dict[str, dict[str, Any]] = {
    "none": {},
    "shift=4": {"shift": 4},
    "flip": {"flip": True},
    "shift=4, flip": OBJECTS,
    "crop=0.5, flip": {"crop": 0.5, "flip": True},
    "shift=4, flip, cutout=8": {**OBJECTS, "cutout": 8},
    "shift=4, flip, jitter=0.2": {**OBJECTS, "jitter": 0.2},
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("dataset")
    parser.add_argument("--images", type=int, default=500)
    parser.add_argument("--seeds", type=int, default=3)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    name = arguments.dataset
    dataset = fashion_mnist() if name == "fashion_mnist" else image_folder(name, 32)
    train, validation, _ = dataset.load()
    train, validation = first(train, arguments.images), first(validation, SCORED)
    found: dict[str, list[float]] = {}
    for what, fields in EVERY.items():
        recipe = replace(RECIPE, **fields)
        found[what] = [
            trained(dataset, recipe, seed, train, validation) for seed in range(arguments.seeds)
        ]
        print(row(what, found[what], found["none"]), flush=True)


def first(split: Split, count: int) -> Split:
    """Return the first `count` images in an order by chance, the same each time."""
    order = torch.randperm(len(split.labels), generator=torch.Generator().manual_seed(0))[:count]
    return Split(split.images[order], split.labels[order])


def trained(dataset: Dataset, recipe: Recipe, seed: int, train: Split, validation: Split) -> float:
    """Return the accuracy on the validation images at the end of the training."""
    evaluation = Evaluation(ARCHITECTURE, recipe, dataset, seed)
    trainer = Trainer(evaluation, train, first(validation, 1), dataset.classes)
    for _ in trainer.epochs():
        pass
    confusion, _ = evaluate(trainer.network, validation, trainer.batches_of.normalised)
    return accuracy(confusion)


def row(what: str, accuracies: list[float], without: list[float]) -> str:
    differences = [ours - none for ours, none in zip(accuracies, without, strict=True)]
    error = statistics.stdev(differences) / len(differences) ** 0.5
    return (
        f"| {what} | {statistics.fmean(accuracies):.3f} | "
        f"{statistics.fmean(differences):+.3f} +- {error:.3f} |"
    )


if __name__ == "__main__":
    main()
