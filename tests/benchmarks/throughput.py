"""Images per second of the `Trainer`, against a bare loop and against the script of `peer`.

    python -m tests.benchmarks.throughput

On one CPU thread, each side in a process of its own, epoch by epoch in turn.
"""

import tempfile
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F

from nasopt import Architecture, Conv, Experiment, Recipe, Space
from nasopt.data import DATASETS, Dataset
from nasopt.search.evaluator import Evaluator
from nasopt.space.model import build, cost
from nasopt.training.devices import training_on
from nasopt.training.evaluation import Evaluation
from tests.benchmarks import peer
from tests.benchmarks.figures import Figure
from tests.benchmarks.sides import seconds_in_turn

Layers = tuple[tuple[int, int, int], ...]  # (filters, kernel size, stride) of each

NETWORKS: dict[int, Layers] = {
    3: ((24, 3, 1), (48, 3, 2), (64, 3, 2)),
    4: ((32, 3, 1), (48, 3, 2), (64, 3, 1), (64, 3, 2)),
    5: ((24, 3, 1), (36, 5, 2), (48, 3, 1), (64, 3, 2), (64, 3, 1)),
    8: (
        (24, 3, 1), (24, 3, 1), (36, 3, 2), (36, 5, 1),
        (48, 3, 1), (48, 3, 2), (64, 3, 1), (64, 3, 1),
    ),
}  # fmt: skip
LIMITS = {"fashion_mnist": 12_000, "digits": None}  # 10,000 and 1,150 are trained on
SHIFT, FLIP, LR = 2, True, 0.05
FOREVER = 10_000  # epochs


def images_of(name: str) -> Dataset:
    return DATASETS[name](limit=LIMITS[name])


def architecture(layers: Layers) -> Architecture:
    return Architecture(tuple(Conv(filters=f, kernel_size=k, stride=s) for f, k, s in layers))


def trainer(name: str, layers: Layers, batch_size: int, precision: str = "auto") -> Iterator[Any]:
    """Epochs of ours, with the ledger on."""
    dataset = images_of(name)
    recipe = Recipe(
        epochs=FOREVER, batch_size=batch_size, lr=LR, shift=SHIFT, flip=FLIP, precision=precision
    )
    experiment = Experiment(dataset=dataset, space=Space(Conv(filters=8)), recipe=recipe)
    with tempfile.TemporaryDirectory() as folder:
        evaluator = Evaluator(experiment, Path(folder) / "x.db", "cpu")
        yield from evaluator.epochs(Evaluation(architecture(layers), recipe, dataset, 0))


def kept(name: str, layers: Layers, batch_size: int) -> Iterator[None]:
    """Epochs of the bare loop, with the memory that a step frees kept for the next, as ours is."""
    with training_on(torch.device("cpu")):
        yield from bare(name, layers, batch_size)


def bare(name: str, layers: Layers, batch_size: int) -> Iterator[None]:
    """Epochs of a loop written by hand for this one purpose: whole batches from memory."""
    train, validation, _ = images_of(name).load()
    shape = tuple(train.images.shape[1:])
    model = build(architecture(layers), shape, 10).to(memory_format=torch.channels_last)
    optimizer = torch.optim.SGD(
        model.parameters(), lr=LR, momentum=0.9, nesterov=True, weight_decay=5e-4, fused=True
    )
    floats = train.images.float()
    mean, scale = floats.mean(), 1 / floats.std()
    size = shape[1]
    while True:
        model.train()
        order = torch.randperm(len(train.labels))
        for start in range(0, len(order) - batch_size + 1, batch_size):
            chosen = order[start : start + batch_size]
            padded = F.pad(train.images[chosen], (SHIFT,) * 4)
            windows = padded.unfold(2, size, 1).unfold(3, size, 1)
            down, right = torch.randint(0, 2 * SHIFT + 1, (2, len(chosen)))
            images = windows[torch.arange(len(chosen)), :, down, right]
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


def script(name: str, layers: Layers, batch_size: int) -> Iterator[float]:
    """Epochs of the plain script."""
    train, validation, _ = images_of(name).load()
    return peer.epochs(
        peer.network(layers),
        *peer.loaders(train, validation, batch_size, SHIFT, FLIP),
        FOREVER,
        LR,
    )


def gemm() -> Iterator[None]:
    """Ten fp32 products of 1024 x 1024 matrices."""
    a, b = torch.randn(2, 1024, 1024)
    while True:
        for _ in range(10):
            a @ b
        yield


def against_bare(name: str, layers: int, batch_size: int, turns: int) -> Iterator[Figure]:
    given = name, NETWORKS[layers], batch_size
    sides = partial(bare, *given), partial(kept, *given), partial(trainer, *given, "fp32"), gemm
    loop, kept_loop, ours, products = seconds_in_turn(turns, *sides)
    dataset = images_of(name)
    train, validation = dataset.counts
    images = train // batch_size * batch_size
    yield Figure(
        f"{name}, {layers} layers, batch {batch_size}: Trainer / bare loop",
        loop / ours,
        at_least=0.97,
        detail=f"{images / ours:,.0f} against {images / loop:,.0f} images/s",
    )
    yield Figure(
        "    against the loop with its memory kept",
        kept_loop / ours,
        at_least=0.97,
        detail=f"{images / kept_loop:,.0f} images/s",
    )
    # a training step is three forward passes' worth
    work = 2 * cost(architecture(NETWORKS[layers]), dataset.input_shape, 10).macs
    achieved = work * (3 * images + validation) / min(loop, kept_loop) / 1e9
    rate = 10 * 2 * 1024**3 / products / 1e9
    yield Figure(
        "    the loop, of the rate of matrix products",
        achieved / rate,
        detail=f"{achieved:.0f} of {rate:.0f} GFLOP/s",
    )


def against_script(name: str, layers: int, at_least: float, turns: int) -> Figure:
    given = name, NETWORKS[layers], 128
    theirs, ours = seconds_in_turn(turns, partial(script, *given), partial(trainer, *given))
    images, _ = images_of(name).counts
    return Figure(
        f"{name}, {layers} layers: Trainer / plain script",
        theirs / ours,
        at_least=at_least,
        detail=f"{images / ours:,.0f} against {images / theirs:,.0f} images/s",
    )


def figures() -> Iterator[Figure]:
    for name, layers, batch_size, turns in (
        ("fashion_mnist", 4, 128, 5),
        ("fashion_mnist", 4, 512, 5),
        ("digits", 4, 128, 20),
    ):
        yield from against_bare(name, layers, batch_size, turns)
    for name, at_least, turns in (("fashion_mnist", 1.6, 5), ("digits", 2.0, 20)):
        for layers in (3, 5, 8):
            yield against_script(name, layers, at_least, turns)


if __name__ == "__main__":
    for figure in figures():
        print(figure, flush=True)
