"""Neural architecture search for convolutional networks, as an experiment framework on Optuna."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from nasopt.architecture import Architecture as Architecture
    from nasopt.benchmarks import load_benchmark as load_benchmark
    from nasopt.comparison import compare as compare
    from nasopt.errors import Error as Error
    from nasopt.evaluation import Recipe as Recipe
    from nasopt.experiment import Experiment as Experiment
    from nasopt.experiment import load_experiment as load_experiment
    from nasopt.fields import categorical as categorical
    from nasopt.fields import integer as integer
    from nasopt.fields import real as real
    from nasopt.interruption import Interrupted as Interrupted
    from nasopt.layers import Conv as Conv
    from nasopt.layers import Dense as Dense
    from nasopt.layers import Pool as Pool
    from nasopt.limits import macs as macs
    from nasopt.limits import parameters as parameters
    from nasopt.model import build as build
    from nasopt.model import cost as cost
    from nasopt.space import Space as Space
    from nasopt.space import repeat as repeat
    from nasopt.worker import run as run

# Imported when first used, so that `nasopt --help` loads neither torch nor optuna.
_HOMES = {
    "Architecture": "architecture",
    "Conv": "layers",
    "Dense": "layers",
    "Error": "errors",
    "Experiment": "experiment",
    "Interrupted": "interruption",
    "Pool": "layers",
    "Recipe": "evaluation",
    "Space": "space",
    "build": "model",
    "categorical": "fields",
    "compare": "comparison",
    "cost": "model",
    "integer": "fields",
    "load_benchmark": "benchmarks",
    "load_experiment": "experiment",
    "macs": "limits",
    "parameters": "limits",
    "real": "fields",
    "repeat": "space",
    "run": "worker",
}

__all__ = sorted(_HOMES)


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(import_module(f"nasopt.{_HOMES[name]}"), name)
    raise AttributeError(f"module 'nasopt' has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__
