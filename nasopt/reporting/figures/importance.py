"""The figure of the choices that decide."""

import plotly.graph_objects as go

from nasopt.analysis.choices import kind_of
from nasopt.analysis.importance import Importances
from nasopt.reporting.figures.choices import layer_axis
from nasopt.reporting.figures.palette import COLOURS, new_figure
from nasopt.reporting.names import kind_name, place_name

PATTERNS = ("", "/", "x", ".", "-", "\\", "+")


def importance_figure(found: Importances) -> go.Figure:
    """Draw a bar a layer, in order, divided by the kinds of its choices."""
    places = list(dict.fromkeys(name.partition(".")[0] for name in found.shares))
    figure = new_figure(
        barmode="stack",
        xaxis=layer_axis(places),
        yaxis={"title": {"text": "share of the importance"}, "tickformat": ".0%"},
    )
    for number, kind in enumerate(found.by_kind):
        shares = {
            name.partition(".")[0]: share
            for name, share in found.shares.items()
            if kind_of(name) == kind
        }
        figure.add_bar(
            name=kind_name(kind),
            x=[place_name(place) for place in places],
            y=[shares.get(place, 0.0) for place in places],
            marker={
                "color": COLOURS[number % len(COLOURS)],
                "pattern": {
                    "shape": PATTERNS[number % len(PATTERNS)],
                    "fillmode": "overlay",
                    "fgcolor": "rgba(255, 255, 255, 0.6)",
                    "solidity": 0.2,
                    "size": 6,
                },
            },
            hovertemplate="layer %{x}: %{y:.1%}<extra>" + kind_name(kind) + "</extra>",
        )
    return figure
