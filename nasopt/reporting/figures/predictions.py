"""The figure of expected against seen accuracies."""

from collections.abc import Sequence

import plotly.graph_objects as go

from nasopt.analysis.front import usual_range
from nasopt.analysis.predictions import Expectation
from nasopt.reporting.figures.palette import BLUE, FADED, GREY, accuracy_axis, around, new_figure


def predictions_figure(trials: Sequence[Expectation]) -> go.Figure:
    """Draw a dot a trial with its interval upright; expected equals seen on the dashed line."""
    seen = [each.seen for each in trials]
    shown = usual_range(seen)
    ends = list(shown or around(seen[0]))
    return new_figure(
        go.Scatter(
            name="seen as expected", mode="lines", x=ends, y=ends,
            line={"color": GREY, "dash": "dash", "width": 1}, hoverinfo="skip",
        ),
        go.Scatter(
            name="networks, with the interval of 95%", mode="markers", x=seen,
            y=[each.expected for each in trials],
            error_y={
                "type": "data", "symmetric": False, "color": FADED, "thickness": 1, "width": 0,
                "array": [each.high - each.expected for each in trials],
                "arrayminus": [each.expected - each.low for each in trials],
            },
            marker={"color": BLUE, "size": 7},
            customdata=[f"{each.study}, trial {each.number}" for each in trials],
            hovertemplate="%{customdata}<br>seen %{x}<br>expected %{y}<extra></extra>",
        ),
        xaxis=accuracy_axis(seen) | {"title": {"text": "seen"}, "range": ends},
        yaxis=accuracy_axis(seen) | {"title": {"text": "expected"}, "range": ends},
    )  # fmt: skip
