"""The promise, tested: a study killed at any moment and resumed equals the uninterrupted one.

    python -m tests.faults --kills 400

Workers are real processes that end by `kill -9` at one of five points: while they sample, train,
report, write a checkpoint, or tell. After each death the same command runs again, until the study
is done. Then every trial is compared, bit for bit, with the study that nobody killed, and every
batch that was trained more than once is counted.
"""

import argparse
import itertools
import os
import random
import signal
import sqlite3
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import optuna
import torch

import nasopt.storage.ledger
from nasopt import Experiment, Recipe
from nasopt.samplers import SAMPLERS, Seeded
from nasopt.search.search import Search
from nasopt.storage.opening import open_storage
from nasopt.storage.rdb import Storage
from nasopt.training.trainer import Trainer
from tests.commands import load
from tests.examples import small

POINTS = ("sampling", "training", "reporting", "checkpointing", "telling")
ANYWHERE = "anywhere"  # killed from outside, after a random while
VISITS = {  # at most, before it dies; of ANYWHERE: milliseconds
    "sampling": 3,
    "training": 40,
    "reporting": 12,
    "checkpointing": 12,
    "telling": 3,
    ANYWHERE: 900,
}
PRUNERS = ("median", "hyperband")
CHECKPOINT_SECONDS = 0.02  # instead of ten: the trainings here last a tenth of a second
TRIALS = 12


@dataclass
class TrialCounts:
    """What the kills did: per point, and the batches that were paid more than once."""

    kills: Counter[str] = field(default_factory=Counter)
    batches: int = 0
    twice: int = 0
    seconds_twice: float = 0.0
    differences: list[str] = field(default_factory=list)


def experiment(pruner: str) -> Experiment:
    return small(trials=TRIALS, pruner=pruner, recipe=Recipe(epochs=4, batch_size=32))


def told(storage: Path) -> list[tuple[Any, ...]]:
    """All of a study that the promise covers."""
    opened = open_storage(storage, "read")
    name = optuna.get_all_study_names(opened)[0]
    study = optuna.load_study(study_name=name, storage=opened)
    trials = [
        (t.number, t.state.name, t.params, t.values, t.intermediate_values, t.constraints)
        for t in study.get_trials(deepcopy=False)
    ]
    opened.remove_session()
    opened.engine.dispose()
    return trials


def torment(
    sampler: str,
    pruner: str,
    folder: Path,
    points: list[str],
    random: random.Random,
    tally: TrialCounts,
) -> list[str]:
    """Run one study to its end, dying at each of `points` in turn; add what came of it.

    Returns the points that were left when the study was done.
    """
    folder.mkdir()
    whole, killed = folder / "whole.db", folder / "killed.db"
    assert _worker(sampler, pruner, whole, folder / "whole.log", None) == 0
    log = folder / "killed.log"
    todo = list(points)
    while True:
        point = todo[0] if todo else None
        deadly = None if point is None else (point, random.randint(1, VISITS[point]))
        code = _worker(sampler, pruner, killed, log, deadly)
        if code == -signal.SIGKILL:
            tally.kills[todo.pop(0)] += 1
        elif code == 0:
            break
        else:
            raise SystemExit(f"a worker of {sampler}/{pruner} ended with {code}")
    for one, other in zip(told(whole), told(killed), strict=False):
        if one != other:
            tally.differences.append(f"{sampler}/{pruner}: {one} against {other}")
    if len(told(whole)) != len(told(killed)):
        tally.differences.append(f"{sampler}/{pruner}: other numbers of trials")
    trained = Counter(line.rsplit(" ", 1)[0] for line in log.read_text().splitlines())
    seconds = [float(line.rsplit(" ", 1)[1]) for line in log.read_text().splitlines()]
    again = sum(trained.values()) - len(trained)
    tally.batches += len(trained)
    tally.twice += again
    tally.seconds_twice += again * sum(seconds) / max(1, len(seconds))
    return todo


def _worker(
    sampler: str, pruner: str, storage: Path, log: Path, deadly: tuple[str, int] | None
) -> int:
    """A process of its own that runs the study and dies as `deadly` says: its exit code."""
    process = os.fork()
    if process:
        if deadly is not None and deadly[0] == ANYWHERE:
            time.sleep(deadly[1] / 1_000)
            os.kill(process, signal.SIGKILL)  # it is not reaped yet, so this is still its id
        return os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])
    try:
        torch.set_num_threads(1)
        log_batches(log)
        if deadly is not None and deadly[0] != ANYWHERE:
            _arm(*deadly)
        search = Search(experiment(pruner), sampler=sampler, storage=storage, device="cpu")
        search.evaluator.ledger.checkpoint_seconds = CHECKPOINT_SECONDS
        for _ in search:
            pass
        os._exit(0)
    except BaseException as error:
        print(f"{type(error).__name__}: {error}", file=sys.stderr, flush=True)
        os._exit(1)


def log_batches(log: Path) -> None:
    """Write a line a trained batch, in a way that a kill cannot undo."""
    file = os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    step = Trainer._step
    keys: dict[int, str] = {}
    initialise = Trainer.__init__

    def remembered(self: Trainer, evaluation: Any, *rest: Any, **named: Any) -> None:
        initialise(self, evaluation, *rest, **named)
        keys[id(self)] = evaluation.key

    def logged(self: Trainer, *rest: Any) -> None:
        started = time.perf_counter()
        step(self, *rest)
        took = time.perf_counter() - started
        os.write(file, f"{keys[id(self)]} {self.epoch} {self.batch} {took:.6f}\n".encode())

    Trainer.__init__, Trainer._step = remembered, logged  # type: ignore[method-assign]


def _arm(point: str, visit: int) -> None:
    """Die at the `visit`-th passage of `point`: before, within or after it, as the visit falls."""
    left = visit

    def dying(function: Callable[..., Any], when: int) -> Callable[..., Any]:
        def passage(*args: Any, **kwargs: Any) -> Any:
            nonlocal left
            left -= 1
            if left == 0 and when == 0:
                os.kill(os.getpid(), signal.SIGKILL)
            result = function(*args, **kwargs)
            if left == 0:
                os.kill(os.getpid(), signal.SIGKILL)
            return result

        return passage

    owner, name = {
        "sampling": (Seeded, "_draw"),
        "training": (Trainer, "_step"),
        "reporting": (Storage, "set_trial_intermediate_value"),
        "checkpointing": (nasopt.storage.ledger.os, "fsync" if visit % 2 else "replace"),
        "telling": (Storage, "finish"),
    }[point]
    setattr(owner, name, dying(getattr(owner, name), visit % 2))


def run(kills: int, samplers: list[str], folder: Path, seed: int = 0) -> TrialCounts:
    """At least `kills` deaths over all samplers and pruners, the points dealt evenly."""
    chance = random.Random(seed)
    load(folder / "loaded", samplers)
    tally = TrialCounts()
    pairs = [(sampler, pruner) for sampler in samplers for pruner in PRUNERS]
    each = -(-kills // len(pairs))
    places = (*POINTS, ANYWHERE)
    dealt = [places[i % len(places)] for i in range(each * len(pairs))]
    for index, (sampler, pruner) in enumerate(pairs):
        points = dealt[index * each : (index + 1) * each]
        chance.shuffle(points)
        for again in itertools.count():  # a study may be done before it has died so often
            here = folder / f"{sampler}-{pruner}-{again}"
            points = torment(sampler, pruner, here, points, chance, tally)
            if not points:
                break
    return tally


def locked(folder: Path, seconds: float) -> list[str]:
    """Differences after another program held the database for `seconds` in mid study."""
    whole, held = folder / "whole.db", folder / "held.db"
    assert _worker("random", "median", whole, folder / "whole.log", None) == 0
    process = os.fork()
    if not process:
        os._exit(_worker("random", "median", held, folder / "held.log", None))
    log = folder / "held.log"
    while not (log.exists() and log.stat().st_size):  # until the first batch is trained
        time.sleep(0.001)
    with closing(sqlite3.connect(held, timeout=60, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        time.sleep(seconds)
        other.execute("ROLLBACK")
    code = os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])
    return [] if code == 0 and told(whole) == told(held) else [f"locked: exit code {code}"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--samplers", nargs="+", default=sorted(SAMPLERS))
    parser.add_argument("--lock", type=float, default=0, metavar="SECONDS")
    args = parser.parse_args()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    with tempfile.TemporaryDirectory() as folder:
        tally = run(args.kills, args.samplers, Path(folder))
        if args.lock:
            (Path(folder) / "locked").mkdir()
            tally.differences += locked(Path(folder) / "locked", args.lock)
            print(f"the database was locked for {args.lock:.0f} s, and the study went on")
    print(
        f"{sum(tally.kills.values())} kills:", ", ".join(f"{k} {v}" for k, v in tally.kills.items())
    )
    print(
        f"{tally.twice} of {tally.batches} batches trained twice, {tally.seconds_twice:.2f} s "
        f"(checkpoints every {CHECKPOINT_SECONDS} s)"
    )
    print(f"{len(tally.differences)} differences")
    for difference in tally.differences:
        print(" ", difference)
    missed = [point for point in POINTS if tally.kills[point] < 15 * args.kills // 100]
    if tally.differences or missed:
        raise SystemExit(f"differences: {len(tally.differences)}, points missed: {missed}")


if __name__ == "__main__":
    main()
