"""Convolutions as our modules build them, against float64: outputs and gradients.

    python -m tests.kernels --cases 300

Each instruction set that oneDNN can be held to, with one thread and with two, has a process of its
own, since a fault may corrupt memory and kill it. In there random layers are run forward and
backward, and every convolution in them is computed anew in float64 by PyTorch's own code, from the
very input, weight and gradient that it was given.
"""

import argparse
import os
import random
import subprocess
import sys
from collections.abc import Callable
from contextlib import nullcontext
from itertools import product
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn

from nasopt.space.blocks import Pointwise
from nasopt.space.layers import ACTIVATIONS, CONV_OPS, EXPANSION, NORMS, Conv, Layer, Shape
from nasopt.space.own_module import built
from tests.space.blocks_of_a_user import Plain

ISAS = ("native", "AVX2", "AVX", "SSE41")  # the values of ONEDNN_MAX_CPU_ISA, and none
THREADS = (1, 2)
FEW = (1, 2, 3, 4, 5, 6, 7)  # channels, where kernels have their special cases
CHANNELS = (1, 2, 3, 4, 5, 6, 7, 8, 9, 12, 13, 16, 17, 24, 32, 33, 48, 64, 96)
SIDES = (1, 2, 3, 4, 5, 7, 8, 9, 12, 14, 16, 17, 28, 32)
BATCHES = (1, 2, 3, 7, 16, 31, 32, 64)
USERS = 0.2  # of the cases are convolutions in a block of the user's
MACS = 1e8  # of a case at most: the reference is slow
# as a share of the sum of the absolute values of the terms: batch norm makes gradients cancel
TOLERANCE = {torch.float32: 1e-5, torch.bfloat16: 2e-2}

Case = tuple[Layer, Shape, int, str, torch.dtype]  # ..., images in a batch, layout, precision

USUAL = "channels_last", torch.float32
BFLOAT16 = torch.bfloat16
KNOWN: list[Case] = [
    # with which oneDNN killed the process, or gave wrong gradients with 2 threads
    *(
        (Conv(filters=8, kernel_size=kernel_size, stride=2, op=op), (channels, 8, 8), 64, *USUAL)
        for kernel_size, op in ((1, "conv"), (3, "residual"))
        for channels in (2, 7)
    ),
    *((Plain(filters=8, kernel_size=1, stride=2), (few, 8, 8), 64, *USUAL) for few in (2, 4, 7)),
    # whose gradients were garbage on processors that compute in bfloat16
    *(
        (Conv(filters=32, kernel_size=size, stride=2), (16, *side), 16, "channels_last", BFLOAT16)
        for size in (3, 5)
        for side in ((1, 1), (5, 1), (1, 4), (2, 1))
    ),
    (Plain(filters=32, stride=2), (16, 1, 1), 16, "channels_last", BFLOAT16),
]


def drawn(chance: random.Random) -> Case:
    """A layer, its input and how it is computed, small enough for the reference."""
    while True:
        layer = Conv(
            filters=chance.choice(CHANNELS),
            kernel_size=chance.choice((1, 1, 3, 5, 7, 11)),
            stride=chance.choice((1, 2, 2, 3, 4)),
            op=chance.choice(CONV_OPS),
            activation=chance.choice(ACTIVATIONS),
            norm=chance.choice(NORMS),
        )
        channels = chance.choice(chance.choice((FEW, CHANNELS)))
        shape = (channels, chance.choice(SIDES), chance.choice(SIDES))
        batch = chance.choice(BATCHES)
        layout = chance.choice(("channels_last", "channels_last", "contiguous_format"))
        dtype = chance.choice((torch.float32, torch.float32, torch.bfloat16))
        kernel = layer.chosen("kernel_size") ** 2 * layer.chosen("filters")
        kernel *= {"inverted": EXPANSION, "basic": 2}.get(layer.chosen("op"), 1)
        if chance.random() < USERS:
            usual = ("filters", "kernel_size", "stride")
            layer = Plain(**{field: layer.chosen(field) for field in usual})
        if batch * shape[0] * shape[1] * shape[2] * kernel <= MACS:
            return layer, shape, batch, layout, dtype


def faults(case: Case, seed: int) -> list[str]:
    """The convolutions of a layer that differ from their reference, and in what."""
    layer, shape, batch, layout, dtype = case
    memory = getattr(torch, layout)
    torch.manual_seed(seed)
    own = isinstance(layer, Plain)
    module = (built(layer, shape) if own else layer.build(shape)).to(memory_format=memory)
    images = torch.randint(0, 256, (batch, *shape), dtype=torch.uint8)
    inputs = images.to(torch.float32, memory_format=memory).div_(64).sub_(2)
    inputs.requires_grad_(seed % 2 == 0)  # those of a first layer do not
    checks: list[Callable[[], list[str]]] = []
    for name, part in module.named_modules():
        if isinstance(part, nn.Conv2d):
            checks.append(_watched(name, part, TOLERANCE[dtype]))
    half = torch.autocast("cpu", dtype) if dtype is not torch.float32 else nullcontext()
    with half:
        output = (
            module(inputs) if batch * output_pixels(layer, shape) > 1 else module.eval()(inputs)
        )
    output.float().square().sum().backward()
    return [fault for check in checks for fault in check()]


def output_pixels(layer: Layer, shape: Shape) -> int:
    height, width = layer.shrink(shape[1:])
    return height * width


def _watched(name: str, part: nn.Conv2d, tolerance: float) -> Callable[[], list[str]]:
    """Note what `part` is given and gives; call the result for its faults."""
    seen: dict[str, torch.Tensor] = {}

    def before(_: nn.Module, inputs: tuple[torch.Tensor]) -> torch.Tensor:
        own = inputs[0].view_as(inputs[0])  # its gradient is of this convolution alone
        seen["input"] = own.detach().clone()
        if own.requires_grad:
            own.register_hook(lambda gradient: seen.update(input_gradient=gradient.clone()))
        return own

    def after(_: nn.Module, __: Any, output: torch.Tensor) -> torch.Tensor:
        seen["output"] = output.detach().clone()
        # without a norm an activation changes it in place, and the hook of a view would be lost
        own = output if part.bias is None else output.clone()
        own.register_hook(lambda gradient: seen.update(output_gradient=gradient.clone()))
        return own

    part.register_forward_pre_hook(before)
    part.register_forward_hook(after)

    def check() -> list[str]:
        assert part.weight.grad is not None
        seen["weight_gradient"] = part.weight.grad
        seen["weight"] = part.weight.detach()
        if part.bias is not None:
            assert part.bias.grad is not None
            seen["bias"], seen["bias_gradient"] = part.bias.detach(), part.bias.grad
        expected = _reference(part, seen)
        terms = _reference(part, {name: tensor.abs() for name, tensor in seen.items()})
        return [
            f"{what} of {name or 'layer'} is off by {error:.1e}"
            for what in expected
            if not (error := _error(seen[what], expected[what], terms[what])) <= tolerance
        ]

    return check


def _reference(part: nn.Conv2d, seen: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    dtype = seen["output"].dtype  # under autocast input and weight are rounded to it
    inputs = seen["input"].to(dtype).double().contiguous().requires_grad_()
    weight = seen["weight"].to(dtype).double().contiguous().requires_grad_()
    step: Any = part.step if isinstance(part, Pointwise) else part.stride
    with torch.backends.mkldnn.flags(enabled=False):  # type: ignore[attr-defined]
        output = F.conv2d(inputs, weight, None, step, part.padding, 1, part.groups)
        output.backward(seen["output_gradient"].double())
    assert inputs.grad is not None
    assert weight.grad is not None
    expected = {"output": output.detach(), "weight_gradient": weight.grad}
    if part.bias is not None:
        expected["output"] = expected["output"] + seen["bias"].to(dtype).double()[:, None, None]
        expected["bias_gradient"] = seen["output_gradient"].double().sum((0, 2, 3))
    return expected | ({"input_gradient": inputs.grad} if "input_gradient" in seen else {})


def _error(tensor: torch.Tensor, expected: torch.Tensor, terms: torch.Tensor) -> float:
    return float((tensor.double() - expected).abs().max() / terms.max().clamp(min=1e-30))


def told(case: Case) -> str:
    layer, shape, batch, layout, dtype = case
    return f"{layer} on {batch} x {shape}, {layout}, {str(dtype).removeprefix('torch.')}"


def run(cases: int, seed: int) -> int:
    """In this process: a line before each case, so that a death names its shape; how many fail."""
    chance = random.Random(seed)
    failed = 0
    for number, case in enumerate([*KNOWN, *(drawn(chance) for _ in range(cases))]):
        print(f"{number}: {told(case)}", flush=True)
        for fault in faults(case, number):
            failed += 1
            print(f"  FAULT {fault}", flush=True)
    return failed


def failures(isa: str, threads: int, cases: int, seed: int) -> list[str]:
    """The faults that a process of its own finds, its death among them."""
    environment = {name: value for name, value in os.environ.items() if "DNN" not in name}
    environment["OMP_NUM_THREADS"] = str(threads)
    if isa != "native":
        environment["ONEDNN_MAX_CPU_ISA"] = isa
    command = [
        sys.executable,
        "-m",
        "tests.kernels",
        "--here",
        f"--cases={cases}",
        f"--seed={seed}",
    ]
    done = subprocess.run(
        command, env=environment, cwd=Path(__file__).parents[1], capture_output=True, text=True
    )
    lines = done.stdout.splitlines()
    found = [f"{lines[at - 1]}\n{line}" for at, line in enumerate(lines) if "FAULT" in line]
    if done.returncode not in (0, 1) or len(lines) < cases:
        last = lines[-1] if lines else "its first case"
        found.append(f"exit code {done.returncode} in or after {last}\n{done.stderr[-500:]}")
    return [f"{isa}, {threads} threads: {each}" for each in found]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cases", type=int, default=300, help="of each process")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--here", action="store_true", help="in this process alone")
    args = parser.parse_args()
    if args.here:
        raise SystemExit(bool(run(args.cases, args.seed)))
    found = []
    for isa, threads in product(ISAS, THREADS):
        here = failures(isa, threads, args.cases, args.seed)
        print(f"{isa}, {threads} threads: {args.cases} layers, {len(here)} faults", flush=True)
        found += here
    if found:
        raise SystemExit("\n".join(found))


if __name__ == "__main__":
    main()
