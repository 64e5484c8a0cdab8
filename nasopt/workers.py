"""Several processes at one piece of work, each with its share of the cores."""

import logging
import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

import torch

from nasopt.errors import StudyError

logger = logging.getLogger("nasopt")

Given = TypeVar("Given")


def check_workers(workers: int) -> None:
    if workers < 1:
        raise StudyError(f"workers={workers}: use a whole number from 1")


@contextmanager
def beside(work: Callable[[Given], int], given: Given, workers: int) -> Iterator[None]:
    """`workers` - 1 more processes call work(given), for its exit code, while the block runs here.

    They are waited for when the block ends, and stopped by SIGTERM when it is left by an exception,
    or when this process dies. All of them divide torch's threads among them.
    """
    if workers == 1:
        yield
        return
    if "OMP_NUM_THREADS" not in os.environ:
        torch.set_num_threads(max(1, torch.get_num_threads() // workers))
    spawn = multiprocessing.get_context("spawn")  # a fork would share torch's state, and locks
    processes = [
        spawn.Process(target=_work, args=(work, given, torch.get_num_threads()))
        for _ in range(workers - 1)
    ]
    for process in processes:
        process.start()
    try:
        yield
    except BaseException:
        for process in processes:
            process.terminate()
        raise
    finally:
        for process in processes:
            process.join()
    for process in processes:
        if process.exitcode:
            logger.warning("a worker ended early, with exit code %d", process.exitcode)


def _work(work: Callable[[Given], int], given: Given, threads: int) -> None:
    torch.set_num_threads(threads)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    raise SystemExit(work(given))


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    assert parent is not None
    parent.join()
    os.kill(os.getpid(), signal.SIGTERM)
