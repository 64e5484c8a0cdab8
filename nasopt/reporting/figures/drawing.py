"""A network as a row of blocks: wide for many filters, tall for a large map, coloured by kernel."""

from collections.abc import Sequence
from dataclasses import dataclass

from nasopt.reporting.figures.palette import BLUE, BROWN, GREEN, GREY, PINK, RED, VIOLET
from nasopt.space.architecture import Architecture
from nasopt.space.layers import Conv, Dense, Layer, Pool, Shape

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
    resolution = input_shape[1:]
    drawn = []
    for number, layer in enumerate(architecture.layers, 1):
        resolution = layer.shrink(resolution)
        height = max(LOWEST, TALLEST * resolution[0] / input_shape[1])
        drawn.append(_block(layer, number, resolution, height, most_filters))
    return drawn


def _block(layer: Layer, number: int, resolution: Shape, height: float, most: int) -> Block:
    if isinstance(layer, Dense):
        width = layer.chosen("width")
        words = f"Layer {number}: fully connected, {width} wide"
        return Block(NARROWEST + 3, TALLEST / 2, GREY, ("dense", str(width)), words)
    size = layer.chosen("kernel_size")
    side = f"map of {resolution[0]}×{resolution[1]}"
    if isinstance(layer, Pool):
        words = f"Layer {number}: {layer.chosen('op')} pooling, {size}×{size}, {side}"
        return Block(12, height, GREY, (layer.chosen("op"), f"{size}×{size}"), words, hollow=True)
    assert isinstance(layer, Conv)
    filters, stride, op = (layer.chosen(name) for name in ("filters", "stride", "op"))
    lines = (str(filters), f"{size}×{size}", *([f"÷{stride}"] if stride > 1 else []))
    kind = "" if op == "conv" else f"{op}, "
    words = f"Layer {number}: {kind}{filters} filters of {size}×{size}, stride {stride}, {side}"
    width = max(NARROWEST, WIDEST * filters / most)
    return Block(width, height, kernel_colour(size), lines, words, skips=op == "residual")


def kernel_colour(size: int) -> str:
    return KERNELS.get(size, VIOLET)


def most_filters(architectures: Sequence[Architecture]) -> int:
    return max(
        int(layer.chosen("filters"))
        for architecture in architectures
        for layer in architecture.layers
        if isinstance(layer, Conv)
    )
