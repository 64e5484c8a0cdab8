"""The efficiency of a network on this device, measured on the built, untrained module."""

from dataclasses import replace

import numpy as np
import torch
from safetensors.torch import save as weights_as_bytes
from torch import nn

from nasopt.analysis.final_test import Contender, Efficiency
from nasopt.space.layers import Shape
from nasopt.space.model import build
from nasopt.storage.looks import Latency, Looks
from nasopt.training.devices import training_on, wait_for
from nasopt.training.latency import Setting, network_key, passes, setting_on

BATCH_SIZES = (1, 256)


def efficiency(
    contender: Contender,
    input_shape: Shape,
    classes: int,
    looks: Looks,
    device: torch.device,
    threads: int | None,
) -> Efficiency:
    """Return the cost of a network on `device`; what was measured before is not measured again."""
    key = network_key(contender.architecture, input_shape, classes)
    here = setting_on(device, threads)
    found = []
    for batch_size in BATCH_SIZES:
        setting = replace(here, batch_size=batch_size)
        known = [each for each in looks.latencies(key) if each.setting == setting]
        if not known:
            network = build(contender.architecture, input_shape, classes)
            known = [_measured(network, input_shape, device, setting)]
            looks.add_latency(key, known[0])
        found.append(known[0])
    state = build(contender.architecture, input_shape, classes).state_dict()
    disk = len(weights_as_bytes(state, metadata={"format": "pt"}))
    return Efficiency(
        contender.name, contender.parameters, contender.macs, disk, tuple(found),
        memory_is_measured=device.type == "cuda",
    )  # fmt: skip


def _measured(network: nn.Module, shape: Shape, device: torch.device, setting: Setting) -> Latency:
    network = network.eval().to(device).to(memory_format=torch.channels_last)
    images = torch.zeros((setting.batch_size, *shape), device=device)
    images = images.to(memory_format=torch.channels_last)
    with training_on(device, setting.threads or None), torch.inference_mode():
        memory = _memory(network, images)
        seconds = list(passes(network, images, device))
    median, p95 = (float(np.quantile(seconds, share)) for share in (0.5, 0.95))
    return Latency(setting.device, setting.threads, setting.batch_size, median, p95, memory)


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
