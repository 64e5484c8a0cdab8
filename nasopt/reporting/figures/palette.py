"""Colours, marks and the template that all figures share."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import plotly.graph_objects as go

from nasopt.training.metrics import in_words

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
MOST_TICKS = 6  # of a logarithmic axis: two of them stand side by side
FEW = 12  # whole numbers, each of which is named on its axis

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
    """The style of a sampler's line; `strokes` is its dash in SVG."""

    colour: str
    dash: str
    mark: str

    @property
    def strokes(self) -> str:
        return STROKES[self.dash]


def styles(samplers: Iterable[str]) -> dict[str, Style]:
    """Return the style of each sampler, by the order in which they are named."""
    names = list(dict.fromkeys(samplers))
    others = [name for name in names if name != BASELINE]
    found = {
        name: Style(COLOURS[n % len(COLOURS)], DASHES[n % len(DASHES)], MARKS[n % len(MARKS)])
        for n, name in enumerate(others)
    }
    baseline = Style(GREY, "dot", "circle-open")
    return {name: found.get(name, baseline) for name in names}


def faint(colour: str, opacity: float) -> str:
    """Return `colour` (#rrggbb) as rgba."""
    red, green, blue = (int(colour[place : place + 2], 16) for place in (1, 3, 5))
    return f"rgba({red}, {green}, {blue}, {opacity:g})"


def accuracy_axis(
    values: Sequence[float],
    shown: tuple[float, float] | None = None,
    metric: str = "accuracy",
) -> dict[str, object]:
    """Return an axis of accuracies in their unit.

    It has the range `shown`; without one Plotly's own, unless all values are equal: then it would
    go from -1 to 1 around them.
    """
    digits = 4 if max(values, default=0.0) < 10 else 2  # as in `nasopt.text.accuracy`
    axis: dict[str, object] = {
        "title": {"text": f"validation {in_words(metric)}"},
        "hoverformat": f".{digits}f",
    }
    if shown is None and len(set(values)) == 1:
        shown = around(values[0])
    if shown is None:
        return axis
    axis["range"] = shown
    if shown[0] < shown[1]:  # else Plotly writes 0.53 beside 0.525
        decimals = max(0, -math.floor(math.log10((shown[1] - shown[0]) / 10)))
        axis["tickformat"] = f".{decimals}f"
    return axis


def around(value: float) -> tuple[float, float]:
    """Return a range of five points to both sides of an accuracy, hardly beyond 0 and 1, or 100."""
    point = 0.01 if value <= 1 else max(1.0, value / 100)
    low, high = value - 5 * point, value + 5 * point
    if 0 <= value <= 100 * point:
        low, high = max(low, -0.5 * point), min(high, 100.5 * point)
    return low, high


def log_axis(values: Sequence[float]) -> dict[str, object]:
    """Return a logarithmic axis of counts with a few round numbers on it, written out.

    Plotly's own are "2" and "5" between 10k and 100k. Counts of 0 have no logarithm: their axis is
    linear.
    """
    low, high = min(values, default=1), max(values, default=1)
    if low <= 0:
        return {"rangemode": "tozero"}
    ends = math.log10(low), math.log10(high)
    margin = 0.05 * (ends[1] - ends[0]) or 0.1
    ticks = _ticks(10 ** (ends[0] - margin), 10 ** (ends[1] + margin)) if low < high else [low]
    return {
        "type": "log",
        "range": (ends[0] - margin, ends[1] + margin),
        "tickvals": ticks,
        "ticktext": [_short(tick) for tick in ticks],
    }


def _ticks(low: float, high: float) -> list[float]:
    """Return round numbers from `low` to `high` that have room: even steps, or some of a decade."""
    if high < 10 * low:
        finest = 10.0 ** (math.floor(math.log10(high - low)) - 1)
        steps = [finest * lead for lead in (1, 2, 5, 10, 20, 50)]
        kinds = [[n * step for n in range(1, 1 + math.floor(high / step))] for step in steps]
    else:
        decades = range(math.floor(math.log10(low)), math.ceil(math.log10(high)))
        leads = ((1, 2, 5), (1, 3), (1,))
        kinds = [[lead * 10.0**decade for decade in decades for lead in each] for each in leads]
        kinds.append([10.0**decade for decade in decades[:: 1 + len(decades) // MOST_TICKS]])
    within = [[tick for tick in kind if low <= tick <= high] for kind in kinds]
    return max((ticks for ticks in within if len(ticks) <= MOST_TICKS), key=len)


def _short(count: float) -> str:
    """Return a count in short: "9,500", "12.5k", "3M"."""
    for size, unit in ((1e9, "G"), (1e6, "M"), (1e4, "k")):
        if count >= size:
            return f"{count / {'k': 1e3}.get(unit, size):.6g}{unit}"
    return f"{count:,.6g}"


def counting_axis(last: float) -> dict[str, object]:
    """Return an axis of 1, 2, ... `last`: of few each is named, and none between them."""
    return {"dtick": 1 if last <= FEW else None}
