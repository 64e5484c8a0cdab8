"""A network as a row of blocks: wide for many filters, tall for a large map, coloured by kernel."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from nasopt.reporting.figures.palette import BLUE, BROWN, GREEN, GREY, PINK, RED, VIOLET
from nasopt.space.architecture import Architecture
from nasopt.space.layers import Conv, Dense, Layer, Pool, Shape, in_pixels

WIDEST, TALLEST = 44, 70  # pixels
NARROWEST, LOWEST = 5, 7
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
        channels = layer.chosen("filters") if isinstance(layer, Conv) else channels
        resolution = list(layer.shrink(tuple(resolution)))
        height = max(LOWEST, TALLEST * resolution[0] / input_shape[1])
        block = _block(layer, number, tuple(resolution), height, most_filters)
        drawn.append(replace(block, skips=skips))
    return drawn


def _skips(layer: Conv, channels: int) -> bool:
    """Return True if the input of a layer, of so many channels, goes around it."""
    if layer.op == "inverted":
        return bool(layer.stride == 1 and layer.filters == channels)
    return layer.op in ("residual", "basic")


def _block(layer: Layer, number: int, resolution: Shape, height: float, most: int) -> Block:
    text = layer.wording
    words = f"Layer {number}: {text.long}"
    if isinstance(layer, Dense):
        return Block(NARROWEST + 3, TALLEST / 2, GREY, (text.type, text.filters), words)
    words += f", map of {in_pixels(resolution)}"
    if isinstance(layer, Pool):
        return Block(12, height, GREY, (text.type, text.size), words, hollow=True)
    assert isinstance(layer, Conv)
    lines = (text.filters, text.size, *([f"÷{text.stride}"] if text.stride != "1" else []))
    width = max(NARROWEST, WIDEST * layer.chosen("filters") / most)
    colour = kernel_colour(layer.chosen("kernel_size"))
    return Block(width, height, colour, lines, words)


def kernel_colour(size: int) -> str:
    return KERNELS.get(size, VIOLET)


def most_filters(architectures: Sequence[Architecture]) -> int:
    return max(
        int(layer.chosen("filters"))
        for architecture in architectures
        for layer in architecture.layers
        if isinstance(layer, Conv)
    )
