"""`Tracker`: a callback whose work is done in a thread of its own, and whose errors are a line."""

import atexit
import importlib.util
import logging
import threading
import weakref
from abc import ABC, abstractmethod
from collections.abc import Iterable
from queue import Queue

import optuna
from optuna.trial import FrozenTrial

from nasopt.errors import Error, TrackerError
from nasopt.text import installing, several
from nasopt.trackers.content import TrackedStudy, TrackedTrial

logger = logging.getLogger("nasopt")

FLUSH_SECONDS = 30.0  # that the end of a run waits for what is not written yet


class Tracker(ABC):
    """A callback of a search, or of `study.optimize`, that shows each finished trial elsewhere.

    Training does not wait for it and does not fail with it: after the first error, which is one
    warning, it does nothing more.
    """

    extra: str  # of nasopt's, with what it needs
    module: str  # that must be there

    def __init__(self) -> None:
        if importlib.util.find_spec(self.module) is None:
            raise TrackerError(f"{self.module} is not installed; run: {installing(self.extra)}")
        self._waiting: Queue[tuple[optuna.Study, FrozenTrial]] = Queue()
        self._thread: threading.Thread | None = None
        self._lock = threading.Lock()  # of searches in several threads
        self._failed = False

    def __call__(self, study: optuna.Study, trial: FrozenTrial) -> None:
        if self._failed:
            return
        self._waiting.put((study, trial))
        with self._lock:
            if self._thread is None:
                self._thread = threading.Thread(target=self._work, name=self.extra, daemon=True)
                self._thread.start()
                atexit.register(_flush, weakref.ref(self))

    def flush(self, seconds: float = FLUSH_SECONDS) -> None:
        """Wait until all trials so far are written, but no longer than that."""
        waiting = self._waiting
        if self._failed:
            return
        with waiting.all_tasks_done:
            if waiting.all_tasks_done.wait_for(lambda: not waiting.unfinished_tasks, seconds):
                return
            left, self._failed = waiting.unfinished_tasks, True
        logger.warning("%s: %s not written; %s", self.extra, several(left, "trial"), self._later)

    def log(self, study: optuna.Study, trials: Iterable[FrozenTrial]) -> int:
        """Write finished trials now, those that are there already aside, and return how many.

        Raises TrackerError if it cannot.
        """
        try:
            tracked = TrackedStudy.of(study)
            return sum(self.write(tracked, TrackedTrial.of(tracked, trial)) for trial in trials)
        except Error:
            raise
        except Exception as error:
            raise TrackerError(f"{self.extra}: {_line(error)}; {self.remedy}") from error

    @property
    @abstractmethod
    def command(self) -> list[str]:
        """The words of the command that shows what is written."""

    @property
    @abstractmethod
    def remedy(self) -> str:
        """The advice after an error."""

    @abstractmethod
    def write(self, study: TrackedStudy, trial: TrackedTrial) -> bool:
        """Write a trial; return False if it is there already."""

    @property
    def _later(self) -> str:
        return f"training goes on without it, and `nasopt log DB --to {self.extra}` writes them all"

    def _work(self) -> None:
        while True:
            study, trial = self._waiting.get()
            try:
                if not self._failed:
                    self.log(study, [trial])
            except Exception as error:
                self._failed = True
                logger.warning("%s; %s", _line(error), self._later)
            finally:
                self._waiting.task_done()


def _line(error: Exception) -> str:
    text = str(error) if isinstance(error, Error) else f"{type(error).__name__}: {error}"
    return text.splitlines()[0]


def _flush(tracker: "weakref.ref[Tracker]") -> None:
    alive = tracker()
    if alive is not None:
        alive.flush()
