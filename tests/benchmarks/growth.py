"""What a trial costs besides its training, and what that becomes as a study grows.

    python -m tests.benchmarks.growth

The lecture's space: 62 parameters, ten reports a trial. The training is left out: its results are
there at once. Stock Optuna does the same on a copy of the same database, trial by trial in turn.
"""

import json
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import optuna
import sqlalchemy as sa
from optuna.distributions import IntDistribution, distribution_to_json

from nasopt import Conv, Dense, Experiment, Recipe, Space, categorical, repeat
from nasopt.data import digits
from nasopt.search.search import Search
from nasopt.storage import rdb as tables
from nasopt.storage.opening import open_storage
from nasopt.training.evaluation import EpochResult, Evaluation
from tests.benchmarks.figures import Figure
from tests.benchmarks.sides import seconds_in_turn
from tests.benchmarks.starting import seconds

EPOCHS = 10
SPACE = Space(
    repeat(
        Conv(
            filters=categorical(24, 36, 48, 64),
            kernel_size=categorical(3, 5, 7),
            stride=categorical(1, 2),
        ),
        20,
    ),
    repeat(Dense(width=categorical(64, 128, 256)), 0, 1),
)
EXPERIMENT = Experiment(dataset=digits(), space=SPACE, recipe=Recipe(epochs=EPOCHS), name="growth")


class Instant:
    """An engine whose results are there at once: numbers that depend on the network, somehow."""

    def __init__(self, evaluation: Evaluation) -> None:
        self.accuracy = int(evaluation.key[:4], 16) / 2**16

    keeps_state = True

    def batches(self) -> Iterator[EpochResult]:
        for epoch in range(1, EPOCHS + 1):
            yield EpochResult(epoch, self.accuracy * epoch / EPOCHS, 1.0, 1.0, 0.5, "cpu", "0")

    def state_dict(self) -> dict[str, Any]:
        return {}

    def fits(self, state: Any) -> bool:
        return True

    def load_state_dict(self, state: dict[str, Any]) -> None:
        pass


def searching(path: Path, sampler: str, profile: bool = False) -> Search:
    search = Search(
        EXPERIMENT, sampler=sampler, storage=path, trials=10**6, device="cpu", profile=profile
    )
    search.evaluator.backend.trainer = lambda evaluation, **_: Instant(evaluation)  # type: ignore
    return search


def fill(path: Path, sampler: str, trials: int) -> None:
    """Make the study and write `trials` finished trials into it, as a search would have left."""
    searching(path, sampler)
    rng = np.random.default_rng(0)
    distributions = EXPERIMENT.problem.distributions
    spelled = {name: distribution_to_json(each) for name, each in distributions.items()}
    now = datetime.now(UTC).replace(tzinfo=None)
    rows: dict[Any, list[dict[str, Any]]] = {}

    def add(table: Any, **row: Any) -> None:
        rows.setdefault(table, []).append(row)

    for number in range(trials):
        trial = {"trial_id": number + 1}
        state = "PRUNED" if number % 5 == 4 else "COMPLETE"
        epochs = 4 if state == "PRUNED" else EPOCHS
        started = now + timedelta(seconds=number)
        add(
            tables.TRIALS, **trial, number=number, study_id=1, state=state,
            datetime_start=started, datetime_complete=started + timedelta(seconds=1),
        )  # fmt: skip
        for name, each in distributions.items():
            choices = 2 if isinstance(each, IntDistribution) else len(each.choices)
            add(
                tables.PARAMS, **trial, param_name=name, param_value=float(rng.integers(choices)),
                distribution_json=spelled[name],
            )  # fmt: skip
        accuracy = float(rng.uniform(0.1, 0.9))
        for step in range(1, epochs + 1):
            add(
                tables.REPORTS, **trial, step=step, intermediate_value=accuracy * step / EPOCHS,
                intermediate_value_type="FINITE",
            )  # fmt: skip
        value = accuracy * epochs / EPOCHS
        add(tables.VALUES, **trial, objective=0, value=value, value_type="FINITE")
        attrs = {
            "key": f"{number:032x}", "parameters": 10**6, "macs": 10**8, "epochs": epochs,
            "seconds": epochs * 0.5, "replayed_epochs": 0,
        }  # fmt: skip
        for key, each in attrs.items():
            add(tables.USER_ATTRS, **trial, key=key, value_json=json.dumps(each))
    with open_storage(path).engine.begin() as connection:
        for table, each in rows.items():
            connection.execute(sa.insert(table), each)


def objective(trial: optuna.Trial) -> float:
    """What nasopt's trial does, in plain Optuna."""
    accuracy = hash(trial.number) % 97 / 97
    for name, each in EXPERIMENT.problem.distributions.items():
        trial._suggest(name, each)
    for epoch in range(1, EPOCHS + 1):
        trial.report(accuracy * epoch / EPOCHS, epoch)
    return accuracy


# of stock Optuna's time at 1,000 trials: 25 of 60 ms, and 60 of 114, where that was measured first
TARGETS = {"random": 25 / 60, "tpe": 60 / 114}
STOCK = {"random": optuna.samplers.RandomSampler, "tpe": optuna.samplers.TPESampler}


def our_trials(path: Path, sampler: str) -> Iterator[None]:
    search = iter(searching(path, sampler))
    next(search)
    yield from _after_one(lambda: next(p for p in search if p.finished is not None))


def stock_trials(path: Path, sampler: str) -> Iterator[None]:
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.load_study(
        study_name=f"growth/{sampler}/0",
        storage=f"sqlite:///{path}",
        sampler=STOCK[sampler](seed=0),
    )
    yield from _after_one(lambda: study.optimize(objective, n_trials=1))


def _after_one(trial: Callable[[], object]) -> Iterator[None]:
    """The first reads the study, and imports what is needed."""
    trial()
    while True:
        trial()
        yield


def figures() -> Iterator[Figure]:
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    with tempfile.TemporaryDirectory() as name:
        paths = {}
        for trials, turns in ((100, 20), (1_000, 20), (10_000, 10)):
            for sampler in STOCK:
                path = paths[sampler, trials] = Path(name) / f"{sampler}-{trials}.db"
                fill(path, sampler, trials)
                if (trials, sampler) == (10_000, "random"):
                    yield from large(path)
                if (trials, sampler) == (1_000, "tpe"):
                    words = ("report", str(path), "-o", str(path.with_suffix(".html")))
                    yield Figure("a report of 1,000 trials", seconds(*words), at_most=2, unit=" s")
                yield against_stock(path, sampler, trials, turns)
        for trials, most in ((100, 50), (1_000, 300), (10_000, None)):
            yield from suggesting(Path(name) / f"surrogate-{trials}.db", trials, most)
        few, many = seconds_in_turn(
            20, *(partial(our_trials, paths["random", n], "random") for n in (1_000, 10_000))
        )
        yield Figure(
            "random: grown from 1,000 to 10,000 trials by a factor of",
            many / few,
            at_most=1.25,
            detail=f"{1e3 * few:.0f} and {1e3 * many:.0f} ms a trial",
        )


SUGGESTING = """
import statistics, sys
from pathlib import Path
from tests.benchmarks.growth import searching
taken = []
for progress in searching(Path(sys.argv[1]), "surrogate", profile=True):
    if progress.seconds is not None:
        taken.append(progress.seconds["sampler"])
    if len(taken) > 20:
        break
seconds = statistics.median(taken[1:])  # the first imports what is needed
"""


def suggesting(path: Path, trials: int, most: float | None) -> Iterator[Figure]:
    """What the surrogate takes for a suggestion, by the profile of a search, and its process."""
    fill(path, "surrogate", trials)
    seconds, megabytes = told_by(SUGGESTING, path)
    name = f"surrogate, {trials:,} finished trials: a suggestion"
    yield Figure(name, 1e3 * seconds, at_most=most, unit=" ms")
    yield Figure("    memory of the process", megabytes, unit=" MB")


def against_stock(path: Path, sampler: str, trials: int, turns: int) -> Figure:
    """Both on the same study, each on its own copy."""
    copied = path.with_suffix(".stock.db")
    with closing(sqlite3.connect(path)) as source, closing(sqlite3.connect(copied)) as copy:
        source.backup(copy)
    theirs, ours = seconds_in_turn(
        turns, partial(stock_trials, copied, sampler), partial(our_trials, path, sampler)
    )
    copied.unlink()
    return Figure(
        f"{sampler}, {trials:,} finished trials: share of stock Optuna's time",
        ours / theirs,
        at_most=TARGETS[sampler] if trials == 1_000 else None,
        detail=f"{1e3 * ours:.0f} of {1e3 * theirs:.0f} ms a trial",
    )


OPENING = """
import sys, time
import optuna
from nasopt.storage.opening import open_storage
started = time.perf_counter()
study = optuna.load_study(study_name=sys.argv[2], storage=open_storage(sys.argv[1], "read"))
study.get_trials(deepcopy=False)
seconds = time.perf_counter() - started
"""
PEAK = """
with open("/proc/self/status") as status:  # `getrusage` would count what the parent had, too
    (peak,) = (line.split()[1] for line in status if line.startswith("VmHWM"))
print(seconds, int(peak) / 1000)
"""


def told_by(script: str, *arguments: str | Path) -> tuple[float, float]:
    """(seconds, MB of the process at most) of a script that sets `seconds`, in its own process."""
    command = [sys.executable, "-c", script + PEAK, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    seconds, megabytes = map(float, done.stdout.split())
    return seconds, megabytes


def large(path: Path) -> Iterator[Figure]:
    size = path.stat().st_size / 1e6
    seconds, megabytes = told_by(OPENING, path, "growth/random/0")
    yield Figure("opening 10,000 trials", seconds, at_most=3, unit=" s")
    yield Figure("    memory of the process", megabytes, at_most=500, unit=" MB")
    yield Figure("    size of the database", size, unit=" MB")


if __name__ == "__main__":
    for figure in figures():
        print(figure, flush=True)
