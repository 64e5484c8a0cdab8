"""`Room`: where the trials of a process are in hand, several at once, or one that may kill it."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from nasopt.search.resume import Stopped

POLL_SECONDS = 0.5  # between two looks whether it is still to be alone


def never() -> bool:
    return False


class Room:
    """The threads of a process that have a trial in hand.

    With a process all of its trials lose their worker, though one of them may be to blame. So who
    takes up a trial that lost one before is here alone: then nothing is charged to the innocent,
    and they are not failed for it.
    """

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._inside = 0
        self._is_closed = False  # since one is alone
        self._to_be_alone: set[int] = set()  # threads that wait for it; meanwhile nobody enters

    def enter(self, alone: Callable[[], bool] = never, stop: Callable[[], bool] = never) -> bool:
        """Wait for room; return False if `stop` is True before.

        `alone`, asked again and again, says whether nobody else may be there.
        """
        me = threading.get_ident()
        try:
            while True:
                if stop():
                    return False
                is_alone = alone()  # it asks a database: others need not wait for that
                with self._changed:
                    if self._may_enter(me, is_alone):
                        self._inside += 1
                        self._is_closed = is_alone
                        return True
                    self._changed.wait(POLL_SECONDS)
        finally:
            with self._changed:
                self._to_be_alone.discard(me)
                self._changed.notify_all()

    def _may_enter(self, me: int, is_alone: bool) -> bool:
        if is_alone:
            self._to_be_alone.add(me)
            return not self._inside
        self._to_be_alone.discard(me)
        return not self._is_closed and not self._to_be_alone

    @property
    def is_closed(self) -> bool:
        return self._is_closed

    def open(self) -> None:
        """Let others in beside the one that was alone."""
        with self._changed:
            self._is_closed = False
            self._changed.notify_all()

    def leave(self) -> None:
        with self._changed:
            self._inside -= 1
            self._is_closed = False  # nobody else was in there, if it was
            self._changed.notify_all()

    @contextmanager
    def beside_others(self, stop: Callable[[], bool]) -> Iterator[None]:
        """Be there for what is no trial; raise Stopped if `stop` is True before there is room."""
        if not self.enter(stop=stop):
            raise Stopped
        try:
            yield
        finally:
            self.leave()
