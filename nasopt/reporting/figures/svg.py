"""A network as an SVG file, drawn as the report draws it."""

from collections.abc import Iterator
from html import escape

from nasopt.reporting.figures.drawing import TALLEST, Block, blocks, most_filters
from nasopt.reporting.figures.palette import GREY
from nasopt.space.architecture import Architecture
from nasopt.space.layers import Shape

GAP, LINE = 6, 12  # pixels between blocks; of a line of text
NARROWEST_CELL, LETTER = 30, 6
ABOVE = 16  # room for what skips a layer


def network_svg(architecture: Architecture, input_shape: Shape) -> str:
    """Return the layers as blocks in a row, with a line or two of text under each."""
    drawn = blocks(architecture, input_shape, most_filters([architecture]))
    widths = [max(block.width + GAP, NARROWEST_CELL, LETTER * block.letters) for block in drawn]
    height = ABOVE + TALLEST + 4 * LINE
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{sum(widths):.0f}" height="{height}" '
        f'role="img" font-family="system-ui, sans-serif" font-size="10" fill="{GREY}" '
        'text-anchor="middle">'
    ]
    left = 0.0
    for block, width in zip(drawn, widths, strict=True):
        parts += _drawn(block, left + width / 2)
        left += width
    return "\n".join([*parts, "</svg>", ""])


def _drawn(block: Block, middle: float) -> Iterator[str]:
    x, y = middle - block.width / 2, ABOVE + (TALLEST - block.height) / 2
    paint = f'fill="none" stroke="{block.colour}"' if block.hollow else f'fill="{block.colour}"'
    yield (
        f'<rect x="{x:.1f}" y="{y:.1f}" width="{block.width:.1f}" height="{block.height:.1f}" '
        f'rx="2" {paint}><title>{escape(block.words)}</title></rect>'
    )
    if block.skips:
        over, right = y - 13, x + block.width
        yield (
            f'<path d="M{x:.1f} {y:.1f} C{x:.1f} {over:.1f} {right:.1f} {over:.1f} {right:.1f} '
            f'{y:.1f}" fill="none" stroke="{GREY}"/>'
        )
    for place, line in enumerate(block.lines, 1):
        yield f'<text x="{middle:.1f}" y="{ABOVE + TALLEST + place * LINE}">{escape(line)}</text>'
