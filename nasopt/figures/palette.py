"""Colours, marks and the template that all figures share."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

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
DASHES = ("solid", "dash", "dashdot", "longdash", "longdashdot")  # one less than there are colours
STROKES = {
    "solid": "none", "dash": "6 4", "dot": "2 3", "dashdot": "6 3 2 3", "longdash": "10 4",
    "longdashdot": "10 3 2 3",
}  # fmt: skip
MARKS = ("circle", "square", "diamond", "triangle-up", "cross", "star")
HEIGHT = 380  # pixels
BASELINE = "random"  # in grey, and dotted: the others are seen against it
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


@dataclass(frozen=True)
class Style:
    """How a sampler is drawn; `strokes` is its dash in SVG."""

    colour: str
    dash: str
    mark: str

    @property
    def strokes(self) -> str:
        return STROKES[self.dash]


def styles(samplers: Iterable[str]) -> dict[str, Style]:
    """Sampler -> how it is drawn, by the order in which they are named."""
    names = list(dict.fromkeys(samplers))
    others = [name for name in names if name != BASELINE]
    found = {
        name: Style(COLOURS[n % len(COLOURS)], DASHES[n % len(DASHES)], MARKS[n % len(MARKS)])
        for n, name in enumerate(others)
    }
    baseline = Style(GREY, "dot", "circle-open")
    return {name: found.get(name, baseline) for name in names}


def faint(colour: str, opacity: float) -> str:
    """`colour` (#rrggbb) as rgba."""
    red, green, blue = (int(colour[place : place + 2], 16) for place in (1, 3, 5))
    return f"rgba({red}, {green}, {blue}, {opacity:g})"


def accuracy_axis(values: Sequence[float]) -> dict[str, object]:
    """An axis of accuracies: fractions are shown in percent, as tables in percent are."""
    if max(values, default=0.0) <= 1:
        return {
            "title": {"text": "validation accuracy"},
            "tickformat": ".1~%",
            "hoverformat": ".2%",
        }
    return {"title": {"text": "validation accuracy"}, "ticksuffix": "%", "hoverformat": ".2f"}
