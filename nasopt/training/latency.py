"""The latency of a network: the seconds of a forward pass, measured on the untrained module."""

import hashlib
import json
import platform
import statistics
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import nn

from nasopt.space.architecture import Architecture
from nasopt.space.layers import Shape
from nasopt.space.model import empty, put_in_own
from nasopt.text import several
from nasopt.training.devices import lay_out, training_on, wait_for

WARM_UP = 5  # passes that are not counted
FEWEST, MOST = 10, 200  # passes that are
SECONDS = 0.3  # after which no more are begun, once there are the fewest
CPUS = Path("/proc/cpuinfo")


class Measured(NamedTuple):
    """The seconds of a forward pass, and the bytes that it takes at its peak."""

    median: float
    p95: float
    memory: int


@dataclass(frozen=True)
class Setting:
    """Where and how a latency is measured; `threads` are of the CPU, 0 on another device."""

    device: str
    threads: int
    batch_size: int = 1

    def __str__(self) -> str:
        images = several(self.batch_size, "image")
        threads = f", {several(self.threads, 'thread')}" if self.threads else ""
        return f"{images} on {self.device}{threads}"


def setting_on(device: torch.device, threads: int | None) -> Setting:
    if device.type != "cpu":
        name = torch.cuda.get_device_name(device) if device.type == "cuda" else device.type
        return Setting(name, 0)
    return Setting(f"cpu ({processor()})", threads or torch.get_num_threads())


@cache
def processor() -> str:
    """Return the name of the processor: a latency is of no other."""
    try:
        lines = CPUS.read_text().splitlines()
    except OSError:  # no Linux
        return platform.processor() or platform.machine()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


def network_key(architecture: Architecture, input_shape: Shape, classes: int) -> str:
    """Return the key that latencies of a network are kept under."""
    text = json.dumps([architecture.to_json(), input_shape, classes])
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()


def measured(
    architecture: Architecture,
    input_shape: Shape,
    classes: int,
    device: torch.device,
    setting: Setting,
) -> Measured:
    """Measure a forward pass in float32, after a warm-up."""
    network = _zero(architecture, input_shape, classes).eval().to(device)
    lay_out(network)
    images = torch.zeros((setting.batch_size, *input_shape), device=device)
    images = images.to(memory_format=torch.channels_last)
    with training_on(device, setting.threads or None), torch.inference_mode():
        memory = _memory(network, images)
        seconds = list(passes(network, images, device))
    return Measured(statistics.median(seconds), float(np.quantile(seconds, 0.95)), memory)


def _zero(architecture: Architecture, input_shape: Shape, classes: int) -> nn.Module:
    """Return the network with all weights 0, but for those of the user's own blocks."""
    network = empty(architecture, input_shape, classes)
    network.to_empty(device="cpu")
    for tensor in network.state_dict().values():
        tensor.zero_()
    put_in_own(network, architecture, input_shape, seed=lambda place: place)
    return network


def _memory(network: nn.Module, images: torch.Tensor) -> int:
    """Return the bytes at the peak of a pass: measured on a GPU, counted elsewhere.

    Counted are the weights, and the input and output of the layer for which these are largest.
    """
    if images.device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(images.device)
        network(images)
        wait_for(images.device)
        return int(torch.cuda.max_memory_allocated(images.device))
    largest = 0

    def count(module: nn.Module, inputs: Any, named: Any, output: Any) -> None:
        nonlocal largest
        largest = max(largest, _nbytes((inputs, named, output)))

    leaves = [each for each in network.modules() if not any(True for _ in each.children())]
    hooks = [each.register_forward_hook(count, with_kwargs=True) for each in leaves]
    network(images)
    for hook in hooks:
        hook.remove()
    weights = sum(each.nbytes for each in network.state_dict().values())
    return int(weights + largest)


def _nbytes(given: Any) -> int:
    """Return the bytes of all tensors that `given` is, or has in it."""
    if isinstance(given, torch.Tensor):
        return given.nbytes
    if isinstance(given, Mapping):
        given = tuple(given.values())
    return sum(map(_nbytes, given)) if isinstance(given, tuple | list) else 0


def passes(network: nn.Module, images: torch.Tensor, device: torch.device) -> Iterator[float]:
    """Yield the seconds of each forward pass after the warm-up."""
    for _ in range(WARM_UP):
        network(images)
    wait_for(device)
    begun = time.perf_counter()
    for number in range(MOST):
        started = time.perf_counter()
        if number >= FEWEST and started - begun > SECONDS:
            return
        network(images)
        wait_for(device)
        yield time.perf_counter() - started
