"""The figure of the best found so far against the cost."""

from collections.abc import Sequence

import plotly.graph_objects as go

from nasopt.analysis.curves import Curve
from nasopt.reporting.figures.palette import (
    accuracy_axis,
    around,
    counting_axis,
    faint,
    new_figure,
    styles,
)

NAMES = {
    "evaluation": "networks tried",
    "total_epochs": "epochs of training",
    "total_seconds": "seconds of training",
}
HEIGHT = 300  # pixels: three stand side by side


def curves_figure(curves: Sequence[Curve], axis: str, best: str = "best so far") -> go.Figure:
    """Draw a line a sampler, the median over its seeds, with a band between the quartiles.

    `best` names the value of the best that is shown.
    """
    here = [curve for curve in curves if curve.axis == axis]
    marks = styles(curve.sampler for curve in here)
    values = [value for curve in here for value in curve.median]
    last = max((curve.positions[-1] for curve in here if curve.positions), default=0)
    counts = {} if axis == "total_seconds" else counting_axis(last)
    figure = new_figure(
        height=HEIGHT,
        xaxis={"title": {"text": NAMES[axis]}, "rangemode": "tozero"} | counts,
        yaxis=accuracy_axis(values, _range(here)),
        showlegend=False,  # three of them share one, beside them
    )
    figure.update_yaxes(title_text=best)
    for curve in here:
        colour, dash = marks[curve.sampler].colour, marks[curve.sampler].dash
        if curve.lower != curve.upper:
            for end, fill in ((curve.lower, "none"), (curve.upper, "tonexty")):
                figure.add_scatter(
                    x=curve.positions, y=end, mode="lines", hoverinfo="skip",
                    line={"width": 0, "shape": "hv", "color": colour},
                    fill=fill, fillcolor=faint(colour, 0.18),
                )  # fmt: skip
        figure.add_scatter(
            name=curve.sampler, x=curve.positions, y=curve.median, mode="lines",
            line={"color": colour, "dash": dash, "width": 2.5, "shape": "hv"},
            hovertemplate="%{y} after %{x:,.0f}<extra>" + curve.sampler + "</extra>",
        )  # fmt: skip
    return figure


def _range(curves: Sequence[Curve]) -> tuple[float, float] | None:
    """Return a range that begins after a tenth of the way: the part before is steep and short."""
    known = [curve for curve in curves if curve.median]
    if not known:
        return None
    low = min(curve.median[len(curve.median) // 10] for curve in known)
    high = max(curve.upper[-1] for curve in known)
    margin = 0.05 * (high - low)
    return (low - margin, high + margin) if margin else around(high)
