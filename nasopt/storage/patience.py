"""The patience with a server that goes away: what was asked of it is asked again until it is back.

A connection may be lost after the server has committed and before it says so. So only that is asked
again whose repetition changes nothing, or which looks first what became of the first time.
"""

import logging
import os
import random
import threading
import time
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import wraps
from typing import ParamSpec, Protocol, TypeVar

from nasopt.errors import StorageError, Unavailable
from nasopt.text import RUN_AGAIN, duration

logger = logging.getLogger("nasopt")

PATIENCE_SECONDS = 600.0
FIRST_PAUSE, LONGEST_PAUSE = 0.25, 10.0  # seconds between two tries; each is twice the one before

P = ParamSpec("P")
T = TypeVar("T")


class Renewable(Protocol):
    """Something that is lost with a connection, and can be had again with the next one."""

    def renew(self) -> None: ...


class _State:
    """The state of this process, all of whose connections go away together."""

    def __init__(self) -> None:
        self.at_work = 0  # blocks of `waiting_for_servers` that are open
        self.asked_to_stop = threading.Event()
        self.is_told = False  # that a server is away
        self.has_given_up = False  # so that what ends a search is not waited for once more
        self.back = -float("inf")  # when it was last waited for with success, by time.monotonic()
        self.renewed: weakref.WeakSet[Renewable] = weakref.WeakSet()
        self.mutex = threading.Lock()


_state = _State()


@contextmanager
def waiting_for_servers() -> Iterator[threading.Event]:
    """Wait for servers within the block; the event that it gets ends a wait, once it is set."""
    with _state.mutex:
        _state.at_work += 1
        if _state.at_work == 1:
            _state.asked_to_stop.clear()
            _state.is_told = _state.has_given_up = False
    try:
        yield _state.asked_to_stop
    finally:
        with _state.mutex:
            _state.at_work -= 1


def patience_seconds() -> float:
    """Return how long a server that is away is waited for.

    Raises StorageError if NASOPT_PATIENCE is no time.
    """
    given = os.environ.get("NASOPT_PATIENCE", "")
    with suppress(ValueError):
        seconds = float(given or PATIENCE_SECONDS)
        if 0 <= seconds < float("inf"):
            return seconds
    raise StorageError(f"NASOPT_PATIENCE={given}: use a number of seconds from 0, 600 say")


def patient(function: Callable[P, T]) -> Callable[P, T]:
    """Return `function`, called again while its server is away: repeating it must change nothing.

    That is so within `waiting_for_servers` alone; who only reads gets the error at once.
    """

    @wraps(function)
    def persistent(*args: P.args, **kwargs: P.kwargs) -> T:
        return patiently(lambda again: function(*args, **kwargs))

    return persistent


def patiently(call: Callable[[bool], T]) -> T:
    """Return call(False), or call(True), again and again, after a try that the server left open.

    Raises Unavailable once it was waited for as long as one has patience.
    """
    try:
        return call(False)
    except Unavailable as error:
        if not _state.at_work or _state.has_given_up:
            raise
        return _again(call, error)


def renew_when_back(what: Renewable) -> None:
    _state.renewed.add(what)


def seconds_since_back() -> float:
    """Return how long ago a server was back that this process had waited for."""
    return time.monotonic() - _state.back


def _again(call: Callable[[bool], T], error: Unavailable) -> T:
    patience = patience_seconds()
    until, pause = time.monotonic() + patience, 0.0
    while True:
        try:  # the first time at once: the connection may be gone, and the server there
            result = call(True)
        except Unavailable as again:
            if _state.has_given_up:  # in a call within this one, or in another thread
                raise
            error = again
        else:
            _note_return()
            return result
        _tell(error, patience)
        pause, left = _longer(pause), until - time.monotonic()
        if left <= 0 or _state.asked_to_stop.wait(min(pause, left)):
            raise _given_up(error, patience if left <= 0 else 0.0) from error


def _longer(pause: float) -> float:
    # not all at once when it is back; no result depends on it
    return min(LONGEST_PAUSE, max(FIRST_PAUSE, 2 * pause)) * random.SystemRandom().uniform(0.8, 1)


def _tell(error: Unavailable, patience: float) -> None:
    with _state.mutex:
        told, _state.is_told = _state.is_told, True
    if patience and not told:
        what = f"it is waited for, up to {duration(patience)} (--patience)"
        logger.warning("%s; %s", error.what, what)


def _note_return() -> None:
    with _state.mutex:
        _state.is_told, _state.back = False, time.monotonic()
        renewed = list(_state.renewed)
    for each in renewed:
        with suppress(Unavailable):  # the next time
            each.renew()


def _given_up(error: Unavailable, waited: float) -> Unavailable:
    _state.has_given_up = True
    after = f"not back after {duration(waited)} (--patience); " if waited else ""
    return Unavailable(error.what, f"{after}see to the server and {RUN_AGAIN}")
