"""Neural architecture search for convolutional networks, as an experiment framework on Optuna."""

import warnings
from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from nasopt import data as data
    from nasopt import figures as figures
    from nasopt import pruners as pruners
    from nasopt import samplers as samplers
    from nasopt.analysis.compared import ComparisonResult as ComparisonResult
    from nasopt.analysis.outcome import best as best
    from nasopt.api import compare as compare
    from nasopt.api import finals as finals
    from nasopt.api import init as init
    from nasopt.api import noise as noise
    from nasopt.api import run as run
    from nasopt.benchmarks import load_benchmark as load_benchmark
    from nasopt.errors import Error as Error
    from nasopt.models.fitting import train as train
    from nasopt.models.loading import load as load
    from nasopt.models.model import Model as Model
    from nasopt.models.reproducing import reproduce as reproduce
    from nasopt.models.saving import save as save
    from nasopt.results import Database as Database
    from nasopt.results import StudyResult as StudyResult
    from nasopt.results import open as open
    from nasopt.search.experiment import Experiment as Experiment
    from nasopt.search.interruption import Interrupted as Interrupted
    from nasopt.search.loading import load_experiment as load_experiment
    from nasopt.search.objective import Objective as Objective
    from nasopt.space.architecture import Architecture as Architecture
    from nasopt.space.fields import categorical as categorical
    from nasopt.space.fields import integer as integer
    from nasopt.space.fields import real as real
    from nasopt.space.layers import Conv as Conv
    from nasopt.space.layers import Dense as Dense
    from nasopt.space.layers import Layer as Layer
    from nasopt.space.layers import Pool as Pool
    from nasopt.space.limits import latency as latency
    from nasopt.space.limits import macs as macs
    from nasopt.space.limits import parameters as parameters
    from nasopt.space.model import build as build
    from nasopt.space.model import cost as cost
    from nasopt.space.space import Space as Space
    from nasopt.space.space import repeat as repeat
    from nasopt.training.evaluation import Recipe as Recipe

# Optuna loads tqdm, which in Jupyter asks for widgets that nothing here uses.
warnings.filterwarnings("ignore", "IProgress not found", module="tqdm")

# Imported when first used, so that `nasopt --help` loads neither torch nor optuna.
_HOMES = {
    "Architecture": "space.architecture",
    "ComparisonResult": "analysis.compared",
    "Conv": "space.layers",
    "Database": "results",
    "Dense": "space.layers",
    "Error": "errors",
    "Experiment": "search.experiment",
    "Interrupted": "search.interruption",
    "Layer": "space.layers",
    "Model": "models.model",
    "Objective": "search.objective",
    "Pool": "space.layers",
    "Recipe": "training.evaluation",
    "Space": "space.space",
    "StudyResult": "results",
    "best": "analysis.outcome",
    "build": "space.model",
    "categorical": "space.fields",
    "compare": "api",
    "cost": "space.model",
    "finals": "api",
    "init": "api",
    "integer": "space.fields",
    "latency": "space.limits",
    "load": "models.loading",
    "load_benchmark": "benchmarks",
    "load_experiment": "search.loading",
    "macs": "space.limits",
    "noise": "api",
    "open": "results",
    "parameters": "space.limits",
    "real": "space.fields",
    "repeat": "space.space",
    "reproduce": "models.reproducing",
    "run": "api",
    "save": "models.saving",
    "train": "models.fitting",
}

_MODULES = ("data", "figures", "pruners", "samplers")

__all__ = sorted(_HOMES)


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(import_module(f"nasopt.{_HOMES[name]}"), name)
    if name in _MODULES:
        return import_module(f"nasopt.{name}")
    raise AttributeError(f"module 'nasopt' has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__
