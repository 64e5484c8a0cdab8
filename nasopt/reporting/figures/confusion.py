"""The confusion matrix of a final model."""

import math
from collections.abc import Sequence

import plotly.graph_objects as go

from nasopt.reporting.figures.palette import BLUE, RED, faint, new_figure

# so faint that the counts in the cells can be read, which have the colour of the page's text
RIGHT = [[0.0, faint(BLUE, 0.2)], [1.0, faint(BLUE, 0.55)]]
WRONG = [[0.0, faint(RED, 0.1)], [1.0, faint(RED, 0.55)]]
ROW, EDGES = 26, 110  # pixels: of a class, and of what is around all
NAMED = 30  # classes that are all named on an axis
WRITTEN = 15  # classes whose counts are written into the cells
LONGEST = 16  # letters of a class on an axis


def confusion_figure(classes: Sequence[str], counts: Sequence[Sequence[int]]) -> go.Figure:
    """Draw a row for each true class, a column for each predicted one.

    Right cells are blue, wrong ones red, and the stronger the larger their share of the row.
    """
    every = 1 + (len(classes) - 1) // NAMED
    names = [each if len(each) <= LONGEST else f"{each[: LONGEST - 1]}…" for each in classes]
    axis = {
        "showgrid": False,
        "tickvals": list(range(len(classes)))[::every],
        "ticktext": names[::every],
    }
    return new_figure(
        _cells(classes, counts, right=True),
        _cells(classes, counts, right=False),
        height=EDGES + ROW * min(NAMED, len(classes)),
        xaxis={**axis, "title": {"text": "predicted"}},
        yaxis={**axis, "title": {"text": "true"}, "autorange": "reversed"},
    )


def _cells(classes: Sequence[str], counts: Sequence[Sequence[int]], *, right: bool) -> go.Heatmap:
    """Return the cells on the diagonal, or all others; none where there is no image."""
    places = list(range(len(classes)))
    shown = [
        [
            math.sqrt(count / sum(row)) if count and (of == to) == right else None
            for to, count in enumerate(row)
        ]
        for of, row in enumerate(counts)
    ]  # the roots of shares: a few mistakes in a hundred are to be seen
    return go.Heatmap(
        x=places, y=places, z=shown, zmin=0, zmax=1, xgap=1, ygap=1, hoverongaps=False,
        colorscale=RIGHT if right else WRONG, showscale=False,
        text=[[f"{count:,}" if count else "" for count in row] for row in counts],
        texttemplate="%{text}" if len(classes) <= WRITTEN else None,
        customdata=[
            [f"{count:,} of {true} taken for {to}" for to, count in zip(classes, row, strict=True)]
            for true, row in zip(classes, counts, strict=True)
        ],
        hovertemplate="%{customdata}<extra></extra>",
    )  # fmt: skip
