"""What `nasopt.analysis` found, drawn: Plotly figures without a number of their own.

They stand on a white page and on a dark one alike: backgrounds are left open, colours have a
contrast of 3 to both, and never carry a meaning alone.
"""

from nasopt.figures.beliefs import beliefs_figure
from nasopt.figures.choices import choices_figure
from nasopt.figures.comparison import comparison_figure
from nasopt.figures.curves import curves_figure
from nasopt.figures.drawing import blocks
from nasopt.figures.front import front_figure
from nasopt.figures.importance import importance_figure
from nasopt.figures.learning import learning_figure

__all__ = [
    "beliefs_figure",
    "blocks",
    "choices_figure",
    "comparison_figure",
    "curves_figure",
    "front_figure",
    "importance_figure",
    "learning_figure",
]
