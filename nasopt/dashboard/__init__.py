"""optuna-dashboard on a database of nasopt's: notes and plots filled in, and served."""

from nasopt.dashboard.server import Dashboard, open_browser

__all__ = ["Dashboard", "open_browser"]
