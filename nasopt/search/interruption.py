"""Ctrl-C and SIGTERM: a question to stop, which loses nothing."""

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Protocol


class Interrupted(KeyboardInterrupt):
    """Ctrl-C or SIGTERM: the trial under way waits in the queue, and the study can go on."""

    def __init__(self, signum: int) -> None:
        super().__init__(f"stopped by {signal.Signals(signum).name}")
        self.signum = signum


class Interruptible(Protocol):
    """What can be asked to stop."""

    signum: int | None


@contextmanager
def interruptible(asked: Interruptible) -> Iterator[None]:
    """The first Ctrl-C or SIGTERM notes its number; the same once more ends the process at once.

    Another than the first is no impatience: after the Ctrl-C of a terminal, which all of its
    processes get, the first worker sends the others SIGTERM besides.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    seen = set()

    def ask(signum: int, frame: FrameType | None) -> None:
        if signum in seen:
            os._exit(128 + signum)
        seen.add(signum)
        asked.signum = asked.signum or signum

    before = {signum: signal.signal(signum, ask) for signum in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for signum, handler in before.items():
            signal.signal(signum, handler)
