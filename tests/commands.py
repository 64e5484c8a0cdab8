"""`nasopt` in forked processes, which have loaded all that takes long to load and may be killed."""

import contextlib
import io
import os
import signal
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import NoReturn

import torch

from nasopt.cli.main import main
from tests.forked import leave_after

STUDY = """from nasopt import Recipe
from tests.examples import small
experiment = small(trials={trials}, recipe=Recipe(epochs={epochs}, batch_size=32), name="here")
"""


def study_in(folder: Path, trials: int, epochs: int) -> None:
    """Make `folder` with study.py in it."""
    folder.mkdir()
    (folder / "study.py").write_text(STUDY.format(trials=trials, epochs=epochs))


def run_words(sampler: str, seed: int = 0) -> list[str]:
    """The command that runs study.py in its folder."""
    study = ["run", "study.py", "--sampler", sampler, "--seed", str(seed)]
    return [*study, "--storage", "x.db", "--device", "cpu"]


def load(folder: Path, samplers: Iterable[str]) -> None:
    """Run and report in this process: what takes seconds to load, processes forked later have."""
    torch.set_num_threads(1)
    study_in(folder, trials=2, epochs=2)
    with contextlib.chdir(folder), contextlib.redirect_stdout(io.StringIO()):
        for sampler in samplers:
            assert main(run_words(sampler)) == 0
        assert main(["report", "x.db", "-o", "r.html"]) == 0


def nothing() -> None:
    """What a process does before a command unless it is told more."""


class Command:
    """A command, begun in `folder`; `before` is called in its process. What it says is kept."""

    def __init__(
        self, words: Sequence[str], folder: Path, before: Callable[[], object] = nothing
    ) -> None:
        self.words = words
        self.said = folder / "said"
        self.process = os.fork()
        if not self.process:
            self._run(folder, before)

    def _run(self, folder: Path, before: Callable[[], object]) -> NoReturn:
        def run() -> int:
            os.chdir(folder)
            file = os.open(self.said, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
            os.dup2(file, 1)
            os.dup2(file, 2)
            before()
            return main(self.words)

        leave_after(run)

    def stop(self) -> bool:
        """Hold it where it is; False if it has ended before, and well."""
        os.kill(self.process, signal.SIGSTOP)  # it is not reaped yet, so this is still its id
        status = os.waitpid(self.process, os.WUNTRACED)[1]
        if not os.WIFSTOPPED(status):
            self._check(os.waitstatus_to_exitcode(status))
        return os.WIFSTOPPED(status)

    def kill(self) -> int:
        """Its exit code: that of its own end, if it has ended before."""
        os.kill(self.process, signal.SIGKILL)
        return self.wait()

    def wait(self) -> int:
        return os.waitstatus_to_exitcode(os.waitpid(self.process, 0)[1])

    def end(self) -> None:
        """Wait for it; raise SystemExit with what it said unless it ends well."""
        self._check(self.wait())

    def _check(self, code: int) -> None:
        if code:
            raise SystemExit(f"{self.words} ended with {code}: {self.said.read_text()}")


def fails(capsys, *words: str) -> str:
    """The one line on stderr of a command that exits with 2."""
    try:
        code = main(words)
    except SystemExit as stopped:
        code = stopped.code
    captured = capsys.readouterr()
    assert code == 2
    assert captured.out == ""
    (line,) = captured.err.splitlines()
    return line
