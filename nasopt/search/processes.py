"""The workers of one piece of work in processes, watched by one that does nothing else."""

import multiprocessing
import os
import queue
import signal
import sys
import threading
import time
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager, suppress
from itertools import accumulate, pairwise
from multiprocessing import connection, resource_tracker
from multiprocessing.connection import Connection
from multiprocessing.context import (
    ForkServerContext,
    ForkServerProcess,
    SpawnContext,
    SpawnProcess,
)
from multiprocessing.process import BaseProcess
from typing import Any, Generic, NamedTuple, TypeVar

from nasopt.search.interruption import Interrupted, interruptible
from nasopt.search.working import Ended, Killed, Listener, Of, Tell, is_gain

REPLACEMENTS_IN_A_ROW = 20  # for each worker, as long as no trial ends well in between
# exit codes of one that was still starting
ASKED_TO_STOP = (-signal.SIGINT, -signal.SIGTERM, -signal.SIGUSR1)
UNKNOWN = 255  # the exit code of one whose server had died before
SECONDS_TO_DIE = 30  # at most, for the server that forks them
POLL_SECONDS = 0.2  # between two looks whether it was asked to stop
NEEDED = (
    "nasopt.search.comparison",
    "nasopt.search.loading",
    "nasopt.reporting.notes",
    "nasopt.training.trainer",
    "torch._dynamo",  # which torch imports at the first optimizer: 1.1 s of CPU in each worker
)
UNREAD = 1_000  # messages at most: workers wait for a screen that does not go on

Given = TypeVar("Given")


class News(NamedTuple):
    """A message of worker `number`, as `working` has them."""

    number: int  # from 0
    said: Any


class Crew(Generic[Given]):
    """Processes that call work(given, tell): iterate over it to run them, News by News.

    There is one for each of `given`. It is as many workers as `workers` says, each in a thread, by
    default one; they are numbered over all processes. A process that is killed is replaced at once,
    unless that happens again and again while no trial ends well. On Ctrl-C or SIGTERM all are asked
    to stop, and Interrupted is raised. They are also asked if the iteration is left, or if this
    process dies.

    `done` tells afterwards how the work ended. The error of the workers is raised if none of them
    ended normally.
    """

    def __init__(
        self,
        work: Callable[[Given, Tell], None],
        given: Sequence[Given],
        workers: Sequence[int] | None = None,
    ) -> None:
        self.work, self.given = work, given
        ends = list(accumulate(workers or [1] * len(given)))
        self.workers = [range(*each) for each in pairwise([0, *ends])]  # of each process
        self.signum: int | None = None  # of the signal that asked to stop
        self.listener = Listener()
        self.deaths = 0  # in a row
        self.processes: dict[int, Any] = {}  # whatever can `terminate`
        self._mail: queue.Queue[News] = queue.Queue(UNREAD)  # by the numbers of processes
        self._told_end: set[int] = set()  # workers
        self._stopping = False

    @property
    def done(self) -> Ended:
        return self.listener.done or Ended()

    def __iter__(self) -> Generator[News]:
        with interruptible(self):
            try:
                for number in range(len(self.given)):
                    self._start(number)
                while self.processes:
                    if self.signum is not None:
                        self._stop()
                    yield from self._news()
            finally:
                self._stop()
                while self.processes:
                    for _ in self._news():
                        pass
        if self.listener.done is None and self.signum is not None:
            raise Interrupted(self.signum)
        self.listener.check()

    def _start(self, number: int) -> None:
        ear, mouth = multiprocessing.Pipe(duplex=False)
        args = self.work, self.given[number], dict(os.environ), mouth
        with _interrupts_held():
            process = _fresh().Process(target=_work, args=args)
            _begin(process)
        mouth.close()
        self.processes[number] = process
        self._told_end.difference_update(self.workers[number])
        hear = threading.Thread(target=self._hear, args=(number, process, ear), daemon=True)
        hear.start()

    def _hear(self, number: int, process: BaseProcess, ear: Connection) -> None:
        """Pass on what a process tells until it ends; a message that is cut off is its last.

        Its own child processes have the other end of the pipe, too, and may outlive it.
        """
        with ear, suppress(EOFError, OSError):
            while ear in connection.wait([ear, process.sentinel]):
                self._mail.put(News(number, ear.recv()))
        connection.wait([process.sentinel])
        self._mail.put(News(number, None))

    def _stop(self) -> None:
        """Ask all to stop, once."""
        if not self._stopping:
            self._stopping = True
            for process in self.processes.values():
                process.terminate()

    def _news(self) -> Iterator[News]:
        """Yield what is told next, if anything is, as of each worker that it is about."""
        news = self._next()
        if news is None:
            return
        said, about = news.said, list(self.workers[news.number])
        if said is None:
            about = [worker for worker in about if worker not in self._told_end]
            said = self._took_leave(news.number, about)
            if said is None:
                return
        elif isinstance(said, Of):
            about, said = [about[said.worker]], said.said
        if is_gain(said):
            self.deaths = 0
        if isinstance(said, Ended):
            self._told_end.update(about)
        if not self._stopping or not isinstance(said, Ended):
            self.listener.hear(said)
        for worker in about:
            yield News(worker, said)

    def _next(self) -> News | None:
        """Return what is told next, None while nothing is; said=None is the end of a process."""
        try:
            return self._mail.get(timeout=POLL_SECONDS)
        except queue.Empty:
            return None

    def _took_leave(self, number: int, silent: Sequence[int]) -> Ended | Killed | None:
        """Start another in the place of a process that has ended, if it was killed.

        Return how it ended, unless all of its workers told that; `silent` are those that did not.
        """
        left = self._left(self.processes.pop(number))
        if not silent or self._stopping:
            return None
        return self._replaced(number, left.by) if isinstance(left, Killed) else left

    def _left(self, process: Any) -> Ended | Killed:
        """Wait for the end of a process, and return how that was."""
        process.join()
        code = process.exitcode or 0
        if code in ASKED_TO_STOP:
            return Ended(128 - code)
        if code == UNKNOWN:
            return Killed("an unknown signal")
        if code >= 0:
            return Ended(1, f"it left with exit code {code}")
        return Killed(signal.Signals(-code).name)

    def _replaced(self, number: int, killer: str) -> Ended | Killed:
        self.deaths += 1
        if self.deaths > REPLACEMENTS_IN_A_ROW * len(self.given):
            return Ended(
                2,
                f"workers: {self.deaths} in a row were killed, the last by {killer}, and no trial "
                "ended well in between; see whether the memory suffices, or use --workers 1",
            )
        self._start(number)
        return Killed(killer)


def _fresh() -> SpawnContext | ForkServerContext:
    """Return how processes are begun that share no state of torch with this one, and no locks.

    On Linux they are forks of one that has done nothing but import what each of them needs. That
    takes torch seconds, and some hundred MB that they share so.
    """
    if sys.platform != "linux":
        return multiprocessing.get_context("spawn")
    server = multiprocessing.get_context("forkserver")
    server.set_forkserver_preload(list(NEEDED))
    return server


def _begin(process: SpawnProcess | ForkServerProcess) -> None:
    """Start a process; where the server that forks it is just dying, it is forked by the next.

    A server that is killed refuses connections before it counts as dead, and only then is another
    begun in its place.
    """
    give_up = time.monotonic() + SECONDS_TO_DIE
    while True:
        try:
            return process.start()
        except (ConnectionError, EOFError):
            if time.monotonic() > give_up:
                raise
        time.sleep(POLL_SECONDS / 10)


@contextmanager
def _interrupts_held() -> Iterator[None]:
    """Hold back Ctrl-C from a process that is started here until it can stop gently."""
    resource_tracker.ensure_running()  # which would let signals through when it is started
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _work(
    work: Callable[[Given, Tell], None], given: Given, environ: dict[str, str], mouth: Connection
) -> None:
    os.environ.clear()
    os.environ.update(environ)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the one that watches passes it on as SIGTERM
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
    threading.Thread(target=_end_with_parent, daemon=True).start()
    one_at_a_time = threading.Lock()  # what a tracker logs comes from a thread of its own

    def tell(said: Any) -> None:
        with one_at_a_time:
            mouth.send(said)

    work(given, tell)


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    assert parent is not None
    parent.join()
    os.kill(os.getpid(), signal.SIGTERM)
