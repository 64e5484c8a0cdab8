"""The results of `nasopt.analysis` as Plotly figures without a number of their own.

They stand on a white page and on a dark one alike: backgrounds are left open, colours have a
contrast of 3 to both, and never carry a meaning alone.
"""

from nasopt.reporting.figures.choices import choices_figure
from nasopt.reporting.figures.comparison import comparison_figure
from nasopt.reporting.figures.confusion import confusion_figure
from nasopt.reporting.figures.curves import curves_figure
from nasopt.reporting.figures.drawing import blocks
from nasopt.reporting.figures.front import front_figure
from nasopt.reporting.figures.importance import importance_figure
from nasopt.reporting.figures.learning import learning_figure
from nasopt.reporting.figures.network import network_figure
from nasopt.reporting.figures.predictions import predictions_figure
from nasopt.reporting.figures.titles import titled

__all__ = [
    "blocks",
    "choices_figure",
    "comparison_figure",
    "confusion_figure",
    "curves_figure",
    "front_figure",
    "importance_figure",
    "learning_figure",
    "network_figure",
    "predictions_figure",
    "titled",
]
