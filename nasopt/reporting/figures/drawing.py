"""A network as a row of blocks: wide for many filters, tall for a large map, coloured by kernel."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from nasopt.reporting.figures.palette import BLUE, BROWN, GREEN, GREY, PINK, RED, VIOLET
from nasopt.space.architecture import Architecture
from nasopt.space.layers import Conv, Dense, Layer, Pool, Shape, in_pixels

WIDEST, TALLEST = 44, 70  # pixels
NARROWEST, LOWEST = 5, 7
LONGEST = 8  # letters of a name below a block
KERNELS = {1: BROWN, 3: BLUE, 5: RED, 7: GREEN, 9: PINK}


@dataclass(frozen=True)
class Block:
    """One layer: its size in pixels, and its description in a line or two and in words.

    `skips` is set if its input goes around it (a residual layer), `hollow` if it has no weights.
    """

    width: float
    height: float
    colour: str
    lines: tuple[str, ...]
    words: str
    skips: bool = False
    hollow: bool = False


def blocks(architecture: Architecture, input_shape: Shape, most_filters: int) -> list[Block]:
    """Return the layers of `architecture`, in order; `most_filters` is the widest number drawn."""
    channels, *resolution = input_shape
    drawn = []
    for number, layer in enumerate(architecture.layers, 1):
        skips = isinstance(layer, Conv) and _skips(layer, channels)
        channels = _filters(layer) or channels
        resolution = list(layer.shrink(tuple(resolution)))
        height = max(LOWEST, TALLEST * resolution[0] / input_shape[1])
        wide = max(NARROWEST, WIDEST * min(1, channels / most_filters))
        block = _block(layer, number, tuple(resolution), (wide, height))
        drawn.append(replace(block, skips=skips))
    return drawn


def _skips(layer: Conv, channels: int) -> bool:
    """Return True if the input of a layer, of so many channels, goes around it."""
    if layer.op == "inverted":
        return bool(layer.stride == 1 and layer.filters == channels)
    return layer.op in ("residual", "basic")


def _filters(layer: Layer) -> int:
    """Return the number of filters of a layer that has such a field, else 0."""
    filters = getattr(layer, "filters", 0)
    return filters if type(filters) is int else 0


def _block(layer: Layer, number: int, resolution: Shape, size: tuple[float, float]) -> Block:
    """Return the block of a layer that leaves a map of `resolution`; `size` is in pixels."""
    width, height = size
    text = layer.wording
    words = f"Layer {number}: {text.long}"
    if isinstance(layer, Dense):
        return Block(NARROWEST + 3, TALLEST / 2, GREY, (text.type, text.filters), words)
    words += f", map of {in_pixels(resolution)}"
    if isinstance(layer, Pool):
        return Block(12, height, GREY, (text.type, text.size), words, hollow=True)
    name = layer.kind if len(layer.kind) <= LONGEST else f"{layer.kind[: LONGEST - 1]}…"
    first = (name, text.filters) if layer.is_own else (text.filters, text.size)
    by = f"÷{text.stride}" if text.stride not in ("", "1") else ""
    colour = kernel_colour(getattr(layer, "kernel_size", None))
    return Block(width, height, colour, tuple(filter(None, (*first, by))), words)


def kernel_colour(size: Any) -> str:
    return KERNELS.get(size, VIOLET)


def most_filters(architectures: Sequence[Architecture]) -> int:
    layers = (layer for architecture in architectures for layer in architecture.layers)
    return max(1, *map(_filters, layers))
