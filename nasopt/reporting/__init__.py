"""The display of results: in a terminal, as one page, in optuna-dashboard."""
