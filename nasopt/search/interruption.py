"""The requests to stop by Ctrl-C and SIGTERM, which lose nothing."""

import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Protocol


class Interrupted(KeyboardInterrupt):
    """The error after Ctrl-C or SIGTERM: the trial waits in the queue, and the study can go on."""

    def __init__(self, signum: int) -> None:
        super().__init__(f"stopped by {signal.Signals(signum).name}")
        self.signum = signum

    def _render_traceback_(self) -> list[str]:
        """Return the lines that IPython and Jupyter show: no place in the code is to blame."""
        return [f"{type(self).__name__}: {self}; the same call goes on"]


class Interruptible(Protocol):
    """An object that can be asked to stop."""

    signum: int | None


@contextmanager
def interruptible(asked: Interruptible) -> Iterator[None]:
    """Note the number of the first Ctrl-C or SIGTERM; the same once more ends the process at once.

    At a prompt and in a notebook it ends the search at once, but not the process, which has more
    in its memory. A signal other than the first does not count as one more: after the Ctrl-C of a
    terminal, which all of its processes get, the first worker sends the others SIGTERM besides.
    """
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

    before = {signum: signal.signal(signum, ask) for signum in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for signum, handler in before.items():
            signal.signal(signum, signal.SIG_DFL if handler is None else handler)  # None: of C
