"""The figure of accuracy against the cost of a network."""

import plotly.graph_objects as go

from nasopt.analysis.front import Point, TradeOff
from nasopt.reporting.figures.palette import BLUE, FADED, accuracy_axis, log_axis, new_figure

NAMES = {"macs": "MACs (multiplications for one image)", "parameters": "parameters (weights)"}


def front_figure(trade_off: TradeOff) -> go.Figure:
    """Draw every network as a dot, and join those that no other beats: the Pareto front."""
    others = sorted(set(trade_off.points) - set(trade_off.front), key=lambda point: point.number)
    costs = [point.cost for point in trade_off.points]
    accuracies = [point.accuracy for point in trade_off.points]
    return new_figure(
        go.Scatter(
            name="networks", mode="markers", marker={"color": FADED, "size": 7}, **_places(others)
        ),
        go.Scatter(
            name="the best for their cost", mode="lines+markers",
            line={"color": BLUE, "shape": "hv", "width": 2},
            marker={"color": BLUE, "size": 10, "symbol": "diamond"}, **_places(trade_off.front),
        ),
        xaxis={"title": {"text": NAMES[trade_off.cost]}} | log_axis(costs),
        yaxis=accuracy_axis(accuracies, trade_off.shown),
    )  # fmt: skip


def _places(points: list[Point] | tuple[Point, ...]) -> dict[str, object]:
    return {
        "x": [point.cost for point in points],
        "y": [point.accuracy for point in points],
        "customdata": [f"{point.study}, trial {point.number}" for point in points],
        "hovertemplate": "%{customdata}<br>accuracy %{y}<br>cost %{x:,}<extra></extra>",
    }
