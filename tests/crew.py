"""What worker processes do in tests: little, since each of them loads this first."""

import logging
import os
import signal
import time
from pathlib import Path

from nasopt.errors import StudyError
from nasopt.search.working import Begun, Ended, Of, Tell, work_on


def note(folder: Path, tell: Tell) -> None:
    """Leave a process id, and end well."""
    (folder / str(os.getpid())).touch()
    tell(Begun("here"))
    tell(Ended())


def be_killed(folder: Path, tell: Tell) -> None:
    (folder / str(os.getpid())).touch()
    os.kill(os.getpid(), signal.SIGKILL)


def be_killed_with_a_child_that_lives_on(folder: Path, tell: Tell) -> None:
    """Leave a child process that has what this one has open, until there is a file "over"."""
    if list(folder.iterdir()):
        return note(folder, tell)
    if not os.fork():
        while not (folder / "over").exists():
            time.sleep(0.01)
        os._exit(0)
    tell(Begun("here"))
    return be_killed(folder, tell)


def be_killed_three_times(folder: Path, tell: Tell) -> None:
    if len(list(folder.iterdir())) < 3:
        be_killed(folder, tell)
    note(folder, tell)


def be_killed_after_its_server(folder: Path, tell: Tell) -> None:
    if not list(folder.iterdir()):
        os.kill(os.getppid(), signal.SIGKILL)  # which knows how its forks end
        be_killed(folder, tell)
    note(folder, tell)


def two_of_whom_one_ends(folder: Path, tell: Tell) -> None:
    """Tell as two workers; the process is killed the first time, after the first has ended."""
    tell(Begun("here"))
    tell(Of(0, Ended()))
    tell(Of(1, "at work"))
    if not list(folder.iterdir()):
        be_killed(folder, tell)
    tell(Of(1, Ended()))


def wait(folder: Path, tell: Tell) -> None:
    tell(Begun("here"))
    signal.pause()


def leave(folder: Path, tell: Tell) -> None:
    os._exit(3)


def die_in_a_word(folder: Path, tell: Tell) -> None:
    """Be killed while a message is on its way, which is longer than a pipe holds."""
    tell(Begun("here"))
    if not list(folder.iterdir()):
        signal.setitimer(signal.ITIMER_REAL, 0.2)  # SIGALRM kills
        (folder / "died").touch()
        while True:
            tell(b"x" * 10_000_000)
    tell(Ended())


def log_and_fail(folder: Path, tell: Tell) -> None:
    """Log a line, and raise the error that a file in `folder` is named by."""

    def fail() -> list[None]:
        logging.getLogger("nasopt").warning("a line")
        if (folder / "bug").exists():
            raise ZeroDivisionError("of ours")
        raise StudyError("field=1: use 2")

    work_on(fail, tell, "here")
