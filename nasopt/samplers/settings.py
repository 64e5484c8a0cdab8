"""`settings_of`: the settings of a sampler object, as JSON that is the same in every process."""

import functools
import inspect
from collections.abc import Mapping
from enum import Enum
from typing import Any

import numpy as np
from optuna.pruners import BasePruner
from optuna.samplers import BaseSampler, GridSampler
from optuna.samplers._lazy_random_state import LazyRandomState

NOT_SETTINGS = {"seed", "problem"}  # the study has its own


def settings_of(sampler: BaseSampler) -> dict[str, Any]:
    """Return the class of `sampler` and its constructor's arguments, as far as it keeps them.

    An argument is looked for under its name, with an underscore or without, and in the named
    tuples in which the sampler keeps several. A function is given by its name, never its address.
    """
    return {"class": _name(type(sampler)), **_arguments(sampler)}


def has_own_seed(sampler: BaseSampler) -> bool:
    """Return whether `sampler` was given a seed, or has drawn already.

    Optuna makes generators only when they are needed. For a grid the answer is no: it was shuffled
    when it was made, so its seed is used in any case.
    """
    if isinstance(sampler, GridSampler):
        return False
    states = [value for value in vars(sampler).values() if isinstance(value, LazyRandomState)]
    inner = [value for value in vars(sampler).values() if isinstance(value, BaseSampler)]
    return any(state._rng is not None for state in states) or any(map(has_own_seed, inner))


def _arguments(value: Any) -> dict[str, Any]:
    own = {name.lstrip("_"): each for name, each in getattr(value, "__dict__", {}).items()}
    kept = dict(own)
    for each in own.values():
        if isinstance(each, tuple) and hasattr(each, "_asdict"):
            kept |= each._asdict()
    names = sorted(_parameters(type(value)) & kept.keys() - NOT_SETTINGS)
    # TPE has `multivariate` twice, and studies have noted that of the tuple under this name
    twice = {f"_{name}": _described(own[name]) for name in names if name in own}
    found = {name: _described(kept[name]) for name in names}
    return found | {key: each for key, each in twice.items() if each != found[key[1:]]}


def _parameters(kind: type) -> set[str]:
    """Return the names that the constructor takes, and those of its bases, for **kwargs."""
    found: set[str] = set()
    for each in kind.__mro__:
        if each is not object and "__init__" in vars(each):
            found |= set(inspect.signature(vars(each)["__init__"]).parameters)
    return found - {"self", "args", "kwargs"}


def _described(value: Any) -> Any:
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, np.ndarray | np.generic):
        return _described(value.tolist())
    if isinstance(value, Enum):
        return value.name
    if isinstance(value, Mapping):
        return {str(key): _described(each) for key, each in value.items()}
    if isinstance(value, list | tuple | range):
        return [_described(each) for each in value]
    if isinstance(value, set | frozenset):
        return sorted(map(repr, value))
    if isinstance(value, BaseSampler | BasePruner):
        return {"class": _name(type(value)), **_arguments(value)}
    if isinstance(value, functools.partial):
        return [_described(value.func), _described(value.args), _described(value.keywords)]
    if inspect.isroutine(value) or isinstance(value, type):
        return _name(value)
    return {"class": _name(type(value)), **_arguments(value)}


def _name(value: Any) -> str:
    return f"{value.__module__}.{value.__qualname__}"
