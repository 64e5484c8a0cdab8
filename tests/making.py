"""Killed while a study is made, the same command makes it whole, and it equals any other.

    python -m tests.making --kills 100

Each kill hits `nasopt run` on a database that is not there yet: half of them at a random statement
that writes, or the commit of one, half after a random while; both up to the first trial. What it
left is looked at in a copy. Then the same command goes on, and `report` tells of the study.
"""

import argparse
import os
import random
import shutil
import signal
import sqlite3
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any

import optuna
import sqlalchemy as sa

from nasopt.samplers import SAMPLERS
from nasopt.storage.rdb import Storage
from tests.commands import Command, load, run_words, study_in
from tests.faults import told

SEED = 7


def words(sampler: str) -> list[str]:
    return run_words(sampler, SEED)


def on_writes(then: Callable[[], None]) -> None:
    """Call `then` before and after all that writes, in this process."""

    def statement(*arguments: Any) -> None:
        text: str = arguments[2]
        if not text.lstrip().upper().startswith(("SELECT", "PRAGMA")):
            then()

    sa.event.listen(sa.Engine, "before_cursor_execute", statement)
    sa.event.listen(sa.Engine, "after_cursor_execute", statement)
    sa.event.listen(sa.Engine, "commit", lambda connection: then())


def at_first_trial(then: Callable[[], None]) -> None:
    """Call `then` when the study is made and the first trial is asked for, in this process."""
    asked = Storage.next_trial

    def asking(self: Storage, *arguments: Any) -> int | None:
        then()
        return asked(self, *arguments)

    Storage.next_trial = asking  # type: ignore[method-assign]


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def die_at(write: int) -> None:
    left = write

    def passed() -> None:
        nonlocal left
        left -= 1
        if left < 0:
            die()

    on_writes(passed)


def rehearse(folder: Path, sampler: str) -> tuple[int, float]:
    """How many moments of writing, and seconds, the making of a study has."""
    study_in(folder, trials=2, epochs=2)
    noted = folder / "noted"

    def note() -> None:
        with noted.open("a") as file:
            file.write("w")

    def before() -> None:
        on_writes(note)
        at_first_trial(die)

    started = time.monotonic()
    if Command(words(sampler), folder, before).wait() != -signal.SIGKILL:
        raise SystemExit((folder / "said").read_text())
    return noted.stat().st_size, time.monotonic() - started


def left_by(folder: Path) -> str:
    """How far it had come, by a copy of what it left."""
    if not (folder / "x.db").exists():
        return "before the database"
    look = folder / "look"
    look.mkdir()
    for path in folder.glob("x.db*"):
        if path.is_file():
            shutil.copy(path, look)
    with closing(sqlite3.connect(look / "x.db")) as database:
        found = database.execute("SELECT count(*) FROM studies").fetchone()[0]
        attrs = database.execute("SELECT count(*) FROM study_user_attributes").fetchone()[0]
    shutil.rmtree(look)
    return "before the study" if not found else "in the study" if not attrs else "study made"


def broken(folder: Path, sampler: str, whole: list[tuple[Any, ...]]) -> list[str]:
    """What is not as promised after the same command has gone on."""
    Command(words(sampler), folder).end()
    Command(["report", "x.db", "-o", "r.html"], folder).end()
    found = []
    if told(folder / "x.db") != whole:
        found.append("another study")
    with closing(sqlite3.connect(folder / "x.db")) as database:
        attrs = dict(database.execute("SELECT key, value_json FROM study_user_attributes"))
        if database.execute("PRAGMA integrity_check").fetchone() != ("ok",):
            found.append("a damaged database")
    if (attrs.get("sampler"), attrs.get("seed")) != (f'"{sampler}"', str(SEED)):
        found.append("no sampler and seed")
    return found


def run(
    kills: int, samplers: list[str], folder: Path, seed: int = 0
) -> tuple[Counter[str], list[str]]:
    """How far the studies had come at each kill, and the promises that were broken."""
    chance = random.Random(seed)
    load(folder / "loaded", samplers)
    whole: dict[str, list[tuple[Any, ...]]] = {}
    moments, seconds = rehearse(folder / "rehearsed", samplers[0])
    counts: Counter[str] = Counter()
    differences = []
    for number in range(kills):
        sampler = samplers[number // 2 % len(samplers)]
        if sampler not in whole:
            whole[sampler] = _whole(folder / sampler, sampler)
        here = folder / str(number)
        while not _killed(here, sampler, number % 2 == 0, moments, seconds, chance):
            shutil.rmtree(here)  # it was done before
        stage = left_by(here)
        counts[stage] += 1
        found = broken(here, sampler, whole[sampler])
        differences += [f"kill {number}, {sampler}, {stage}: {each}" for each in found]
        shutil.rmtree(here)
    return counts, differences


def _whole(folder: Path, sampler: str) -> list[tuple[Any, ...]]:
    study_in(folder, trials=2, epochs=2)
    Command(words(sampler), folder).end()
    return told(folder / "x.db")


def _killed(
    folder: Path, sampler: str, writing: bool, moments: int, seconds: float, chance: random.Random
) -> bool:
    """Whether a command on a new database has died, at a write or after a while."""
    study_in(folder, trials=2, epochs=2)
    if writing:
        moment = int(moments * max(chance.random(), chance.random()))  # rather the study's
        return Command(words(sampler), folder, partial(die_at, moment)).wait() == -signal.SIGKILL
    command = Command(words(sampler), folder)
    time.sleep(chance.uniform(0, seconds))
    return command.kill() == -signal.SIGKILL


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--samplers", nargs="+", default=sorted(SAMPLERS))
    args = parser.parse_args()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    started = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        counts, differences = run(args.kills, args.samplers, Path(folder))
    where = ", ".join(f"{stage} {count}" for stage, count in counts.items())
    print(
        f"{sum(counts.values())} kills while a study is made ({where}): "
        f"{len(differences)} broken promises, {time.monotonic() - started:.0f} s"
    )
    for difference in differences:
        print(" ", difference)
    raise SystemExit(len(differences) > 0)


if __name__ == "__main__":
    main()
