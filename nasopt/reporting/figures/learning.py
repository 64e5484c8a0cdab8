"""The figure of learning curves."""

from collections.abc import Sequence

import plotly.graph_objects as go

from nasopt.analysis.front import usual_range
from nasopt.analysis.learning import LearningCurve
from nasopt.reporting.figures.palette import (
    BLUE,
    GREY,
    RED,
    accuracy_axis,
    counting_axis,
    faint,
    new_figure,
)

DIGITS = 4  # of an accuracy: more would double the size of a page


def learning_figure(
    curves: Sequence[LearningCurve], best: tuple[str, int] | None, metric: str = "accuracy"
) -> go.Figure:
    """Draw a line a network: grey if it was pruned, and that of trial `best` highlighted."""
    groups = {
        "trained to the end": [curve for curve in curves if not curve.pruned],
        "stopped early": [curve for curve in curves if curve.pruned],
        "the best": [curve for curve in curves if (curve.study, curve.number) == best],
    }
    looks = {
        "trained to the end": {"color": faint(BLUE, 0.3), "width": 1},
        "stopped early": {"color": faint(GREY, 0.7), "width": 1},
        "the best": {"color": RED, "width": 3},
    }
    values = [value for curve in curves for value in curve.accuracies]
    last = max((curve.steps[-1] for curve in curves), default=0)
    figure = new_figure(
        xaxis={"title": {"text": "epoch"}} | counting_axis(last),
        yaxis=accuracy_axis(values, usual_range(values), metric),
    )
    for name, members in groups.items():
        if members:
            dots = all(len(curve.steps) == 1 for curve in members)
            figure.add_scatter(
                name=name, mode="markers" if dots else "lines", line=looks[name],
                marker={"color": looks[name]["color"]}, **_joined(members),
            )  # fmt: skip
    return figure


def _joined(curves: Sequence[LearningCurve]) -> dict[str, object]:
    """Join all in one line with gaps: hundreds of traces would take seconds to draw."""
    x: list[int | None] = []
    y: list[float | None] = []
    for curve in curves:
        x += [*curve.steps, None]
        y += [*(round(value, DIGITS) for value in curve.accuracies), None]
    return {"x": x, "y": y, "hovertemplate": "%{y} after epoch %{x}"}
