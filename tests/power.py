"""A power cut at any moment: what is left is sound, and the study goes on as if nothing had been.

    python -m tests.power --cuts 100

A run is held at a random moment, what lies on its disk is copied, and it is killed. The copy is
then made what a power cut may leave of it: the -wal cut back or with a hole, wherever SQLite has
not synced it; checkpoints truncated, emptied or removed; unfinished files as well. The same command
goes on with the copy. Commits may be lost; no batch is trained again that was not lost with them.
"""

import argparse
import logging
import os
import random
import shutil
import sqlite3
import tempfile
import time
from collections import Counter
from contextlib import closing
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import optuna

from nasopt.samplers import SAMPLERS
from nasopt.storage.ledger import Ledger
from nasopt.storage.opening import open_storage
from tests.commands import Command, load, run_words, study_in
from tests.disk import cut_off
from tests.faults import CHECKPOINT_SECONDS, log_batches, told

TRIALS, EPOCHS = 6, 4
Batch = tuple[str, int, int]  # key, epoch, batch


@dataclass
class Cuts:
    """What the cuts did."""

    cuts: int = 0
    studies: int = 0
    shortened: int = 0  # cuts that took something of a -wal
    harmed: int = 0  # checkpoints and unfinished files
    batches: int = 0
    twice: int = 0
    differences: list[str] = field(default_factory=list)


def before(log: Path) -> None:
    """Checkpoints as often as batches, which are logged; and the machine was off for a second.

    A worker that had just ended may have a row again, and no lease: that is dead after the silence.
    """
    os.environ["NASOPT_TAKEOVER"] = "1"
    assert Ledger.__init__.__kwdefaults__ is not None
    Ledger.__init__.__kwdefaults__["checkpoint_seconds"] = CHECKPOINT_SECONDS
    log_batches(log)


def start(folder: Path, sampler: str) -> Command:
    return Command(run_words(sampler), folder, partial(before, folder / "batches"))


def trained(folder: Path) -> list[Batch]:
    log = folder / "batches"
    lines = [line.split() for line in log.read_text().splitlines()] if log.exists() else []
    return [(key, int(epoch), int(batch)) for key, epoch, batch, _ in lines]


def known(folder: Path) -> dict[str, tuple[int, int]]:
    """Key -> (epoch, batch) before which nothing is to be trained again, by a copy of the disk."""
    if not (folder / "x.db").exists():
        return {}
    with tempfile.TemporaryDirectory() as name:
        look = Path(name) / "look"
        shutil.copytree(folder, look)
        storage = open_storage(look / "x.db", "write")
        ledger = Ledger(storage.engine, look / "x.db.checkpoints")
        found: dict[str, tuple[int, int]] = {}
        for key in {key for key, _, _ in trained(folder)}:
            epochs = len(ledger.results(key))
            state = ledger.checkpoint(key, lambda state: True)
            if epochs == EPOCHS:
                found[key] = EPOCHS, 0
            elif state is not None and state["epoch"] <= epochs:
                found[key] = state["epoch"], state["batch"]
        storage.remove_session()
        storage.engine.dispose()
    return found


def again(folder: Path, since: int, reached: dict[str, tuple[int, int]]) -> list[Batch]:
    """The batches after line `since` of the log that had not been lost."""
    return [each for each in trained(folder)[since:] if each[1:] < reached.get(each[0], (0, 0))]


def is_sound(database: Path) -> bool:
    with closing(sqlite3.connect(database)) as connection:
        return connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)


@dataclass
class Whole:
    """What nothing disturbed: the trials of a study, and the seconds that it took."""

    trials: list[Any]
    seconds: float


def undisturbed(folder: Path, sampler: str) -> Whole:
    study_in(folder, TRIALS, EPOCHS)
    started = time.monotonic()
    start(folder, sampler).end()
    return Whole(told(folder / "x.db"), time.monotonic() - started)


def torment(
    folder: Path, sampler: str, most: int, whole: Whole, chance: random.Random, cuts: Cuts
) -> None:
    """One study, cut `most` times at most until it is done; add what came of it."""
    study_in(folder, TRIALS, EPOCHS)
    reached: dict[str, tuple[int, int]] = {}
    since, left = 0, most
    while True:
        command = start(folder, sampler)
        time.sleep(chance.uniform(0, whole.seconds) if left else 0)
        cut = left > 0 and command.stop()
        if cut:
            copy = folder.with_name(f"{folder.name}-copy")
            shutil.copytree(folder, copy)
            command.kill()
        elif left == 0:
            command.end()
        cuts.differences += [f"{sampler}: {each} again" for each in again(folder, since, reached)]
        if not cut:
            break
        shutil.rmtree(folder)
        copy.rename(folder)
        lost, harmed = cut_off(folder, chance)
        cuts.cuts, left = cuts.cuts + 1, left - 1
        cuts.shortened, cuts.harmed = cuts.shortened + lost, cuts.harmed + harmed
        reached, since = known(folder), len(trained(folder))
    cuts.studies += 1
    cuts.batches += len(set(trained(folder)))
    cuts.twice += len(trained(folder)) - len(set(trained(folder)))
    if told(folder / "x.db") != whole.trials:
        cuts.differences.append(f"{sampler}: another study than the uninterrupted one")
    if not is_sound(folder / "x.db"):
        cuts.differences.append(f"{sampler}: the database is damaged")


def run(number: int, samplers: list[str], folder: Path, seed: int = 0) -> Cuts:
    """`number` power cuts, over studies of all `samplers`, four a study at most."""
    chance = random.Random(seed)
    load(folder / "loaded", samplers)
    cuts = Cuts()
    whole: dict[str, Whole] = {}
    while cuts.cuts < number:
        sampler = samplers[cuts.studies % len(samplers)]
        if sampler not in whole:
            whole[sampler] = undisturbed(folder / sampler, sampler)
        most = min(4, number - cuts.cuts)
        torment(folder / str(cuts.studies), sampler, most, whole[sampler], chance, cuts)
    return cuts


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cuts", type=int, default=100)
    parser.add_argument("--samplers", nargs="+", default=sorted(SAMPLERS))
    args = parser.parse_args()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    logging.getLogger("nasopt").addHandler(logging.NullHandler())  # a harmed file is no news
    started = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        cuts = run(args.cuts, args.samplers, Path(folder))
    print(
        f"{cuts.cuts} power cuts in {cuts.studies} studies ({cuts.shortened} took commits or torn "
        f"frames, {cuts.harmed} files harmed): {len(cuts.differences)} broken promises, "
        f"{cuts.twice} of {cuts.batches} batches trained twice, all of them lost; "
        f"{time.monotonic() - started:.0f} s"
    )
    for difference, count in Counter(cuts.differences).items():
        print(f"  {count} x {difference}")
    raise SystemExit(len(cuts.differences) > 0)


if __name__ == "__main__":
    main()
