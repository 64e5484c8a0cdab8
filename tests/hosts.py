"""`nasopt` as another host has it: processes with a host name, a clock and folders of their own."""

import os
import signal
import socket
import subprocess
import time
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from nasopt.cli.main import main
from nasopt.training import trainer
from nasopt.training.evaluation import EpochResult
from tests.faults import log_batches
from tests.forked import Forked

STUDY = """
from nasopt import Conv, Experiment, Recipe, Space, categorical
from nasopt.data import digits

experiment = Experiment(
    dataset=digits(),
    space=Space(Conv(filters=categorical(*range(8, 24)), kernel_size=categorical(1, 3, 5))),
    recipe=Recipe(epochs={epochs}),
    trials={trials},
)
"""


def _main(name: str, ahead: float, pauses: bool, words: Sequence[str]) -> int:
    """What a process of a host does; `pauses` has it stop (SIGSTOP) in its third training."""
    trained = 0
    clock = time.time
    socket.gethostname = lambda: name
    time.time = lambda: clock() + ahead
    log_batches(Path("batches"))

    class Trainer(trainer.Trainer):
        def __init__(self, evaluation: Any, *arguments: Any, **options: Any) -> None:
            nonlocal trained
            trained += 1
            print("trains", evaluation.key, flush=True)
            super().__init__(evaluation, *arguments, **options)

        def batches(self) -> Iterator[EpochResult | None]:
            for result in super().batches():
                yield result
                if pauses and trained == 3 and result is not None:  # it is written by now
                    os.kill(os.getpid(), signal.SIGSTOP)

    trainer.Trainer = Trainer  # type: ignore[misc]
    return main(words)


class Host:
    """A place to run commands in: `folder` is all that its processes have of a disk."""

    def __init__(self, folder: Path, name: str, ahead: float = 0.0, **environment: str) -> None:
        self.folder = folder
        self.name = name
        self.ahead = ahead
        state = {"XDG_STATE_HOME": str(folder / "state"), "TMPDIR": str(folder)}
        self.environment = {**os.environ, **state, **environment}
        folder.mkdir(parents=True, exist_ok=True)

    def start(self, *words: str, pauses: bool = False) -> subprocess.Popen[str]:
        return Forked(
            partial(_main, self.name, self.ahead, pauses, words),
            cwd=self.folder,
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )

    def run(self, *words: str) -> tuple[list[str], str]:
        return ended(self.start(*words))

    def die(self, *words: str) -> None:
        """Run until an epoch of the third trial is written, and be killed there, without a word."""
        process = self.start(*words, pauses=True)
        assert os.WIFSTOPPED(os.waitpid(process.pid, os.WUNTRACED)[1])
        process.kill()
        process.communicate()

    def batches(self) -> list[str]:
        """All that it has trained, killed or not."""
        log = self.folder / "batches"
        lines = log.read_text().splitlines() if log.exists() else []
        return [line.rsplit(" ", 1)[0] for line in lines]


def ended(process: subprocess.Popen[str], code: int = 0) -> tuple[list[str], str]:
    """The keys of what it has trained, and what it said on stderr."""
    out, err = process.communicate(timeout=300)
    assert process.returncode == code, err
    return [line.split()[1] for line in out.splitlines() if line.startswith("trains ")], err


def study_file(folder: Path, trials: int, epochs: int = 2) -> str:
    """One that takes a moment a trial, under a name of its own."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "mine.py").write_text(STUDY.format(trials=trials, epochs=epochs))
    return str(folder / "mine.py")


def rows(url: str, query: str) -> list[tuple[object, ...]]:
    """What a database answers; nothing while it has no such table."""
    engine = sa.create_engine(url.replace("postgresql:", "postgresql+psycopg:"))
    try:
        with engine.connect() as connection:
            return [tuple(row) for row in connection.exec_driver_sql(query)]
    except (sa.exc.OperationalError, sa.exc.ProgrammingError):
        return []
    finally:
        engine.dispose()


IN_HAND = (
    "SELECT trial_id FROM trials JOIN trial_intermediate_values USING (trial_id) "
    "WHERE state = 'RUNNING' AND number > 1"
)


def wait_for(process: subprocess.Popen[str], url: str, query: str) -> None:
    """Wait, while the process works, until the database has an answer."""
    deadline = time.monotonic() + 240
    while not rows(url, query):
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline, "it has not come so far"
        time.sleep(0.01)


def stop_in_mid_trial(process: subprocess.Popen[str], url: str, in_hand: str = IN_HAND) -> None:
    """Stop it (SIGSTOP) in a trial that is neither its first nor before its first epoch.

    `in_hand` asks for such a trial.
    """
    while True:
        wait_for(process, url, in_hand)
        process.send_signal(signal.SIGSTOP)
        if rows(url, in_hand):
            return
        process.send_signal(signal.SIGCONT)


def kill_in_mid_trial(process: subprocess.Popen[str], url: str, in_hand: str = IN_HAND) -> None:
    """Kill it, without a word, where `stop_in_mid_trial` stops it."""
    stop_in_mid_trial(process, url, in_hand)
    process.kill()
    process.communicate()
