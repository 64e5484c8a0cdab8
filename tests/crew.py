"""What further workers do in tests: little, since each of them loads this first."""

import os
import signal
from pathlib import Path

import torch


def note(folder: Path) -> int:
    """What a further worker does here: leave its process id and its share of the threads."""
    (folder / str(os.getpid())).write_text(str(torch.get_num_threads()))
    return 0


def fail(folder: Path) -> int:
    note(folder)
    return 3


def be_killed(folder: Path) -> int:
    note(folder)
    os.kill(os.getpid(), signal.SIGKILL)
    return 0


def be_killed_three_times(folder: Path) -> int:
    if len(list(folder.iterdir())) < 3:
        be_killed(folder)
    return note(folder)


def wait(folder: Path) -> int:
    note(folder)
    signal.pause()
    return 0
