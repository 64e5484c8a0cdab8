"""The figure of samplers side by side, with the uncertainty of each."""

import plotly.graph_objects as go

from nasopt.analysis.compared import ComparisonResult
from nasopt.reporting.figures.palette import FADED, accuracy_axis, new_figure, styles
from nasopt.training.metrics import in_words

SCORES = {
    "fresh": "{}, trained again",
    "seen": "{}, as seen",
    "hypervolume": "share that the front dominates",
}
ROW, EDGES = 56, 70  # pixels: of a sampler, and of what is around all


def comparison_figure(result: ComparisonResult) -> go.Figure:
    """Draw a row a sampler: a dot a study, and a large mark with standard error for the mean."""
    ranked = sorted(result.spreads, key=lambda each: each.mean)
    scores = [(each.sampler, score) for each in ranked for score in each.scores]
    figure = new_figure(
        go.Scatter(
            name="a study", mode="markers", x=[score for _, score in scores],
            y=[sampler for sampler, _ in scores], marker={"color": FADED, "size": 9},
            hovertemplate="%{y}: %{x}<extra>a study</extra>",
        ),
        height=EDGES + ROW * len(ranked),
        showlegend=False,
        xaxis=accuracy_axis([score for _, score in scores]),
        yaxis={"type": "category", "categoryarray": [each.sampler for each in ranked]},
    )  # fmt: skip
    figure.update_xaxes(title_text=SCORES[result.score].format(in_words(result.objectives[0])))
    marks = styles(each.sampler for each in result.standings)
    for each in ranked:
        colour, mark = marks[each.sampler].colour, marks[each.sampler].mark
        figure.add_scatter(
            name=each.sampler, mode="markers", x=[each.mean], y=[each.sampler],
            error_x={"array": [each.error], "thickness": 2, "width": 6, "color": colour},
            marker={"color": colour, "size": 14, "symbol": mark, "line": {"width": 2}},
            hovertemplate=f"%{{y}}: %{{x}}<extra>mean of {len(each.scores)}</extra>",
        )  # fmt: skip
    return figure
