"""Results shown: in a terminal, as one page, in optuna-dashboard."""
