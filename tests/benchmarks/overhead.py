"""What ledger and checkpoints cost a training of about one second an epoch: at most 1 %.

    python -m tests.benchmarks.overhead

Two trainers of the same network take turns, epoch by epoch, so that a machine whose speed drifts
treats both alike: one bare, one with its epochs recorded and its state saved every ten seconds.
"""

import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import torch

from nasopt import Architecture, Conv, Experiment, Recipe, Space
from nasopt.data import digits
from nasopt.search.evaluator import Evaluator
from nasopt.training.evaluation import Evaluation
from nasopt.training.trainer import Trainer
from tests.benchmarks.figures import Figure

EPOCHS = 24
ARCHITECTURE = Architecture(tuple(Conv(filters=filters) for filters in (64, 96, 96, 96, 96, 96)))


def timed(epochs: Iterator[object]) -> float:
    started = time.perf_counter()
    next(epochs)
    return time.perf_counter() - started


def figures() -> Iterator[Figure]:
    torch.set_num_threads(1)
    experiment = Experiment(dataset=digits(), space=Space(Conv(filters=8)))
    evaluation = Evaluation(ARCHITECTURE, Recipe(epochs=EPOCHS), experiment.data, 0)
    with tempfile.TemporaryDirectory() as folder:
        evaluator = Evaluator(experiment, Path(folder) / "x.db", "cpu")
        splits = evaluator.resources.images
        bare = Trainer(evaluation, splits.train, splits.validation, 10).epochs()
        paid = evaluator.epochs(evaluation)
        timed(bare), timed(paid)  # the first epochs warm up
        pairs = [(timed(bare), timed(paid)) for _ in range(EPOCHS - 1)]
    plain, recorded = (sum(each) / len(pairs) for each in zip(*pairs, strict=True))
    yield Figure(
        "ledger and checkpoints, share of an epoch",
        recorded / plain - 1,
        at_most=0.01,
        detail=f"{plain:.2f} s bare, {recorded:.2f} s recorded",
    )


if __name__ == "__main__":
    for figure in figures():
        print(figure, flush=True)
