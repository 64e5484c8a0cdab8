"""How far one study scales: trials an hour by workers, trials a second that a database serves.

    python -m tests.benchmarks.scale [workers] [storage] [simulation]

"workers": one and two workers of one thread, training one network on digits at ever another
learning rate, in turn, so that a machine that others use treats both alike. "storage": real
workers whose trainings take no time (20 layers, 62 parameters, 10 epochs, each reported), on
SQLite and on a PostgreSQL server that writes to the disk before it answers; they share the cores
of this machine with it, so the seconds of CPU that the server takes for a trial are told besides.
"simulation": 1,000 workers at that rate.
"""

import argparse
import heapq
import os
import random
import statistics
import subprocess
import sys
import tempfile
import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import optuna
import sqlalchemy as sa
import torch

from nasopt import Conv, Experiment, Recipe, Space, categorical, repeat
from nasopt.data import external
from nasopt.search.search import Search
from nasopt.storage.attributes import OWNER
from nasopt.storage.database import storage_url
from nasopt.storage.reading import SYSTEM_ATTRS, TRIALS
from tests.benchmarks.figures import Figure
from tests.cluster import Cluster

TURNS = 3
TRAINED = 16  # trials a worker in a turn
STUDY = """
from nasopt import Conv, Experiment, Recipe, Space, real
from nasopt.data import digits

experiment = Experiment(
    dataset=digits(),
    space=Space(Conv(filters=32), Conv(filters=32, stride=2)),
    recipe=Recipe(epochs=30, lr=real(0.01, 0.1)),  # each trial trains, and all take alike long
    trials={trials},
    pruner="none",
)
"""
CROWDS = (1, 2, 4, 8, 16)
WRITTEN, LEAST = 20, 60  # trials a worker, and in all
LENGTHS = (1, 10, 60, 600)  # seconds of a trial
MANY = (100, 300, 1_000)  # workers
SPREAD = 0.5  # of the length of a trial, to either side
SIMULATED = 20  # trials a worker


def instant(architecture: Any, recipe: Recipe, seed: int) -> Iterator[float]:
    """Train nothing: all that takes time is what the database has to do."""
    for epoch in range(recipe.epochs):
        yield 0.5 + epoch / 100


def instantly() -> Experiment:
    layer = Conv(
        filters=categorical(24, 36, 48, 64),
        kernel_size=categorical(3, 5, 7),
        stride=categorical(1, 2),
    )
    return Experiment(
        dataset=external("nothing", (3, 32, 32), 10),
        space=Space(repeat(layer, 20)),
        recipe=Recipe(epochs=10),
        train=instant,
        name="scale",
        pruner="none",
    )


def rate(location: str) -> float:
    """Return the trials a second that ended while all workers of a study were at work."""
    ended = (
        sa.select(SYSTEM_ATTRS.c.value_json, TRIALS.c.datetime_start, TRIALS.c.datetime_complete)
        .join(SYSTEM_ATTRS, SYSTEM_ATTRS.c.trial_id == TRIALS.c.trial_id)
        .where(SYSTEM_ATTRS.c.key == OWNER)
    )
    engine = sa.create_engine(storage_url(location), poolclass=sa.NullPool)
    with engine.connect() as connection:
        rows = connection.execute(ended).all()
    starts, ends = {}, {}
    for owner, start, end in rows:
        starts[owner] = min(start, starts.get(owner, start))
        ends[owner] = max(end, ends.get(owner, end))
    first, last = max(starts.values()), min(ends.values())
    inside = [end for _, start, end in rows if first < end <= last]
    return len(inside) / (last - first).total_seconds()


# trainings


def workers() -> Iterator[Figure]:
    told: dict[int, list[float]] = {1: [], 2: []}
    for _ in range(TURNS):
        for crowd, rates in told.items():
            with tempfile.TemporaryDirectory() as folder:
                place = Path(folder)
                trials = TRAINED * crowd
                (place / "study.py").write_text(STUDY.format(trials=trials))
                words = ["run", "study.py", "--storage", "x.db", "--sampler", "random"]
                words += ["--workers", str(crowd), "--device", "cpu"]
                command = [sys.executable, "-m", "nasopt", *words]
                subprocess.run(command, cwd=folder, check=True, capture_output=True, env=_ONE)
                rates.append(rate(str(place / "x.db")))
    for crowd, rates in told.items():
        yield Figure(f"trials an hour, {crowd} workers", 3_600 * statistics.median(rates))
    ratios = [two / one for one, two in zip(told[1], told[2], strict=True)]
    shown = ", ".join(f"{each:.2f}" for each in ratios)
    yield Figure("two workers against one", statistics.median(ratios), at_least=1.85, detail=shown)
    yield _load()


_ONE = {**os.environ, "OMP_NUM_THREADS": "1"}


def _load() -> Figure:
    return Figure("load of the machine, a minute's mean", os.getloadavg()[0])


# the database


def rate_of(location: str, crowd: int) -> tuple[float, float]:
    """Return trials/s of `crowd` workers, and the CPU seconds a trial that they take themselves.

    They are forked from here: 16 starts of Python and torch would take minutes.
    """
    torch.set_num_threads(1)
    trials = max(LEAST, crowd * WRITTEN)
    ends = [os.wait4(process, 0) for process in [_forked(location, trials) for _ in range(crowd)]]
    assert [status for _, status, _ in ends] == [0] * crowd
    own = sum(used.ru_utime + used.ru_stime for _, _, used in ends)
    return rate(location), own / trials


def _forked(location: str, trials: int) -> int:
    process = os.fork()
    if process:
        return process
    try:
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        search = Search(
            instantly(), sampler="random", storage=location, trials=trials, device="cpu"
        )
        for _ in search:
            pass
        os._exit(0)
    except BaseException:
        traceback.print_exc()
        os._exit(1)


def storage() -> Iterator[Figure]:
    yield _load()
    for crowd in CROWDS:
        with tempfile.TemporaryDirectory() as folder:
            found, own = rate_of(str(Path(folder) / "x.db"), crowd)
        yield Figure(f"trials/s, {crowd} workers, SQLite", found, detail=_cpu(own))
    server = Cluster()
    try:
        server.restart(fsync="on")
        for crowd in CROWDS:
            before = _cpu_seconds(server)
            found, own = rate_of(server.new(), crowd)
            served = (_cpu_seconds(server) - before) / max(LEAST, crowd * WRITTEN)
            detail = f"{_cpu(own)}, {1_000 * served:.0f} ms of the server"
            yield Figure(f"trials/s, {crowd} workers, PostgreSQL", found, detail=detail)
    finally:
        server.close()
    yield _load()


def _cpu(seconds: float) -> str:
    return f"CPU a trial: {1_000 * seconds:.0f} ms of the worker"


def _cpu_seconds(server: Cluster) -> float:
    """Return what the server and its children, those that have ended, have used of the CPU."""
    stat = Path(f"/proc/{server.server.pid}/stat").read_text().rpartition(")")[2].split()
    return sum(map(int, stat[11:15])) / os.sysconf("SC_CLK_TCK")


# more workers than there are


def simulation(served: float) -> Iterator[Figure]:
    """Yield the share of their time that workers train, if a database serves so many trials/s."""
    for crowd in MANY:
        for length in LENGTHS:
            share, trials = simulated(crowd, length, served)
            what = f"{crowd} workers, trials of {length} s, {served:g} trials/s served"
            yield Figure(what, 100 * share, unit=" %", detail=f"training; {trials:.3g} trials/s")


def simulated(crowd: int, length: float, served: float) -> tuple[float, float]:
    """Return (share of the time that `crowd` workers train, trials/s), one trial served at a time.

    A worker trains, then queues for what the database has to do for a trial.
    """
    chance = random.Random(0)
    waiting = sorted((length * chance.random(), worker) for worker in range(crowd))
    free, trained, told = 0.0, 0.0, 0
    heapq.heapify(waiting)
    while told < crowd * SIMULATED:
        ready, worker = heapq.heappop(waiting)
        free = max(free, ready) + 1 / served
        next_length = length * chance.uniform(1 - SPREAD, 1 + SPREAD)
        trained += next_length
        told += 1
        heapq.heappush(waiting, (free + next_length, worker))
    seconds = trained / crowd
    return min(1.0, seconds / free), told / free


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("parts", nargs="*", default=["workers", "storage", "simulation"])
    parser.add_argument("--served", type=float, default=13.0, help="trials/s of the simulation")
    args = parser.parse_args()
    missed = 0
    parts = {"workers": workers, "storage": storage, "simulation": lambda: simulation(args.served)}
    for part in args.parts:
        print(f"{part}:")
        for figure in parts[part]():
            print(f"  {figure}", flush=True)
            missed += figure.missed
    sys.exit(bool(missed))


if __name__ == "__main__":
    main()
