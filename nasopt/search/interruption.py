"""The requests to stop by Ctrl-C, SIGTERM and SIGUSR1, which lose nothing."""

import os
import signal
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from types import FrameType
from typing import Protocol

from nasopt.errors import Unavailable
from nasopt.storage.patience import waiting_for_servers
from nasopt.text import GOES_ON

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1)  # the last is what one has Slurm send


class Interrupted(KeyboardInterrupt):
    """The error after a signal to stop: the trial waits in the queue, and the study can go on.

    `again` says what the same command, or call, does then.
    """

    def __init__(self, signum: int, again: str = GOES_ON) -> None:
        super().__init__(f"stopped by {signal.Signals(signum).name}")
        self.signum, self.again = signum, again

    def _render_traceback_(self) -> list[str]:
        """Return the lines that IPython and Jupyter show: no place in the code is to blame."""
        return [f"{type(self).__name__}: {self}; {self.again.replace('command', 'call')}"]


class Interruptible(Protocol):
    """An object that can be asked to stop."""

    signum: int | None


class PassesOn:
    """An object that passes a request to stop on to those that are `running` within it."""

    running: Sequence[Interruptible] = ()
    _signum: int | None = None

    @property
    def signum(self) -> int | None:
        """The number of the signal that asked to stop."""
        return self._signum

    @signum.setter
    def signum(self, signum: int | None) -> None:
        self._signum = signum
        for each in self.running:
            each.signum = signum

    def remind(self) -> None:
        """Ask those again that have begun since then, which forgets what was asked before."""
        if self._signum is not None:
            self.signum = self._signum


@contextmanager
def interruptible(asked: Interruptible) -> Iterator[None]:
    """Note the number of the first of SIGNALS; the same once more ends the process at once.

    Within the block a database server that goes away is waited for, until somebody asks to stop.

    At a prompt and in a notebook it ends the search at once, but not the process, which has more
    in its memory. A signal other than the first does not count as one more: after the Ctrl-C of a
    terminal, which all of its processes get, the first worker sends the others SIGTERM besides.
    """
    with waiting_for_servers() as stop_waiting, _noted(asked, stop_waiting):
        try:
            yield
        except Unavailable as error:
            if asked.signum is not None:
                raise Interrupted(asked.signum) from error
            raise


@contextmanager
def _noted(asked: Interruptible, stop_waiting: threading.Event) -> Iterator[None]:
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    seen = set()

    def ask(signum: int, frame: FrameType | None) -> None:
        if signum in seen:
            if hasattr(sys, "ps1"):  # the mark of a prompt, that of IPython and Jupyter included
                raise Interrupted(signum)
            os._exit(128 + signum)
        seen.add(signum)
        asked.signum = asked.signum or signum
        stop_waiting.set()

    before = {signum: signal.signal(signum, ask) for signum in SIGNALS}
    try:
        yield
    finally:
        for signum, handler in before.items():
            signal.signal(signum, signal.SIG_DFL if handler is None else handler)  # None: of C
