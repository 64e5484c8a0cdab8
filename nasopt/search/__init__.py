"""Experiments and the searches of them: the loop, comparisons, noise, retraining."""
