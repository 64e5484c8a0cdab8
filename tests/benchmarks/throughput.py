"""Images per second of the `Trainer`, against a bare loop and against the script of `peer`.

    python -m tests.benchmarks.throughput

On one CPU thread. The sides take turns epoch by epoch, so that a machine whose speed drifts treats
them alike; figures are medians.
"""

import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from statistics import median

import torch
import torch.nn.functional as F

from nasopt import Architecture, Conv, Experiment, Recipe, Space
from nasopt.data import Dataset, digits, fashion_mnist
from nasopt.evaluation import Evaluation
from nasopt.images import Split
from nasopt.model import build, cost
from nasopt.training import Trainer
from nasopt.workshop import Workshop
from tests.benchmarks import peer
from tests.benchmarks.figures import Figure

NETWORKS = {
    3: ((24, 3, 1), (48, 3, 2), (64, 3, 2)),
    5: ((24, 3, 1), (36, 5, 2), (48, 3, 1), (64, 3, 2), (64, 3, 1)),
    8: (
        (24, 3, 1),
        (24, 3, 1),
        (36, 3, 2),
        (36, 5, 1),
        (48, 3, 1),
        (48, 3, 2),
        (64, 3, 1),
        (64, 3, 1),
    ),
}  # (filters, kernel size, stride)


def architecture(layers: tuple[tuple[int, int, int], ...]) -> Architecture:
    return Architecture(tuple(Conv(filters=f, kernel_size=k, stride=s) for f, k, s in layers))


def bare(
    network: Architecture, train: Split, validation: Split, batch_size: int, shift: int, flip: bool
) -> Iterator[None]:
    """Epochs of a loop written by hand for this one purpose: whole batches from memory."""
    shape = tuple(train.images.shape[1:])
    model = build(network, shape, 10).to(memory_format=torch.channels_last)
    optimizer = torch.optim.SGD(
        model.parameters(), lr=0.01, momentum=0.9, nesterov=True, weight_decay=5e-4, fused=True
    )
    floats = train.images.float()
    mean, scale = floats.mean(), 1 / floats.std()
    size = shape[1]
    while True:
        model.train()
        order = torch.randperm(len(train.labels))
        for start in range(0, len(order) - batch_size + 1, batch_size):
            chosen = order[start : start + batch_size]
            images = train.images[chosen]
            if shift:
                padded = F.pad(images, (shift,) * 4)
                windows = padded.unfold(2, size, 1).unfold(3, size, 1)
                down, right = torch.randint(0, 2 * shift + 1, (2, len(chosen)))
                images = windows[torch.arange(len(chosen)), :, down, right]
            if flip:
                mirrored = (torch.rand(len(chosen)) < 0.5).view(-1, 1, 1, 1)
                images = torch.where(mirrored, images.flip(3), images)
            images = images.to(torch.float32, memory_format=torch.channels_last)
            loss = F.cross_entropy(model(images.sub_(mean).mul_(scale)), train.labels[chosen])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        model.eval()
        with torch.inference_mode():
            for start in range(0, len(validation.labels), 1000):
                images = validation.images[start : start + 1000]
                images = images.to(torch.float32, memory_format=torch.channels_last)
                model(images.sub_(mean).mul_(scale)).argmax(1)
        yield


def seconds(step: Callable[[], object]) -> float:
    started = time.perf_counter()
    step()
    return time.perf_counter() - started


def gemm() -> float:
    """fp32 GFLOP/s of one thread, best of ten: 2 n^3 operations."""
    n = 1024
    a, b = torch.randn(2, n, n)
    return 2 * n**3 / min(seconds(lambda: a @ b) for _ in range(10)) / 1e9


def in_turn(count: int, *sides: Iterator[object]) -> list[float]:
    """Median seconds of an epoch of each side; the first of each warms up."""
    for side in sides:
        next(side)
    taken = [[seconds(lambda side=side: next(side)) for side in sides] for _ in range(count)]
    return [median(each) for each in zip(*taken, strict=True)]


def against_bare(
    dataset: Dataset, layers: int, batch_size: int, count: int
) -> tuple[float, float, float]:
    """(images/s of the bare loop, of the Trainer with the ledger on, its GFLOP/s)."""
    network = architecture(NETWORKS[layers])
    recipe = Recipe(epochs=count + 1, batch_size=batch_size, lr=0.01, shift=2, flip=True)
    experiment = Experiment(dataset=dataset, space=Space(Conv(filters=8)), recipe=recipe)
    evaluation = Evaluation(network, recipe, dataset, 0)
    with tempfile.TemporaryDirectory() as folder:
        workshop = Workshop(experiment, Path(folder) / "x.db", "cpu")
        splits = workshop.splits
        loop, trainer = in_turn(
            count,
            bare(network, splits.train, splits.validation, batch_size, 2, True),
            workshop.epochs(evaluation),
        )
    images = len(splits.train.labels) // batch_size * batch_size
    macs = cost(network, dataset.input_shape, 10).macs
    scored = len(splits.validation.labels)
    return images / loop, images / trainer, 2 * macs * (3 * images + scored) / trainer / 1e9


def against_peer(dataset: Dataset, layers: int, count: int) -> tuple[float, float]:
    """(images/s of the peer's script, of the Trainer)."""
    recipe = Recipe(epochs=count + 1, batch_size=128, lr=0.05, shift=2, flip=True)
    splits = dataset.load("cpu")
    evaluation = Evaluation(architecture(NETWORKS[layers]), recipe, dataset, 0)
    trainer = Trainer(evaluation, splits.train, splits.validation, 10)
    script = peer.epochs(
        peer.network(NETWORKS[layers]),
        *peer.loaders(splits.train, splits.validation, 128, 2, True),
        count + 1, 0.05,
    )  # fmt: skip
    theirs, ours = in_turn(count, script, trainer.epochs())
    images = len(splits.train.labels)
    return images / theirs, images / ours


def figures() -> Iterator[Figure]:
    torch.set_num_threads(1)
    fashion = fashion_mnist(limit=12_000)  # 10,000 to train on
    for name, dataset, layers, batch_size, count in (
        ("Fashion-MNIST", fashion, 3, 128, 5),
        ("Fashion-MNIST", fashion, 5, 512, 4),
        ("digits", digits(), 5, 128, 25),
    ):
        loop, trainer, gflops = against_bare(dataset, layers, batch_size, count)
        what = f"{name}, {layers} layers, batch {batch_size}: Trainer / bare loop"
        yield Figure(
            what, trainer / loop, at_least=0.97, detail=f"{trainer:,.0f} of {loop:,.0f} images/s"
        )
        rate = gemm()
        yield Figure(
            "  convolutions / GEMM", gflops / rate, detail=f"{gflops:.0f} of {rate:.0f} GFLOP/s"
        )
    for name, dataset, least, count in (
        ("Fashion-MNIST", fashion, 1.6, 4),
        ("digits", digits(), 2.0, 15),
    ):
        for layers in NETWORKS:
            theirs, ours = against_peer(dataset, layers, count)
            yield Figure(
                f"{name}, {layers} layers: Trainer / plain script", ours / theirs, at_least=least,
                detail=f"{ours:,.0f} against {theirs:,.0f} images/s",
            )  # fmt: skip


if __name__ == "__main__":
    for figure in figures():
        print(figure, flush=True)
