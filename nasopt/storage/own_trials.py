"""The trials of a study that a search made: plain Optuna may add others to any study."""

import math
from collections.abc import Iterable, Mapping
from types import NoneType
from typing import Any

from optuna.trial import FrozenTrial, TrialState

from nasopt.space.fields import Open

# What a search writes of a trial, as JSON gives it back; a person may call anything by these names.
KINDS: dict[str, tuple[type, ...]] = {
    "key": (str,),
    "parameters": (int, NoneType),
    "macs": (int, NoneType),
    "epochs": (int,),
    "seconds": (int, float),
    "device": (str,),
    "reason": (str,),
    "infeasible": (str,),
    "repeat_of": (int,),
}
BELIEF = {
    "expected",
    "low",
    "high",
    "weights",
    "nearest",
}  # what a prediction has, see `Prediction`


def is_own(trial: FrozenTrial, fields: Mapping[str, Open]) -> bool:
    """Return whether a finished `trial` is as a search leaves it; `fields` are its study's.

    A trial of `study.add_trial`, `study.optimize` or `study.tell` has no network (it has no key),
    or has other parameters, or a value that is no number. A trial that failed shows nothing but
    that.
    """
    attrs = trial.user_attrs
    if not all(isinstance(attrs[name], KINDS[name]) for name in KINDS.keys() & attrs.keys()):
        return False
    if "belief" in attrs and belief_of(attrs) is None:
        return False
    if trial.state is TrialState.FAIL:
        return True
    return "key" in attrs and has_all(trial, fields) and all(map(math.isfinite, _numbers(trial)))


def belief_of(attrs: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """Return a model's expectation of a trial with these attributes; None if nothing is known."""
    held = attrs.get("belief")
    return held if isinstance(held, dict) and held.keys() >= BELIEF else None


def has_all(trial: FrozenTrial, fields: Mapping[str, Open]) -> bool:
    """Return whether `trial` has a value of each of `fields`."""
    params = trial.params
    return all(name in params and params[name] in field for name, field in fields.items())


def _numbers(trial: FrozenTrial) -> Iterable[float]:
    return (*(trial.values or ()), *trial.intermediate_values.values())
