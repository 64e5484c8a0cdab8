"""The figure of a network as a row of blocks."""

from collections.abc import Sequence
from html import escape
from itertools import accumulate

import plotly.graph_objects as go

from nasopt.reporting.figures.drawing import TALLEST, Block
from nasopt.reporting.figures.palette import GREY, new_figure

LEAST, LETTER = 34, 6.75  # pixels for the words below a block, and for a letter of them
GAP = 8
HEIGHT = 190
PAGE = 640  # pixels across: few blocks are not stretched over it
SKIP = 10  # pixels that the arc of a residual layer rises above its block


def network_figure(blocks: Sequence[Block]) -> go.Figure:
    """Draw `blocks` from left to right, each with its words below and all of them on hover."""
    rooms = [max(LEAST, block.width, LETTER * block.letters) + GAP for block in blocks]
    centres = [end - room / 2 for end, room in zip(accumulate(rooms), rooms, strict=True)]
    figure = new_figure(
        go.Bar(
            x=centres, y=[block.height for block in blocks],
            base=[-block.height / 2 for block in blocks],
            width=[block.width for block in blocks],
            marker={
                "color": ["rgba(0, 0, 0, 0)" if b.hollow else b.colour for b in blocks],
                "line": {"color": [block.colour for block in blocks], "width": 1.5},
            },
            customdata=[escape(block.words) for block in blocks],
            hovertemplate="%{customdata}<extra></extra>",
        ),
        go.Scatter(
            x=centres, y=[-TALLEST / 2 - 8] * len(blocks), mode="text", hoverinfo="skip",
            text=["<br>".join(block.lines) for block in blocks], textposition="bottom center",
        ),
        height=HEIGHT, showlegend=False,
        xaxis={"visible": False, "range": [0, max(sum(rooms), PAGE)]},
        yaxis={"visible": False, "range": [-TALLEST - 25, TALLEST / 2 + 2 * SKIP]},
    )  # fmt: skip
    for centre, block in zip(centres, blocks, strict=True):
        if block.skips:
            figure.add_shape(type="path", path=_arc(centre, block), line={"color": GREY})
    return figure


def _arc(centre: float, block: Block) -> str:
    """Return the way of the input around a residual layer, in the words of SVG."""
    left, right = centre - block.width / 2 - GAP / 2, centre + block.width / 2 + GAP / 2
    top = block.height / 2 + 2 * SKIP
    return f"M {left},0 C {left},{top} {right},{top} {right},0"
