"""The efficiency of a network on this device, measured on the built, untrained module."""

from dataclasses import replace
from functools import partial

import torch
from safetensors.torch import save as weights_as_bytes

from nasopt.analysis.final_test import Contender, Efficiency
from nasopt.space.layers import Shape
from nasopt.space.model import build
from nasopt.storage.latencies import Latencies
from nasopt.training.latency import measured, network_key, setting_on

BATCH_SIZES = (1, 256)


def efficiency(
    contender: Contender,
    input_shape: Shape,
    classes: int,
    latencies: Latencies,
    device: torch.device,
    threads: int | None,
) -> Efficiency:
    """Return the cost of a network on `device`; what was measured before is not measured again."""
    key = network_key(contender.architecture, input_shape, classes)
    here = setting_on(device, threads)
    found = []
    for batch_size in BATCH_SIZES:
        setting = replace(here, batch_size=batch_size)
        of = contender.architecture, input_shape, classes, device, setting
        found.append(latencies.once(key, setting, partial(measured, *of)))
    state = build(contender.architecture, input_shape, classes).state_dict()
    disk = len(weights_as_bytes(state, metadata={"format": "pt"}))
    return Efficiency(
        contender.name, contender.parameters, contender.macs, disk, tuple(found),
        memory_is_measured=device.type == "cuda",
    )  # fmt: skip
