"""The worker processes of one piece of work, each with its share of the cores."""

import logging
import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from multiprocessing import connection, resource_tracker
from multiprocessing.context import SpawnProcess
from typing import Generic, TypeVar

import torch

from nasopt.errors import Error, StudyError
from nasopt.training.devices import free_cores

logger = logging.getLogger("nasopt")

REPLACEMENTS_IN_A_ROW = 5  # for each worker, as long as no trial ends in between
# exit codes of one that was still starting
ASKED_TO_STOP = (-signal.SIGINT, -signal.SIGTERM, -signal.SIGUSR1)

Given = TypeVar("Given")


def check_workers(workers: int) -> None:
    if workers < 1:
        raise StudyError(f"workers={workers}: use a whole number from 1")


def share_cores(workers: int) -> int:
    """Return how many workers there are cores for, at most `workers`, and share the threads.

    A warning says if fewer begin than were asked for. OMP_NUM_THREADS stays as it is, if set.
    """
    check_workers(workers)
    cores = free_cores()
    if workers > cores:
        logger.warning(
            "workers=%d: %s free to this process; more workers than that would only wait for each "
            "other, so no more are begun",
            workers, "1 core is" if cores == 1 else f"{cores} cores are",
        )  # fmt: skip
    workers = min(workers, cores)
    if workers > 1 and not os.environ.get("OMP_NUM_THREADS"):
        torch.set_num_threads(max(1, min(cores, torch.get_num_threads()) // workers))
    return workers


@contextmanager
def worker_processes(
    work: Callable[[Given], int], given: Given, workers: int, ended: Callable[[], int] = lambda: 0
) -> Iterator[None]:
    """Call work(given) in `workers` - 1 more processes, for its exit code, during the block.

    One that is killed is replaced at once, unless that happens again and again while ended(), the
    number of trials that have ended, stays the same. They are waited for when the block ends, and
    stopped by SIGTERM when it is left by an exception, or when this process dies.
    """
    if workers <= 1:
        yield
        return
    crew = _Crew(work, given, ended)
    for _ in range(workers - 1):
        crew.start()
    watch = threading.Thread(target=crew.watch, name="nasopt-workers", daemon=True)
    watch.start()
    try:
        yield
    except BaseException:
        crew.let_go(watch)
        for process in crew.processes:
            process.terminate()
        raise
    finally:
        crew.let_go(watch)
        while crew.processes:
            _tell(crew.take_leave(crew.processes[0]))


class _Crew(Generic[Given]):
    """The processes that call work(given)."""

    def __init__(
        self, work: Callable[[Given], int], given: Given, ended: Callable[[], int]
    ) -> None:
        self.work, self.given, self.ended = work, given, ended
        self.processes: list[SpawnProcess] = []
        self.deaths = 0  # in a row
        self.ended_before = ended()
        self.over, self._until = connection.Pipe(duplex=False)

    def start(self) -> None:
        spawn = multiprocessing.get_context("spawn")  # a fork would share torch's state, and locks
        args = self.work, self.given, torch.get_num_threads()
        with _interrupts_held():
            process = spawn.Process(target=_work, args=args)
            process.start()
        self.processes.append(process)

    def watch(self) -> None:
        """Replace those that are killed until they are let go."""
        while True:
            by_sentinel = {process.sentinel: process for process in self.processes}
            ready = connection.wait([self.over, *by_sentinel])
            if self.over in ready:
                return
            for sentinel, process in by_sentinel.items():
                if sentinel in ready:
                    code = self.take_leave(process)
                    _tell(code, self._replaced() if code < 0 else "")

    def let_go(self, watch: threading.Thread) -> None:
        self._until.close()
        watch.join()

    def take_leave(self, process: SpawnProcess) -> int:
        """Wait for its end and return its exit code, 0 if it was asked to stop."""
        process.join()
        self.processes.remove(process)
        code = process.exitcode or 0
        return 0 if code in ASKED_TO_STOP else code

    def _replaced(self) -> str:
        """Start another in the place of one that was killed, and return that in words."""
        before, self.ended_before = self.ended_before, self._ended()
        self.deaths = 1 if self.ended_before > before else self.deaths + 1
        if self.deaths > REPLACEMENTS_IN_A_ROW * (len(self.processes) + 1):
            return f"{self.deaths} were, and no trial ended in between: it is not replaced"
        self.start()
        return "another takes its place"

    def _ended(self) -> int:
        try:
            return self.ended()
        except Error:  # of the database: the first worker meets it as well, and tells it
            return self.ended_before


def _tell(code: int, then: str = "") -> None:
    """Log a line for a worker that did not end normally."""
    if code:
        how = f"was killed by {signal.Signals(-code).name}" if code < 0 else "ended early"
        logger.warning("a worker %s", f"{how}; {then}" if then else f"{how}, exit code {code}")


@contextmanager
def _interrupts_held() -> Iterator[None]:
    """Hold back Ctrl-C from a process that is started here until it can stop gently."""
    resource_tracker.ensure_running()  # which would let signals through when it is started
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _work(work: Callable[[Given], int], given: Given, threads: int) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the first worker passes it on as SIGTERM
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
    torch.set_num_threads(threads)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    raise SystemExit(work(given))


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    assert parent is not None
    parent.join()
    os.kill(os.getpid(), signal.SIGTERM)
