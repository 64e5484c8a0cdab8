"""Two sides of a comparison, each in a process of its own, that take turns."""

import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from multiprocessing import get_context
from multiprocessing.connection import Connection
from statistics import median
from typing import Any

Side = Callable[[], Iterator[Any]]  # at the top of a module: it is sent to its process by name


def seconds_in_turn(turns: int, *sides: Side) -> list[float]:
    """Median seconds of a step of each side, after one step each that is not counted.

    Processes of their own, since torch and the C library keep settings for a whole process; in
    turn, so that a machine whose speed drifts treats all alike.
    """
    context = get_context("spawn")
    pipes, processes = [], []
    for side in sides:
        ours, theirs = context.Pipe()
        process = context.Process(target=step_when_asked, args=(side, theirs))
        process.start()
        theirs.close()
        pipes.append(ours)
        processes.append(process)
    taken: list[list[float]] = [[] for _ in sides]
    try:
        for turn in range(turns + 1):
            for pipe, each in zip(pipes, taken, strict=True):
                pipe.send("step")
                seconds = pipe.recv()
                if turn:
                    each.append(seconds)
    finally:
        for pipe, process in zip(pipes, processes, strict=True):
            pipe.close()
            process.join()
    return [median(each) for each in taken]


def step_when_asked(side: Side, pipe: Connection) -> None:
    import torch

    torch.set_num_threads(1)
    steps = side()
    with suppress(EOFError):  # the end
        while pipe.recv():
            started = time.perf_counter()
            next(steps)
            pipe.send(time.perf_counter() - started)
