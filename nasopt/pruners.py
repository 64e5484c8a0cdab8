"""Pruners by name, as `nasopt.samplers.pruners` has them."""

from nasopt.samplers.pruners import PRUNERS, make_pruner, pruner_name

__all__ = ["PRUNERS", "make_pruner", "pruner_name"]
