"""The `nn.Module` of an architecture, and its cost, measured on that module."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import torch
from torch import nn

from nasopt.errors import SpaceError
from nasopt.space.architecture import Architecture
from nasopt.space.layers import Layer, Shape
from nasopt.space.own_module import built, drawing_from, refuse_unsaved, run_own

Build = Callable[[Layer, Shape], nn.Module]


class Network(nn.Module):
    """A network of convolutions, global average pooling, dense layers and a classifier.

    It takes images (batch, channels, height, width) and returns logits (batch, classes).
    """

    def __init__(self, convolutions: Sequence[nn.Module], dense: Sequence[nn.Module]) -> None:
        super().__init__()
        self.convolutions = nn.Sequential(*convolutions)
        self.dense = nn.Sequential(*dense)  # the classifier is the last of them

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        features = self.convolutions(images)
        logits: torch.Tensor = self.dense(features.mean((2, 3)))
        return logits


@dataclass(frozen=True)
class LayerCost:
    """One row of a layer table.

    `out_shape` is that of one image: (channels, height, width) or (features,). `parameters` is a
    count; `macs` are multiply-accumulates of convolutions and dense layers for one image.
    """

    name: str
    out_shape: Shape
    parameters: int
    macs: int


@dataclass(frozen=True)
class Cost:
    """The cost of a network, which does not depend on its weights: see `cost`."""

    parameters: int
    macs: int


def build(architecture: Architecture, input_shape: Shape, classes: int) -> Network:
    """Return the network on torch's default device, with the weights that torch initialises."""
    return _assembled(architecture, input_shape, classes, built)


def empty(architecture: Architecture, input_shape: Shape, classes: int) -> Network:
    """Return the network on torch's meta device; blocks of the user's have yet to be put in."""
    with torch.device("meta"):
        return _assembled(architecture, input_shape, classes, lambda *_: nn.Identity())


def _assembled(architecture: Architecture, input_shape: Shape, classes: int, own: Build) -> Network:
    shape = input_shape
    convolutions, dense = [], []
    for layer in architecture.convolutions:
        convolutions.append(own(layer, shape) if layer.is_own else layer.build(shape))
        shape = layer_cost(layer, shape).out_shape
    shape = shape[:1]
    for layer in architecture.dense:
        dense.append(layer.build(shape))
        shape = layer_cost(layer, shape).out_shape
    return Network(convolutions, [*dense, nn.Linear(shape[0], classes)])


def has_own(architecture: Architecture) -> bool:
    """Return whether blocks of the user's are among the layers."""
    return any(layer.is_own for layer in architecture.layers)


def put_in_own(
    network: Network, architecture: Architecture, input_shape: Shape, seed: Callable[[int], int]
) -> None:
    """Put the blocks of the user's into a network that was `empty`.

    They are on the CPU, as they initialise themselves; `seed` (of a place) is that of torch then.
    """
    shape = input_shape
    for place, layer in enumerate(architecture.convolutions):
        if layer.is_own:
            with drawing_from(seed(place)), torch.device("cpu"):
                network.convolutions[place] = built(layer, shape)
        shape = layer_cost(layer, shape).out_shape


def refuse_unsaved_blocks(architecture: Architecture, input_shape: Shape) -> None:
    """Raise SpaceError for a block of the user's that is not determined by its state_dict."""
    shape = input_shape
    for layer in architecture.convolutions:
        if layer.is_own:
            refuse_unsaved(layer, shape)
        shape = layer_cost(layer, shape).out_shape


def layer_table(
    architecture: Architecture, input_shape: Shape, classes: int
) -> tuple[LayerCost, ...]:
    """Return one row for each layer, in order, the classifier last."""
    rows = []
    shape = input_shape
    for layer in architecture.convolutions:
        rows.append(layer_cost(layer, shape))
        shape = rows[-1].out_shape
    shape = shape[:1]
    for layer in architecture.dense:
        rows.append(layer_cost(layer, shape))
        shape = rows[-1].out_shape
    return (*rows, _classifier(shape[0], classes))


def cost(architecture: Architecture, input_shape: Shape, classes: int) -> Cost:
    """Count one image's forward pass on the real modules, without allocating a weight.

    `input_shape` is (channels, height, width). `parameters` counts weights, biases and the scale
    and shift of norms; `macs` are multiply-accumulates (FLOPs are twice that).

    Source: multiply-adds as in Radosavovic et al. 2020 (arXiv:2003.13678), there called "flops".
    """
    rows = layer_table(architecture, input_shape, classes)
    return Cost(sum(row.parameters for row in rows), sum(row.macs for row in rows))


# A search sees the same few hundred (layer, shape) pairs again and again: without the cache a
# network of 20 layers takes 30 times as long to count, and limits are tested on every draw.
@lru_cache(maxsize=100_000)
def layer_cost(layer: Layer, in_shape: Shape) -> LayerCost:
    """Count one layer on maps of `in_shape`; its block, if it is the user's, is built and run."""
    try:
        with torch.device("meta"):
            if layer.is_own:
                return LayerCost(layer.kind, *run_own(layer, in_shape))
            return _run(layer.kind, layer.build(in_shape), in_shape)
    except RuntimeError as error:
        if "overflow" not in str(error):
            raise
        raise SpaceError(
            f"{layer}: more weights than torch can count; use fewer filters"
        ) from error


@lru_cache(maxsize=10_000)
def _classifier(features: int, classes: int) -> LayerCost:
    with torch.device("meta"):
        return _run("classifier", nn.Linear(features, classes), (features,))


def _run(name: str, module: nn.Module, in_shape: Shape) -> LayerCost:
    macs = 0

    def count(module: nn.Module, _: Any, output: torch.Tensor) -> None:
        nonlocal macs
        if isinstance(module, nn.Conv2d | nn.Linear):  # each weight is used once a position
            macs += module.weight.numel() * output[0, 0].numel()

    for part in module.modules():
        part.register_forward_hook(count)
        if isinstance(
            part, nn.BatchNorm2d | nn.GroupNorm
        ):  # keeps the shape, but takes most of the time on meta
            part.forward = lambda images: images  # type: ignore[method-assign, assignment]
    with torch.no_grad():
        output = module(torch.empty(1, *in_shape, device="meta"))
    parameters = sum(parameter.numel() for parameter in module.parameters())
    return LayerCost(name, tuple(output.shape[1:]), parameters, macs)
