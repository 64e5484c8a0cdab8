"""The efficiency of a network on this device, measured on the built, untrained module."""

import hashlib
import json
import time
from collections.abc import Iterator

import numpy as np
import torch
from safetensors.torch import save as weights_as_bytes
from torch import nn

from nasopt.analysis.final_test import Contender, Efficiency
from nasopt.space.layers import Shape
from nasopt.space.model import build
from nasopt.storage.looks import Latency, Looks
from nasopt.training.devices import training_on, wait_for

BATCH_SIZES = (1, 256)
WARM_UP = 5  # passes that are not counted
FEWEST, MOST = 10, 200  # passes that are
SECONDS = 1.0  # after which no more are begun, once there are the fewest


def network_key(contender: Contender, input_shape: Shape, classes: int) -> str:
    """Return the key that latencies of a network are kept under."""
    text = json.dumps([contender.architecture.to_json(), input_shape, classes])
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()


def efficiency(
    contender: Contender,
    input_shape: Shape,
    classes: int,
    looks: Looks,
    device: torch.device,
    threads: int | None,
) -> Efficiency:
    """Return the cost of a network on `device`; what was measured before is not measured again."""
    key = network_key(contender, input_shape, classes)
    here, used = _name(device), (threads or torch.get_num_threads()) if _is_cpu(device) else 0
    found = []
    for batch_size in BATCH_SIZES:
        known = [
            each
            for each in looks.latencies(key)
            if (each.device, each.threads, each.batch_size) == (here, used, batch_size)
        ]
        if not known:
            network = build(contender.architecture, input_shape, classes)
            measured = _measured(network, batch_size, input_shape, device, used)
            looks.add_latency(key, measured)
            known = [measured]
        found.append(known[0])
    state = build(contender.architecture, input_shape, classes).state_dict()
    disk = len(weights_as_bytes(state, metadata={"format": "pt"}))
    return Efficiency(
        contender.name, contender.parameters, contender.macs, disk, tuple(found),
        memory_is_measured=device.type == "cuda",
    )  # fmt: skip


def _is_cpu(device: torch.device) -> bool:
    return device.type == "cpu"


def _name(device: torch.device) -> str:
    return torch.cuda.get_device_name(device) if device.type == "cuda" else device.type


def _measured(
    network: nn.Module, batch_size: int, shape: Shape, device: torch.device, threads: int
) -> Latency:
    network = network.eval().to(device)
    images = torch.zeros((batch_size, *shape), device=device)
    with training_on(device, threads or None), torch.inference_mode():
        memory = _memory(network, images)
        seconds = list(_passes(network, images, device))
    median, p95 = (float(np.quantile(seconds, share)) for share in (0.5, 0.95))
    return Latency(_name(device), threads, batch_size, median, p95, memory)


def _passes(network: nn.Module, images: torch.Tensor, device: torch.device) -> Iterator[float]:
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

    def count(module: nn.Module, inputs: tuple[torch.Tensor], output: torch.Tensor) -> None:
        nonlocal largest
        largest = max(largest, inputs[0].nbytes + output.nbytes)

    leaves = [each for each in network.modules() if not any(True for _ in each.children())]
    hooks = [each.register_forward_hook(count) for each in leaves]
    network(images)
    for hook in hooks:
        hook.remove()
    return _weights(network) + largest


def _weights(network: nn.Module) -> int:
    """Return the bytes of all that a network's state holds."""
    return sum(each.nbytes for each in network.state_dict().values())
