"""optuna-dashboard on a database of nasopt's: notes and plots filled in, and served."""

from nasopt.reporting.dashboard.server import Dashboard, open_browser

__all__ = ["Dashboard", "open_browser"]
