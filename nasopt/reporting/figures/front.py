"""The figure of accuracy against the cost of a network."""

from collections.abc import Sequence

import plotly.graph_objects as go

from nasopt.analysis.front import Point, TradeOff
from nasopt.reporting.figures.palette import BLUE, FADED, accuracy_axis, log_axis, new_figure
from nasopt.space.limits import LATENCY
from nasopt.training.metrics import in_words

NAMES = {
    "macs": "MACs (multiplications for one image)",
    "parameters": "parameters (weights)",
    "latency": "latency (milliseconds)",
}


def front_figure(trade_off: TradeOff) -> go.Figure:
    """Draw every network as a dot, and join those that no other beats: the Pareto front."""
    if trade_off.cost == LATENCY:
        trade_off = trade_off.times(1e3)
    others = sorted(set(trade_off.points) - set(trade_off.front), key=lambda point: point.number)
    costs = [point.cost for point in trade_off.points]
    accuracies = [point.accuracy for point in trade_off.points]
    return new_figure(
        go.Scatter(
            name="networks", mode="markers", marker={"color": FADED, "size": 7},
            **_places(others, trade_off.metric),
        ),
        go.Scatter(
            name="the best for their cost", mode="lines+markers",
            line={"color": BLUE, "shape": "hv", "width": 2},
            marker={"color": BLUE, "size": 10, "symbol": "diamond"},
            **_places(trade_off.front, trade_off.metric),
        ),
        xaxis={"title": {"text": NAMES[trade_off.cost]}} | log_axis(costs),
        yaxis=accuracy_axis(accuracies, trade_off.shown, trade_off.metric),
    )  # fmt: skip


def _places(points: Sequence[Point], metric: str) -> dict[str, object]:
    return {
        "x": [point.cost for point in points],
        "y": [point.accuracy for point in points],
        "customdata": [f"{point.study}, trial {point.number}" for point in points],
        "hovertemplate": "%{customdata}<br>"
        + in_words(metric)
        + " %{y}<br>cost %{x:,}<extra></extra>",
    }
