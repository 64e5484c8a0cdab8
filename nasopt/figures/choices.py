"""What the best networks chose, layer by layer."""

import plotly.graph_objects as go

from nasopt.analysis.choices import Choices, Preference
from nasopt.figures.palette import BLUE, GREY, RED, faint, new_figure

STRONG = 0.65  # opacity of a difference of 1: what stands on it can still be read
SCALE = [[0.0, faint(RED, STRONG)], [0.5, faint(GREY, 0.0)], [1.0, faint(BLUE, STRONG)]]
NAMES = {"kernel_size": "kernel size", "op": "operation", "depth": "number of layers"}
ROW, EDGES = 24, 90  # pixels: of a choice, and of what is around all


def choices_figure(choices: Choices) -> go.Figure:
    """A column a layer, a row a choice: blue where the best have it more often than all, red less.

    Kinds of choices whose places differ (layers, the recipe) are drawn in order below each other.
    """
    rows = [(kind, place) for kind in choices.preferences for place in range(len(kind.choices))]
    rows.reverse()  # the first stands at the top
    columns = list(dict.fromkeys(p for kind in choices.preferences for p in kind.places))
    cells = [[_cell(kind, place, column) for column in columns] for kind, place in rows]
    largest = max((abs(c[0]) for row in cells for c in row if c[0] is not None), default=0.0)
    return new_figure(
        go.Heatmap(
            x=[_short(column) for column in columns],
            y=[[kind_name(kind) for kind, _ in rows], [kind.choices[p] for kind, p in rows]],
            z=[[cell[0] for cell in row] for row in cells],
            customdata=[[cell[1] for cell in row] for row in cells],
            colorscale=SCALE, zmid=0, zmin=-largest, zmax=largest, xgap=2, ygap=2,
            hovertemplate="%{x}: %{y}<br>%{customdata}<extra></extra>",
            colorbar={
                "title": {"text": "share among the best, less that in all", "side": "top"},
                "tickformat": "+.0%", "orientation": "h", "thickness": 10, "y": 1.02,
                "yanchor": "bottom", "len": 0.6, "x": 0, "xanchor": "left", "nticks": 5,
            },
        ),
        height=EDGES + ROW * len(rows),
        xaxis={"title": {"text": "layer"}, "showgrid": False, "type": "category", "tickangle": 0},
        yaxis={"showgrid": False, "type": "multicategory"},
    )  # fmt: skip


def kind_name(preference: Preference) -> str:
    """ "conv.filters" -> "filters": the kind of layer is named where it is none of Conv's."""
    layer, _, field = preference.kind.rpartition(".")
    name = NAMES.get(field, field.replace("_", " "))
    return name if layer in ("", "conv") else f"{layer}: {name}"


def _short(place: str) -> str:
    """ "conv03" -> "3"."""
    digits = place.removeprefix("conv")
    return str(int(digits)) if digits.isdecimal() else place


def _cell(kind: Preference, choice: int, place: str) -> tuple[float | None, str]:
    """The difference of the shares, and both in words."""
    if place not in kind.places:
        return None, ""
    row = kind.places.index(place)
    best, tried = kind.best[row][choice], kind.all[row][choice]
    if best is None or tried is None:
        return None, "not chosen here"
    return best - tried, f"{best:.0%} of the best, {tried:.0%} of all"
