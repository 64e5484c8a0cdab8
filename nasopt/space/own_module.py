"""The modules of the user's own blocks: built, traced and counted, and their mistakes told."""

import threading
import traceback
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import torch
from torch import nn
from torch.nn.parameter import is_lazy
from torch.utils.flop_counter import FlopCounterMode

from nasopt.errors import Error, SpaceError
from nasopt.space import own
from nasopt.space.blocks import protect
from nasopt.space.layers import Layer, Shape

_running = threading.RLock()  # code of the user's may draw from generators of the whole process
SAVED = "keep what it draws in a parameter or a buffer"
TRACED = 2  # images: a batch norm in training has no variance of a single pixel


@contextmanager
def drawing_from(seed: int, devices: Sequence[torch.device] = ()) -> Iterator[None]:
    """Let torch's generators begin at `seed`, those of the CPU and of `devices`.

    They are restored afterwards. All threads share them, so one thread at a time is in here.
    """
    with _running, torch.random.fork_rng(devices=devices):
        torch.manual_seed(seed)
        yield


def built(layer: Layer, in_shape: Shape) -> nn.Module:
    """Return the module of a block for maps of `in_shape`, on torch's current default device.

    Raises SpaceError for what `build` raises, or if it returns no module.
    """
    with _running:
        try:
            return _built(layer, in_shape)
        except SpaceError:
            if torch.get_default_device().type != "meta":
                raise
            # it computes with numbers, say, which there are none of on meta
            with torch.random.fork_rng(devices=[]), torch.device("cpu"):
                return _built(layer, in_shape).to("meta")


def _built(layer: Layer, in_shape: Shape) -> nn.Module:
    with told(f"{_called(layer)}.build({in_shape})"):
        module = layer.build(in_shape)
    if not isinstance(module, nn.Module):
        kind = type(module).__name__
        raise SpaceError(f"{_called(layer)}.build returns a {kind}; return a torch.nn.Module")
    if any(map(is_lazy, module.parameters())):
        raise SpaceError(
            f"{_called(layer)}.build returns a lazy module; in_shape[0] is its number of channels"
        )
    protect(module)
    return module


def run_own(layer: Layer, in_shape: Shape) -> tuple[Shape, int, int]:
    """Return (shape of the output, parameters, MACs) of a block, for one image.

    Counted are convolutions and products of matrices, whatever module or function asks for them.

    Raises SpaceError for what the module raises, and for an output that is no map of that size.
    """
    module = built(layer, in_shape)
    for part in module.modules():
        if type(part) is nn.BatchNorm2d:  # takes half of the time on meta, and keeps the shape
            part.forward = partial(_unchanged, part.num_features)  # type: ignore[method-assign]
    images = torch.empty(TRACED, *in_shape, device="meta")
    images = images.to(memory_format=torch.channels_last)  # as in a training
    counter = FlopCounterMode(display=False)
    of = told(f"{_called(layer)} on maps of {in_shape}")
    with _running, of, torch.no_grad(), counter:
        output = module(images)
    shape = tuple(getattr(output, "shape", ()))
    expected = TRACED, layer.shrink(in_shape[1:])
    if len(shape) != 4 or (shape[0], shape[2:]) != expected:
        height, width = expected[1]
        raise SpaceError(
            f"{_called(layer)} makes {shape or type(output).__name__} of {TRACED} maps of "
            f"{in_shape}; return ({TRACED}, channels, {height}, {width}): only a field named "
            "stride divides the size of a map"
        )
    parameters = sum(each.numel() for each in module.parameters())
    return shape[1:], parameters, counter.get_total_flops() // (2 * TRACED)


def refuse_unsaved(layer: Layer, in_shape: Shape) -> None:
    """Raise SpaceError unless a block is determined by its state_dict, which is all that is saved.

    One that draws its wiring in `build`, say, would be another block when it is loaded.
    """
    blocks = []
    for seed in (0, 1):
        with drawing_from(seed), torch.device("cpu"):
            blocks.append(built(layer, in_shape).eval())
    try:
        blocks[1].load_state_dict(blocks[0].state_dict())
    except RuntimeError as error:  # its shapes are drawn
        raise SpaceError(
            f"{_called(layer)}: two of them differ in their weights; {SAVED}"
        ) from error
    random = torch.Generator().manual_seed(0)
    for parameters in zip(*(block.parameters() for block in blocks), strict=True):
        drawn = 0.5 + torch.rand(parameters[0].shape, generator=random)  # one may begin with 0
        for parameter in parameters:
            parameter.data.copy_(drawn)
    images = torch.rand(TRACED, *in_shape, generator=random)
    with told(f"{_called(layer)} on maps of {in_shape}"), torch.no_grad():
        one, other = (block(images) for block in blocks)
    if not torch.allclose(one, other, equal_nan=True):
        raise SpaceError(
            f"{_called(layer)}: two of the same state_dict answer differently, so it cannot be "
            f"saved; {SAVED}"
        )


def _unchanged(channels: int, maps: torch.Tensor) -> torch.Tensor:
    if maps.ndim != 4 or maps.shape[1] != channels:
        raise ValueError(f"a BatchNorm2d({channels}) on {tuple(maps.shape)}")
    return maps


@contextmanager
def told(what: str) -> Iterator[None]:
    """Raise SpaceError, with the line of the user's file, for an exception within a block."""
    try:
        yield
    except Error:
        raise
    except (Exception, SystemExit) as error:  # a block that calls exit() ends no search
        text = f"{type(error).__name__}: {error}".splitlines()[0]
        raise SpaceError(
            f"{what}: {text}{_line(error)}; fix it, or leave that choice out of the space"
        ) from error


def _called(layer: Layer) -> str:
    listed = ", ".join(f"{name}={value!r}" for name, value in own.values(layer).items())
    return f"{layer.kind}({listed})"


def _line(error: BaseException) -> str:
    """Return the last line outside of torch and nasopt that was running, as ", mine.py:12"."""
    ours = (Path(torch.__file__).parent, Path(__file__).parents[1])
    for frame in reversed(traceback.extract_tb(error.__traceback__)):
        if not any(Path(frame.filename).is_relative_to(each) for each in ours):
            return f", {Path(frame.filename).name}:{frame.lineno}"
    return ""
