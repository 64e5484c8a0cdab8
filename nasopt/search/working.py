"""What a worker is told and what it reports, whichever process or host it runs in.

A worker is told what to search and where, as picklable arguments of a function that ends in
`work_on`. It reports by calling `tell` with what can be pickled, too: where it is (`Begun`), each
`Progress` or `ComparisonProgress`, each line that the library logs (`Line`), and last how it ended
(`Ended`). Of several workers in one process each tells what is its own as an `Of`. Whoever started
them gives all of that to a `Listener`, and adds `Killed` for it.
"""

import logging
import sys
import traceback
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from typing import Any, NamedTuple

from optuna.trial import TrialState

from nasopt.errors import Error, StudyError
from nasopt.search.interruption import Interrupted

logger = logging.getLogger("nasopt")

Tell = Callable[[Any], None]


class Begun(NamedTuple):
    """The device at which a worker begins, in words."""

    where: str


class Killed(NamedTuple):
    """The end of a worker by a signal, or with its host; another takes its place."""

    by: str


class Line(NamedTuple):
    """A line that the library logged in a worker."""

    text: str


class Of(NamedTuple):
    """A message of one of the workers in a process."""

    worker: int  # from 0
    said: Any


class Ended(NamedTuple):
    """How a worker ended: the exit code that it would have as a command, and the error of that.

    After an error that is no `Error`, `error` is the traceback. `ended` and `out_of_time` are those
    of a search that ended before its number of trials.
    """

    code: int = 0
    error: str = ""
    ended: str = ""
    out_of_time: str = ""

    @property
    def why(self) -> str:
        """The error in a line."""
        return self.error.splitlines()[-1] if self.error else ""


def is_gain(said: Any) -> bool:
    """Return whether a worker told that a trial ended well, or a winner was trained again."""
    trial = getattr(getattr(said, "search", said), "finished", None)
    ended_well = trial is not None and trial.state is not TrialState.FAIL
    return ended_well or getattr(said, "again", None) is not None


class _Lines(logging.Handler):
    """A handler that tells what the library logs."""

    def __init__(self, tell: Tell) -> None:
        super().__init__()
        self.tell = tell

    def emit(self, record: logging.LogRecord) -> None:
        self.tell(Line(record.getMessage()))


def work_on(make: Callable[[], Iterable[Any]], tell: Tell, where: str) -> None:
    """Run the search or comparison of make() as one of several workers, and tell how it goes.

    Nothing is raised: the last thing that is told is how it ended.
    """
    with lines_told(tell), suppress(BrokenPipeError):  # nobody listens any more
        tell(Begun(where))
        tell(ending(lambda: followed(make(), tell)))


@contextmanager
def lines_told(tell: Tell) -> Iterator[None]:
    """Tell what the library logs in this process, in whichever thread."""
    handler = _Lines(tell)
    logger.addHandler(handler)
    try:
        yield
    finally:
        logger.removeHandler(handler)


def ending(run: Callable[[], Ended]) -> Ended:
    """Return how `run` ended; only that nobody listens any more is raised."""
    try:
        return run()
    except Error as error:
        return Ended(2, str(error))
    except KeyboardInterrupt as interrupted:
        return Ended(128 + getattr(interrupted, "signum", 2))
    except BrokenPipeError:
        raise
    except Exception:
        return Ended(1, traceback.format_exc())


def followed(running: Iterable[Any], tell: Tell) -> Ended:
    """Run a search or comparison to its end, and tell how it goes."""
    for progress in running:
        tell(progress)
    early = (getattr(running, name, "") for name in ("ended", "out_of_time"))
    return Ended(0, "", *early)


class Listener:
    """What has become of the workers of one piece of work, by what they told.

    The work is done once one of them has ended normally, since each stays as long as another has a
    trial in hand. Until then errors are theirs alone: a line for each.
    """

    def __init__(self) -> None:
        self.done: Ended | None = None  # of a worker that ended normally
        self.failed: Ended | None = None  # of the first that did not
        self._told: set[str] = set()

    def hear(self, said: Any) -> None:
        """Note what a worker told; log what it logged, and that it failed."""
        if isinstance(said, Line):
            logger.warning("%s", said.text)
        elif isinstance(said, Killed):
            logger.warning("a worker was killed by %s; another takes its place", said.by)
        elif isinstance(said, Ended) and said.code == 0:
            self.done = said
        elif isinstance(said, Ended):
            self._fail(said)

    def _fail(self, said: Ended) -> None:
        self.failed = self.failed or said
        if "\n" in said.error:
            sys.stderr.write(said.error)
        if said.why and said.why not in self._told:
            logger.warning("a worker ended early: %s", said.why)
        self._told.add(said.why)

    def check(self) -> None:
        """Raise the error of the work, after all workers have ended, unless it is done."""
        if self.done is not None or self.failed is None:
            return
        if self.failed.code > 128:
            raise Interrupted(self.failed.code - 128)
        if self.failed.code == 2:
            raise StudyError(self.failed.error)
        raise RuntimeError(f"no worker is left: {self.failed.why}")
