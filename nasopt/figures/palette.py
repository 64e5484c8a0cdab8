"""Colours, marks and the template that all figures share."""

from collections.abc import Iterable, Sequence

import plotly.graph_objects as go

# From Okabe and Ito's palette those that stand out from white and from black, and some to go with
# them: told apart with any of the common kinds of colour blindness, and by mark and dash without.
GREY = "#808080"
BLUE = "#0072b2"
RED = "#d55e00"
GREEN = "#009e73"
PINK = "#c8739f"
BROWN = "#a6761d"
VIOLET = "#7570b3"
COLOURS = (BLUE, RED, GREEN, PINK, BROWN, VIOLET)
DASHES = ("solid", "dash", "dot", "dashdot", "longdash", "longdashdot")
MARKS = ("circle", "square", "diamond", "triangle-up", "cross", "star")
HEIGHT = 380  # pixels
BASELINE = "random"  # in grey: the others are seen against it
FADED = "rgba(128, 128, 128, 0.35)"
GRID = "rgba(128, 128, 128, 0.25)"

_axis = go.layout.XAxis(
    gridcolor=GRID, zeroline=False, linecolor=GREY, ticks="", automargin=True, title_standoff=8
)
TEMPLATE = go.layout.Template(
    layout=go.Layout(
        font={"family": "system-ui, sans-serif", "size": 13},
        paper_bgcolor="rgba(0, 0, 0, 0)",
        plot_bgcolor="rgba(0, 0, 0, 0)",
        colorway=COLOURS,
        margin={"l": 8, "r": 8, "t": 8, "b": 8},
        xaxis=_axis,
        yaxis=_axis.to_plotly_json(),
        legend={"orientation": "h", "x": 0, "y": 1.02, "yanchor": "bottom"},
        hoverlabel={"align": "left"},
        height=HEIGHT,
    )
)


def new_figure(*traces: object, **layout: object) -> go.Figure:
    return go.Figure(list(traces), {"template": TEMPLATE, **layout})


def styles(samplers: Iterable[str]) -> dict[str, dict[str, str]]:
    """Sampler -> its colour, dash and mark, in the order in which they are named."""
    others = [name for name in samplers if name != BASELINE]
    found = {BASELINE: {"colour": GREY, "dash": "solid", "mark": "circle-open"}}
    for place, name in enumerate(others):
        found[name] = {
            "colour": COLOURS[place % len(COLOURS)],
            "dash": DASHES[place % len(DASHES)],
            "mark": MARKS[place % len(MARKS)],
        }
    return found


def faint(colour: str, opacity: float) -> str:
    """`colour` (#rrggbb) as rgba."""
    red, green, blue = (int(colour[place : place + 2], 16) for place in (1, 3, 5))
    return f"rgba({red}, {green}, {blue}, {opacity:g})"


def accuracy_axis(values: Sequence[float]) -> dict[str, object]:
    """An axis of accuracies: fractions are shown in percent, as tables in percent are."""
    if max(values, default=0.0) <= 1:
        return {"title": {"text": "validation accuracy"}, "tickformat": ".0%", "hoverformat": ".2%"}
    return {"title": {"text": "validation accuracy"}, "ticksuffix": " %", "hoverformat": ".2f"}
