"""Images per second on a GPU, where there is one: the lecture's networks, and small ones.

    python -m tests.benchmarks.gpu

Networks of `studies/cifar10.py` on random images of CIFAR-10's shape (how fast they train does not
depend on what they show), and those of `throughput` on Fashion-MNIST. Each side in a process of its
own, epoch by epoch in turn. The bare loop is tuned as one tunes by hand: images on the device,
bf16, channels_last, fused SGD, cuDNN's benchmark mode, metrics read once an epoch; "captured", its
step is one CUDA graph, which is the most that the card gives to such a loop; "deterministic", of
cuDNN's algorithms only those that always give the same.

    python -m tests.benchmarks.gpu at-once

measures 1, 2, 4 and 8 trainings at once alone: in one process, a thread and a CUDA stream each, as
`--workers-per-gpu` has them, and as processes.
"""

import sys
import tempfile
import threading
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import optuna
import torch
import torch.nn.functional as F

from nasopt import Experiment, Recipe, Space, load_experiment
from nasopt.data import tensors
from nasopt.data.readers import Split
from nasopt.search.evaluator import Evaluator
from nasopt.space.architecture import Architecture
from nasopt.space.model import build
from nasopt.training.devices import own_stream
from nasopt.training.evaluation import Evaluation
from nasopt.training.trainer import Trainer
from tests.benchmarks import peer, search
from tests.benchmarks.figures import Figure
from tests.benchmarks.sides import seconds_in_turn, step_when_asked
from tests.benchmarks.throughput import FOREVER, LR, NETWORKS, architecture, images_of

CUDA = torch.device("cuda")
IMAGES = 25_000  # of CIFAR-10's shape, of which a fifth is for validation
NETWORKS_OF_STUDY = 3
TURNS = 3
WORKERS = 8  # of the script's `DataLoader`
AT_ONCE = (1, 2, 4, 8)


def like_cifar10() -> Any:
    random = torch.Generator().manual_seed(0)
    images = torch.randint(256, (IMAGES, 3, 32, 32), dtype=torch.uint8, generator=random)
    return tensors(images, torch.arange(IMAGES) % 10)


def work(name: str, number: int, batch_size: int) -> tuple[Any, Architecture, Recipe]:
    """(data set, network, recipe) of the `number`th network of "cifar10" or "fashion_mnist"."""
    recipe = Recipe(epochs=FOREVER, batch_size=batch_size, lr=LR, shift=4, flip=True)
    if name != "cifar10":
        return images_of(name), architecture(NETWORKS[number]), recipe
    study = load_experiment("studies/cifar10.py")
    network = study.sample(number + 1, seed=0)[number].architecture
    assert isinstance(network, Architecture)
    return like_cifar10(), network, recipe


def trainer(name: str, number: int, batch_size: int) -> Iterator[Any]:
    """Epochs of ours as a study trains, with the ledger on."""
    with tempfile.TemporaryDirectory() as folder:
        evaluator, evaluation = evaluated(Path(folder), name, number, batch_size)
        yield from evaluator.epochs(evaluation)


def evaluated(
    folder: Path, name: str, number: int, batch_size: int, device: str = "cuda"
) -> tuple[Evaluator, Evaluation]:
    dataset, network, recipe = work(name, number, batch_size)
    experiment = Experiment(
        dataset=dataset, space=Space(network.convolutions[0]), recipe=recipe, name="gpu"
    )
    evaluator = Evaluator(experiment, folder / "x.db", device)
    return evaluator, Evaluation(network, recipe, dataset, 0)


def eager(name: str, number: int, batch_size: int) -> Iterator[Any]:
    """Epochs of ours without the graph."""
    dataset, network, recipe = work(name, number, batch_size)
    train, validation, _ = dataset.load(CUDA)
    each = Trainer(Evaluation(network, recipe, dataset, 0), train, validation, 10)
    each.recorder = None
    yield from each.epochs()


def bare(
    name: str, number: int, batch_size: int, captured: bool = False, deterministic: bool = False
) -> Iterator[None]:
    """Epochs of a loop written by hand for this one purpose."""
    dataset, network, recipe = work(name, number, batch_size)
    train, validation, _ = dataset.load(CUDA)
    torch.backends.cudnn.benchmark = True
    torch.backends.cudnn.deterministic = deterministic
    model = build(network, dataset.input_shape, 10).to(CUDA, memory_format=torch.channels_last)
    optimizer = torch.optim.SGD(
        model.parameters(), lr=LR, momentum=0.9, nesterov=True, weight_decay=5e-4, fused=True
    )
    floats = train.images.float()
    mean = floats.mean((0, 2, 3)).view(1, -1, 1, 1)
    scale = 1 / floats.std((0, 2, 3)).view(1, -1, 1, 1)
    del floats
    total = torch.zeros((), device=CUDA)
    chosen = torch.zeros(batch_size, dtype=torch.int64, device=CUDA)

    def step() -> None:
        images = augmented(train.images[chosen], recipe.chosen("shift"))
        images = images.to(torch.float32, memory_format=torch.channels_last)
        with torch.autocast("cuda", torch.bfloat16, cache_enabled=False):
            logits = model(images.sub_(mean).mul_(scale))
            loss = F.cross_entropy(logits.float(), train.labels[chosen])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        total.add_(loss.detach())

    run = recorded(step) if captured else step
    while True:
        model.train()
        order = torch.randperm(len(train.labels), device=CUDA)
        for start in range(0, len(order) - batch_size + 1, batch_size):
            chosen.copy_(order[start : start + batch_size])
            run()
        scored(model, validation, mean, scale)
        total.zero_()
        yield


def augmented(images: torch.Tensor, shift: int) -> torch.Tensor:
    count, _, size, _ = images.shape
    windows = F.pad(images, (shift,) * 4).unfold(2, size, 1).unfold(3, size, 1)
    down, right = torch.randint(0, 2 * shift + 1, (2, count), device=CUDA)
    images = windows[torch.arange(count, device=CUDA), :, down, right]
    mirrored = (torch.rand(count, device=CUDA) < 0.5).view(-1, 1, 1, 1)
    return torch.where(mirrored, images.flip(3), images)


def recorded(step: Any) -> Any:
    aside = torch.cuda.Stream()
    aside.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(aside):
        for _ in range(5):
            step()
    torch.cuda.current_stream().wait_stream(aside)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        step()
    return graph.replay


def scored(model: Any, split: Split, mean: torch.Tensor, scale: torch.Tensor) -> int:
    model.eval()
    correct = torch.zeros((), dtype=torch.int64, device=CUDA)
    with torch.inference_mode(), torch.autocast("cuda", torch.bfloat16):
        for start in range(0, len(split.labels), 1000):
            images = split.images[start : start + 1000]
            images = images.to(torch.float32, memory_format=torch.channels_last)
            found = model(images.sub_(mean).mul_(scale)).argmax(1)
            correct += (found == split.labels[start : start + 1000]).sum()
    return int(correct)


def script(name: str, number: int, batch_size: int) -> Iterator[float]:
    """Epochs of the plain script, its images made by `WORKERS` processes."""
    train, validation, _ = images_of(name).load()
    loaders = peer.loaders(train, validation, batch_size, shift=4, flip=True, workers=WORKERS)
    network = peer.network(NETWORKS[number])
    return peer.epochs(network, *loaders, FOREVER, LR, device="cuda")


def compared(name: str, number: int, batch_size: int, turns: int) -> Iterator[Figure]:
    given = name, number, batch_size
    sides = {
        "ours": partial(trainer, *given),
        "without a graph": partial(eager, *given),
        "bare": partial(bare, *given),
        "bare, captured": partial(bare, *given, True),
        "bare, captured, deterministic": partial(bare, *given, True, True),
    }
    if name == "fashion_mnist":
        sides["script"] = partial(script, *given)
    seconds = dict(zip(sides, seconds_in_turn(turns, *sides.values()), strict=True))
    count, _ = work(*given)[0].counts
    images = count // batch_size * batch_size
    what = f"{name}, network {number}" if name == "cifar10" else f"{name}, {number} layers"
    yield Figure(
        f"{what}, batch {batch_size}: Trainer / bare loop",
        seconds["bare"] / seconds["ours"],
        at_least=0.97,
        detail=", ".join(f"{side} {images / took:,.0f}" for side, took in seconds.items())
        + " images/s",
    )
    yield Figure(
        "    against the captured loop with algorithms as deterministic as ours",
        seconds["bare, captured, deterministic"] / seconds["ours"],
        at_least=0.97,
    )


def in_threads(
    name: str, number: int, batch_size: int, trainings: int, device: str = "cuda"
) -> Iterator[None]:
    """An epoch of each of so many trainings, by threads of this process."""
    begin, end = threading.Barrier(trainings + 1), threading.Barrier(trainings + 1)

    def train(evaluator: Evaluator, evaluation: Evaluation) -> None:
        with own_stream(evaluator.device):
            begin.wait()
            for _ in evaluator.epochs(evaluation):
                end.wait()
                begin.wait()

    with tempfile.TemporaryDirectory() as folder:
        first, evaluation = evaluated(Path(folder), name, number, batch_size, device)
        for seed in range(trainings):  # of their own: one network is not trained twice at once
            given = first.beside(), replace(evaluation, seed=seed)
            threading.Thread(target=train, args=given, daemon=True).start()
        while True:
            begin.wait()
            end.wait()
            yield


def in_processes(name: str, number: int, batch_size: int, trainings: int) -> Iterator[None]:
    """An epoch of each of so many trainings, by processes of their own."""
    context = get_context("spawn")
    pipes = []
    for _ in range(trainings):
        ours, theirs = context.Pipe()
        side = partial(trainer, name, number, batch_size)
        context.Process(target=step_when_asked, args=(side, theirs), daemon=True).start()
        pipes.append(ours)
    while True:
        for pipe in pipes:
            pipe.send("step")
        for pipe in pipes:
            pipe.recv()
        yield


def at_once(name: str, number: int, batch_size: int, turns: int) -> Iterator[Figure]:
    """Images per second of several trainings on one card, as a multiple of those of one."""
    given = name, number, batch_size
    sides = {
        (side, count): partial(side, *given, count)
        for count in AT_ONCE
        for side in (in_threads, in_processes)
    }
    # one after the other: nothing else may be on the card
    seconds = {each: seconds_in_turn(turns, side)[0] for each, side in sides.items()}
    images = work(*given)[0].counts[0] // batch_size * batch_size
    for count in AT_ONCE[1:]:
        rates = {side: count * images / seconds[side, count] for side in (in_threads, in_processes)}
        one = images / seconds[in_threads, 1]
        yield Figure(
            f"{name}, network {number}, batch {batch_size}: {count} trainings at once / one",
            rates[in_threads] / one,
            at_least=3 if count == AT_ONCE[-1] else None,
            detail=f"{rates[in_threads]:,.0f} images/s, {rates[in_processes]:,.0f} as processes, "
            f"{one:,.0f} of one",
        )


def of_several() -> Iterator[Figure]:
    yield from at_once("cifar10", 0, 128, TURNS)
    yield from at_once("fashion_mnist", 3, 128, TURNS)


def searched(seed: int) -> Figure:
    """The whole search, as `search` measures it on a CPU, both sides on the GPU."""
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    experiment = replace(load_experiment(search.STUDY), trials=search.TRIALS)
    theirs = search.script(experiment, seed, "cuda", WORKERS)
    ours = search.until(seed, theirs.best, "surrogate", 1, device="cuda")
    return Figure(
        f"until the script's best is found, share of its time: seed {seed}",
        ours.seconds / theirs.seconds,
        detail=f"{ours.seconds:.1f} of {theirs.seconds:.0f} s, {ours.trials} trials",
    )


def figures() -> Iterator[Figure]:
    if not torch.cuda.is_available():
        print("  there is no GPU: nothing measured")
        return
    print(f"  {torch.cuda.get_device_name()}, torch {torch.__version__}")
    for number in range(NETWORKS_OF_STUDY):
        yield from compared("cifar10", number, 128, TURNS)
    yield from compared("cifar10", 0, 512, TURNS)
    for layers in (3, 8):
        yield from compared("fashion_mnist", layers, 128, TURNS)
    yield from of_several()
    for seed in range(search.SEEDS):
        yield searched(seed)


if __name__ == "__main__":
    if sys.argv[1:] == ["at-once"] and torch.cuda.is_available():
        measured = of_several()
    else:
        measured = figures()  # which says so where there is no GPU
    for figure in measured:
        print(figure, flush=True)
