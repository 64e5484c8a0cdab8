"""The choices of the best networks, layer by layer."""

from collections.abc import Sequence

import plotly.graph_objects as go

from nasopt.analysis.choices import Preference, Preferences
from nasopt.reporting.figures.palette import BLUE, GREY, RED, faint, new_figure
from nasopt.reporting.names import kind_name, place_name

STRONG = 0.9  # opacity of the largest difference
SCALE = [[0.0, faint(RED, STRONG)], [0.5, faint(GREY, 0.0)], [1.0, faint(BLUE, STRONG)]]
FEW = 12  # layers that are all named on an axis; of more only some
EVERY = 5
ROW, EDGES = 22, 130  # pixels: of a choice, and of what is around all


def choices_figure(found: Preferences) -> go.Figure:
    """Draw a column a layer, a row a choice: blue if the best have it more often than all.

    Kinds of choices stand below each other, with an empty row between them.
    """
    rows: list[tuple[Preference, int] | None] = []
    for kind in reversed(found.by_kind):  # rows are drawn from the bottom
        rows += [
            *([None] if rows else []),
            *((kind, n) for n in reversed(range(len(kind.choices)))),
        ]
    columns = list(dict.fromkeys(p for kind in found.by_kind for p in kind.places))
    cells = [[_cell(row, column) for column in columns] for row in rows]
    largest = max((abs(c[0]) for row in cells for c in row if c[0] is not None), default=0.0)
    return new_figure(
        go.Heatmap(
            x=[place_name(column) for column in columns],
            y=list(range(len(rows))),
            z=[[cell[0] for cell in row] for row in cells],
            customdata=[[cell[1] for cell in row] for row in cells],
            colorscale=SCALE, zmid=0, zmin=-largest, zmax=largest, xgap=2, ygap=2,
            hoverongaps=False, hovertemplate="%{customdata}<extra></extra>",
            colorbar={
                "title": {"text": ""},  # Plotly lays out one that is not there, over other titles
                "tickvals": [-largest, 0, largest], "tickangle": 0,
                "ticktext": [f"−{largest:.0%}", "0", f"+{largest:.0%}"],
                "orientation": "h", "thickness": 10, "len": 0.8, "x": 0, "xanchor": "left",
                "y": 1.0, "yanchor": "bottom", "ypad": 10, "xpad": 20,
            },
        ),
        height=EDGES + ROW * len(rows),
        minreducedheight=16,
        xaxis={**layer_axis(columns), "showgrid": False},
        yaxis={
            "showgrid": False,
            "tickvals": [place for place, row in enumerate(rows) if row],
            "ticktext": [f"{kind_name(r[0].kind)} {r[0].choices[r[1]]}" for r in rows if r],
        },
    )  # fmt: skip


def layer_axis(places: Sequence[str]) -> dict[str, object]:
    """Return an axis with a category a layer.

    Of many every fifth is named: it must fit on half a page, or on a telephone.
    """
    names = [place_name(place) for place in places]
    numbers = [name for name in names if name.isdecimal()]
    axis = {"title": {"text": "layer"}, "type": "category", "tickangle": 0}
    if len(numbers) > FEW:
        axis |= {"tickmode": "linear", "tick0": names.index(numbers[EVERY - 1]), "dtick": EVERY}
    return axis


def _cell(row: tuple[Preference, int] | None, place: str) -> tuple[float | None, str]:
    """Return the difference of the shares, and both in words."""
    if row is None or place not in row[0].places:
        return None, ""
    kind, choice = row
    row_of_place = kind.places.index(place)
    best, tried = kind.best[row_of_place][choice], kind.all[row_of_place][choice]
    if best is None or tried is None:
        return None, ""
    words = f"{kind_name(kind.kind)} {kind.choices[choice]}, {place_name(place)}"
    return best - tried, f"{words}<br>{best:.0%} of the best, {tried:.0%} of all"
