"""`Captured`: a training step recorded as one CUDA graph, and replayed.

A small network on a GPU waits for the launch of its hundreds of kernels; a graph is launched at
once. Recording takes well under a second a network, while `torch.compile` takes many seconds.
"""

import logging
import threading
from collections.abc import Callable
from functools import cache
from typing import Protocol

import torch

from nasopt.training.batches import Draw
from nasopt.training.devices import has_own_stream

logger = logging.getLogger("nasopt")

Step = Callable[[Draw], None]
# A recording begins by waiting for the whole device, which nobody may while a stream is captured.
_recording = threading.Lock()
WARM_UP = 3  # steps before recording: cuDNN and cuBLAS set themselves up, buffers are allocated


class Recorder(Protocol):
    """The protocol of an object that records steps, as `CudaGraphs` does."""

    def aside(self, step: Step, draw: Draw) -> None:
        """Run `step` as it is, so that it can be recorded later."""

    def record(self, step: Step, inputs: Draw) -> Callable[[], None]:
        """Return a function that replays `step` on what `inputs` hold then; do not run it now."""


class Captured:
    """A training step that is recorded after its first calls, and replayed from then on.

    `step` has to work on the device alone and to wait for nothing; all its draws have one shape.
    The first calls run unrecorded: they are steps of the training like any other. If the recording
    fails, all later calls run unrecorded, too.
    """

    def __init__(self, step: Step, recorder: Recorder) -> None:
        self.step = step
        self.recorder = recorder
        self.calls = 0
        self.inputs: Draw = {}
        self.replay: Callable[[], None] | None = None

    def __call__(self, draw: Draw) -> None:
        self.calls += 1
        if self.calls <= WARM_UP:
            self.recorder.aside(self.step, draw)
            return
        if self.calls == WARM_UP + 1:
            self._record(draw)
        if self.replay is None:
            self.step(draw)
            return
        for name, tensor in draw.items():
            self.inputs[name].copy_(tensor, non_blocking=True)
        self.replay()

    def _record(self, draw: Draw) -> None:
        self.inputs = {name: tensor.clone() for name, tensor in draw.items()}
        try:
            self.replay = self.recorder.record(self.step, self.inputs)
        except RuntimeError as error:
            logger.warning("no CUDA graph of this network (%s)", str(error).splitlines()[0])


class CudaGraphs:
    """A recorder by PyTorch's notes on CUDA graphs: first runs on a side stream, then recording.

    A thread that has a stream of its own records there; threads record one after the other.
    """

    def __init__(self, device: torch.device) -> None:
        beside = has_own_stream(device)
        self.stream = torch.cuda.current_stream(device) if beside else _side_stream(device)

    def aside(self, step: Step, draw: Draw) -> None:
        current = torch.cuda.current_stream(self.stream.device)
        self.stream.wait_stream(current)
        with torch.cuda.stream(self.stream):
            step(draw)
        current.wait_stream(self.stream)

    def record(self, step: Step, inputs: Draw) -> Callable[[], None]:
        graph = torch.cuda.CUDAGraph()
        here = torch.cuda.device(self.stream.device)  # else "cuda:0", whatever `step` works on
        with _recording, here:
            current = torch.cuda.current_stream()
            try:
                # not "global": a thread of the user's may use CUDA at the same time
                how = torch.cuda.graph(graph, stream=self.stream, capture_error_mode="thread_local")
                with how:
                    step(inputs)
            finally:
                torch.cuda.set_stream(current)  # torch does not, if the recording failed
        replay: Callable[[], None] = graph.replay
        return replay


@cache
def _side_stream(device: torch.device) -> torch.cuda.Stream:
    """Return the one side stream of a device: cuBLAS keeps some 32 MB for each stream for good."""
    return torch.cuda.Stream(device)  # type: ignore[no-untyped-call]
