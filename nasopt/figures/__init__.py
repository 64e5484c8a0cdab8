"""What `nasopt.analysis` found, drawn: Plotly figures without a number of their own.

They stand on a white page and on a dark one alike: backgrounds are left open, colours have a
contrast of 3 to both, and never carry a meaning alone.
"""

from nasopt.figures.choices import choices_figure
from nasopt.figures.comparison import comparison_figure
from nasopt.figures.front import front_figure

__all__ = ["choices_figure", "comparison_figure", "front_figure"]
