"""Several workers in one process, a thread each: so several trainings share a card.

Processes take turns on a card; CUDA streams of one process do not. Each thread is a worker like any
other, with a storage, a lease and a sampler of its own; the study file and the images are loaded
once. Signals come to the main thread, which does nothing but pass them on.
"""

import importlib
import threading
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from typing import Any, Protocol

import torch

from nasopt.search.interruption import PassesOn, interruptible
from nasopt.search.working import Begun, Ended, Of, Tell, ending, followed, lines_told
from nasopt.training.devices import find_device, own_stream

POLL_SECONDS = 0.2  # between two looks whether it was asked to stop


class Running(Iterable[Any], Protocol):
    """A search or a comparison."""

    signum: int | None


class Together(PassesOn):
    """Several of them, asked to stop as one."""

    def __init__(self, running: Sequence[Running]) -> None:
        self.running = running


def work_together(
    make: Callable[[], Sequence[Running]], tell: Tell, where: str, device: str
) -> None:
    """Run what make() returns as workers, each in a thread, and tell how they go.

    What one of them tells is an `Of`; the rest is of all. Nothing is raised.
    """
    with lines_told(tell), suppress(BrokenPipeError):  # nobody listens any more
        tell(Begun(where))
        ended = ending(lambda: _all_run(make(), tell, device))
        if ended.code:
            tell(ended)


def _all_run(running: Sequence[Running], tell: Tell, device: str) -> Ended:
    """Run all to their ends, whatever these are: each of them is told."""
    # the first optimizer imports it: not by several threads at once
    importlib.import_module("torch._dynamo")
    place = find_device(device)
    threads = [
        threading.Thread(target=_run, args=(each, number, tell, place), name=f"training {number}")
        for number, each in enumerate(running)
    ]
    together = Together(running)
    with interruptible(together):
        for thread in threads:
            thread.start()
        for thread in threads:
            while thread.is_alive():
                thread.join(POLL_SECONDS)
                together.remind()
    return Ended()


def _run(running: Running, number: int, tell: Tell, device: torch.device) -> None:
    def told(said: Any) -> None:
        tell(Of(number, said))

    def to_its_end() -> Ended:
        with own_stream(device):
            return followed(running, told)

    with suppress(BrokenPipeError):
        told(ending(to_its_end))
