"""`nasopt finals` killed again and again: its folder, its result and its looks are as undisturbed.

python -m tests.finals_kills --kills 100
"""

import argparse
import contextlib
import io
import json
import os
import random
import re
import shutil
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from functools import partial, wraps
from importlib import import_module
from pathlib import Path
from typing import Any

import torch

from nasopt.cli.main import main
from nasopt.storage.looks import Looks
from nasopt.storage.opening import open_storage
from tests.commands import Command, run_words, study_in

FINALS = (
    "finals", "study.py", "--storage", "x.db", "--top", "2", "--seeds", "2", "--device", "cpu",
    "-o", "model", "--json",
)  # fmt: skip
DATE = re.compile(r"\d{4}-\d{2}-\d{2}")


def searched(folder: Path) -> None:
    """Make `folder` with a study file, and a database of its search; loads all that is needed."""
    torch.set_num_threads(1)
    study_in(folder, trials=6, epochs=2)
    with contextlib.chdir(folder), contextlib.redirect_stdout(io.StringIO()):
        assert main(run_words("random")) == 0


def content(folder: Path) -> dict[str, Any]:
    """What is to be the same after any kills: the model, all results but dates, the looks."""
    model = {
        file.name: file.read_bytes()
        for file in (folder / "model").iterdir()
        if file.name != "README.md"
    }
    card = (folder / "model" / "README.md").read_text(encoding="utf-8")
    told = json.loads((folder / "told.json").read_text())
    del told["efficiency"], told["test"]["recorded"]
    told["test"]["about_looks"] = DATE.sub("", told["test"]["about_looks"])
    storage = open_storage(folder / "x.db", "read")
    looks = len(Looks(storage.engine).taken(told["dataset"]))
    storage.remove_session()
    storage.engine.dispose()
    left = sorted(each.name for each in folder.iterdir() if ".partial-" in each.name)
    return {"model": model, "card": unmeasured(card), "told": told, "looks": looks, "left": left}


def unmeasured(card: str) -> str:
    """The card without dates, and without what was measured on this device."""
    return DATE.sub("", re.sub(r"[\d.]+ ms\b", "", card))


def finish(folder: Path) -> dict[str, Any]:
    """Run the command to its end, and return what came of it."""
    command = Command(FINALS, folder, partial(_tell, folder))
    command.end()
    return content(folder)


def _tell(folder: Path) -> None:
    """Let what is printed go to a file of its own."""
    sys.stdout = (folder / "told.json").open("w")


# Kills at a place in the code


def dies_at(place: str, count: int, *, after: bool = False) -> Callable[[], None]:
    """Return what makes a process kill itself at call number `count` of a function or method."""

    def arrange() -> None:
        module, _, name = place.partition(":")
        owner, _, attribute = name.rpartition(".")
        target = import_module(module)
        target = getattr(target, owner) if owner else target
        original, calls = getattr(target, attribute), Counter[str]()

        @wraps(original)
        def wrapped(*args: Any, **options: Any) -> Any:
            calls["made"] += 1
            if calls["made"] < count:
                return original(*args, **options)
            if after:
                original(*args, **options)
            return os.kill(os.getpid(), signal.SIGKILL)

        setattr(target, attribute, wrapped)

    return arrange


def kill_at(folder: Path, place: str, count: int, *, after: bool = False) -> None:
    command = Command(FINALS, folder, dies_at(place, count, after=after))
    code = command.wait()
    assert code == -signal.SIGKILL, f"{place} {count}: {code} {command.said.read_text()}"


# Kills at any moment


def stage_of(said: str) -> str:
    lines = [line for line in said.splitlines() if " [" in line]
    return lines[-1].partition(" [")[0] if lines else "beginning"


def killed_at_random(new: Path, kills: int, whole: dict[str, Any], seconds: float) -> Counter[str]:
    """Kill finals `kills` times at moments of the `seconds` that they take; count the stages."""
    moments, stages = random.Random(0), Counter[str]()
    while sum(stages.values()) < kills:
        with tempfile.TemporaryDirectory() as place:
            folder = Path(shutil.copytree(new, Path(place) / "it"))
            command = Command(FINALS, folder)
            time.sleep(moments.uniform(0, seconds))
            if command.kill() == -signal.SIGKILL:
                stages[stage_of(command.said.read_text())] += 1
                print(f"kill {stages.total()}", file=sys.stderr, flush=True)
            else:  # it ended before: the machine is faster now
                seconds *= 0.8
            assert finish(folder) == whole, folder
    return stages


def run(kills: int) -> None:
    with tempfile.TemporaryDirectory() as place:
        new = Path(place) / "new"
        searched(new)
        for name in ("warm", "whole"):  # the first one loads what a forked process finds loaded
            folder = Path(shutil.copytree(new, Path(place) / name))
            started = time.monotonic()
            whole = finish(folder)
            seconds = time.monotonic() - started
        assert whole["looks"] == 1
        stages = killed_at_random(new, kills, whole, seconds)
    print(f"{kills} kills within {seconds:.1f} s of finals: the same each time, one look.")
    print(*(f"  {count} in {stage}" for stage, count in stages.most_common()), sep="\n")


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--kills", type=int, default=100)
    run(parser.parse_args().kills)
