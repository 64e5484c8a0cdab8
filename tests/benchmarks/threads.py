"""One thread against two, by the size of networks; the quickstart alone and beside busy processes.

    python -m tests.benchmarks.threads

On two cores that nothing else uses. Each network is trained by one and by two threads in turn, so
that a machine whose speed drifts treats both alike.
"""

import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from itertools import islice
from pathlib import Path

import torch

from nasopt.cli.quickstart import study_file
from nasopt.data.readers import Split
from nasopt.search.experiment import Experiment
from nasopt.search.loading import load_experiment
from nasopt.training.evaluation import Evaluation
from nasopt.training.trainer import Trainer
from tests.benchmarks.figures import Figure

STUDIES = ("digits.py", "fashion_mnist.py", "digits20.py", "cifar10.py")
BUSY = 4  # processes
SAMPLE = 12  # random networks of a study, of which the least, the middle and the greatest are timed
TURNS = 5
TURN_SECONDS = 0.4
FOREVER = 1_000_000  # epochs


@contextmanager
def busy(processes: int) -> Iterator[None]:
    command = [sys.executable, "-c", "while True: pass"]
    started = [subprocess.Popen(command) for _ in range(processes)]
    try:
        yield
    finally:
        for process in started:
            process.kill()
            process.wait()


def steps(experiment: Experiment, evaluation: Evaluation) -> Iterator[None]:
    """Batches of random images, without an end."""
    recipe = replace(evaluation.recipe, epochs=FOREVER)
    batch_size = recipe.chosen("batch_size")
    generator = torch.Generator().manual_seed(0)
    shape = (batch_size, *experiment.data.input_shape)
    images = torch.randint(0, 256, shape, dtype=torch.uint8, generator=generator)
    labels = torch.randint(0, experiment.data.classes, (batch_size,), generator=generator)
    train, few = Split(images, labels), Split(images[:1], labels[:1])
    trainer = Trainer(replace(evaluation, recipe=recipe), train, few, experiment.data.classes)
    return (None for result in trainer.batches() if result is None)


def gain(experiment: Experiment, evaluation: Evaluation) -> tuple[float, float]:
    """(images per second by one thread, how many times that by two): medians of turns."""
    each = steps(experiment, evaluation)
    seconds_of(each, 2)
    count = max(1, round(TURN_SECONDS * 2 / seconds_of(each, 2)))
    turns = []
    for _ in range(TURNS):
        taken = []
        for threads in (1, 2):
            torch.set_num_threads(threads)
            next(each)
            taken.append(seconds_of(each, count))
        turns.append(taken)
    one = statistics.median(taken[0] for taken in turns)
    images = count * evaluation.recipe.chosen("batch_size")
    return images / one, statistics.median(one / two for one, two in turns)


def seconds_of(each: Iterator[None], count: int) -> float:
    started = time.perf_counter()
    for _ in islice(each, count):
        pass
    return time.perf_counter() - started


def of_networks() -> Iterator[Figure]:
    for name in STUDIES:
        experiment = load_experiment(study_file(name))
        sample = experiment.sample(SAMPLE, seed=0)
        sample.sort(key=lambda each: experiment.cost(each.architecture).macs)
        for evaluation in (sample[0], sample[SAMPLE // 2], sample[-1]):
            macs = experiment.cost(evaluation.architecture).macs
            rate, ratio = gain(experiment, evaluation)
            yield Figure(
                f"{name}, {macs * evaluation.recipe.chosen('batch_size'):.1e} MACs a batch: "
                "two threads / one",
                ratio,
                detail=f"{rate:,.0f} images/s with one",
            )


def quickstart_seconds() -> float:
    """As it is by default, whatever this process was started with."""
    environment = {name: value for name, value in os.environ.items() if name != "OMP_NUM_THREADS"}
    with tempfile.TemporaryDirectory() as folder:
        words = ["quickstart", "--storage", str(Path(folder) / "x.db"), "--device", "cpu"]
        started = time.perf_counter()
        subprocess.run(
            [sys.executable, "-m", "nasopt", *words],
            stdout=subprocess.DEVNULL, env=environment, check=True,
        )  # fmt: skip
        return time.perf_counter() - started


def figures() -> Iterator[Figure]:
    alone = quickstart_seconds()
    yield Figure("quickstart", alone, unit=" s")
    with busy(BUSY):
        beside = quickstart_seconds()
    yield Figure(
        f"quickstart beside {BUSY} busy processes / alone",
        beside / alone,
        at_most=3,
        detail=f"{beside:.0f} s",
    )
    yield from of_networks()


if __name__ == "__main__":
    for figure in figures():
        print(figure, flush=True)
