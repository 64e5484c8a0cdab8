"""The title and the caption of a figure that stands alone."""

import html
import textwrap

import plotly.graph_objects as go

from nasopt.reporting.figures.palette import BLUE, HEIGHT

TITLE_SIZE, CAPTION_SIZE = 15, 13  # pixels
LINE = 18  # pixels
GREY = "#757575"  # it can be read on white and, in the dark, on #1e1e1e


def titled(figure: go.Figure, title: str, caption: str, columns: int = 100) -> go.Figure:
    """Add a title, and below it the caption in lines of at most `columns`; both stand above all."""
    above = 56 if figure.layout.showlegend is False else 96  # else a legend, or a scale of colours
    lines = textwrap.wrap(caption, columns)
    text = "".join(
        f'<br><span style="font-size: {CAPTION_SIZE}px">{html.escape(line, quote=False)}</span>'
        for line in lines
    )
    room = above + LINE * len(lines)
    return figure.update_layout(
        title={
            "text": f"<b>{title}</b>{text}",
            "font": {"size": TITLE_SIZE},
            "x": 0.01, "y": 1, "yanchor": "top", "pad": {"t": 22},
        },
        font={"color": GREY},
        # Plotly's own are a black box on white, or cannot be seen there
        modebar={"bgcolor": "rgba(0, 0, 0, 0)", "color": GREY, "activecolor": BLUE},
        margin={"t": room, "r": 16, "b": 16},
        height=(figure.layout.height or HEIGHT) + room,
    )  # fmt: skip
