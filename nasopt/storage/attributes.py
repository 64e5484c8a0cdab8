"""The attributes of studies and trials by their types: a database may come from anybody.

All code that reads a study checks it here first, and can then trust it.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from optuna.trial import FrozenTrial, TrialState

from nasopt.errors import Error, StudyError
from nasopt.space.fields import Open, field_from_json
from nasopt.space.space import Space
from nasopt.storage.own_trials import is_own
from nasopt.storage.owners import OWNER
from nasopt.storage.rdb import EXPERIMENT, FREE, LAST, VERDICT
from nasopt.training.evaluation import Recipe

Test = Callable[[Any], bool]
LARGEST = 2**63  # of numbers: what is larger counts nothing that there is


def _text(value: Any) -> bool:
    return isinstance(value, str)


def _count(value: Any) -> bool:
    return type(value) is int and 0 <= value < LARGEST


def _positive(value: Any) -> bool:
    return _count(value) and value > 0


def _number(value: Any) -> bool:
    return type(value) in (int, float) and abs(value) < LARGEST  # not nan, nor inf


def _flag(value: Any) -> bool:
    return isinstance(value, bool)


def _maybe(test: Test) -> Test:
    return lambda value: value is None or test(value)


def _each(test: Test) -> Test:
    return lambda value: isinstance(value, list) and all(map(test, value))


def _named(test: Test) -> Test:
    return lambda value: isinstance(value, dict) and all(map(test, value.values()))


def _with(**tests: Test) -> Test:
    """Return a test for a dict that has all of these, and maybe others."""
    return lambda value: (
        isinstance(value, dict)
        and all(name in value and test(value[name]) for name, test in tests.items())
    )


OF_STUDY: dict[str, Test] = {
    "sampler": _text,
    "seed": _count,
    "trials": _maybe(_positive),
    "epochs_budget": _maybe(_positive),
    "limits": _each(_text),
    "pruner": _text,
    "ended": _text,
    LAST: _named(_text),
    EXPERIMENT: _with(
        space=_named(lambda _: True),
        recipe=_with(epochs=_positive),
        dataset=lambda value: _text(value) and bool(value.split()),
        seed=_count,
        objectives=lambda value: (
            value in (["accuracy"], ["accuracy", "macs"], ["accuracy", "parameters"])
        ),
    ),
}
NEEDED = ("limits", "pruner", LAST, EXPERIMENT)
OF_TRIAL: dict[str, Test] = {
    "key": _text,
    "parameters": _maybe(_number),
    "macs": _maybe(_number),
    "epochs": _count,
    "seconds": _number,
    "replayed_epochs": _count,
    "reason": _text,
    "device": _text,
    "infeasible": _text,
    "repeat_of": _count,
    "draws": _count,
    "mixed": _flag,
    FREE: _flag,
    "belief": _with(
        expected=_number,
        low=_number,
        high=_number,
        weights=_named(_number),
        nearest=_each(_with(trial=_count, distance=_number, value=_maybe(_number))),
    ),
}
OF_SYSTEM: dict[str, Test] = {
    OWNER: _text,
    VERDICT: lambda value: isinstance(value, list) and len(value) == 2 and _count(value[0]),
}


def check_study(name: str, attrs: Mapping[str, Any]) -> None:
    """Raise StudyError unless the user attributes of a study of nasopt's are such."""
    for key in NEEDED:
        if key not in attrs:
            raise _wrong(name, f"it has no attribute {key}")
    _check(name, "its", attrs, OF_STUDY)
    if not attrs.get("epochs_budget") and not attrs.get("trials"):
        raise _wrong(name, "it has no budget")
    parameters_of(name, attrs)


def parameters_of(name: str, attrs: Mapping[str, Any]) -> Mapping[str, Open]:
    """Return the open fields of a study by name.

    Raises StudyError for a space or recipe that cannot be.
    """
    begun = attrs[EXPERIMENT]
    try:
        if "table" in begun["space"]:
            found = {key: field_from_json(each) for key, each in begun["space"]["table"].items()}
        else:
            shape = begun["input_shape"]
            if len(shape) != 3 or not all(map(_positive, shape)):
                raise _wrong(name, f"input_shape={shape!r} is of no image")
            space = Space.from_json(begun["space"]).on(tuple(shape))
            found = {**space.parameters, **Recipe.from_json(begun["recipe"]).parameters}
    except StudyError:
        raise
    except (Error, ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
        raise _wrong(name, f"its space or recipe cannot be ({error})") from error
    if not all(isinstance(field, Open) for field in found.values()):
        raise _wrong(name, "its space has what is no field")
    return found


def check_trials(name: str, attrs: Mapping[str, Any], trials: Sequence[FrozenTrial]) -> None:
    """Raise StudyError unless `trials` are those of a study of nasopt's, all of them.

    Those that plain Optuna added are not looked at, and of those under way only what is there.
    """
    fields = parameters_of(name, attrs)
    objectives = len(attrs[EXPERIMENT]["objectives"])
    for place, trial in enumerate(trials):
        if trial.number != place:
            raise _wrong(name, f"there is no trial {place}, or several")
        if trial.state.is_finished() and not is_own(trial, fields):
            continue
        which = f"trial {place}:"
        _check(name, which, trial.user_attrs, OF_TRIAL)
        _check(name, which, trial.system_attrs, OF_SYSTEM)
        if not all(map(_number, trial.values or [])):
            raise _wrong(name, f"{which} values={trial.values} are no numbers")
        if trial.state is TrialState.COMPLETE and len(trial.values or []) != objectives:
            raise _wrong(name, f"{which} values={trial.values} for {objectives} objectives")
        if "key" in trial.user_attrs:
            if trial.state.is_finished():  # of one that begins, the rest may be read a moment later
                _check_ours(name, which, trial, fields)
        elif "parameters" in trial.user_attrs or "epochs" in trial.user_attrs:
            raise _wrong(name, f"{which} it has no attribute key")


def _check_ours(name: str, which: str, trial: FrozenTrial, fields: Mapping[str, Open]) -> None:
    params = trial.params  # a property: asked for once, since there are many
    for key, field in fields.items():
        if key not in params or params[key] not in field:
            value = params.get(key)
            raise _wrong(name, f"{which} {key}={_shortened(value)} is not in {field!r}")
    for step, value in trial.intermediate_values.items():
        if not _count(step) or not math.isfinite(value):
            raise _wrong(name, f"{which} its report {value} at step {step} cannot be")


def _check(name: str, of: str, attrs: Mapping[str, Any], tests: Mapping[str, Test]) -> None:
    for key in tests.keys() & attrs.keys():
        if not tests[key](attrs[key]):
            raise _wrong(name, f"{of} {key}={_shortened(attrs[key])} cannot be")


def _shortened(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:77]}..."


def _wrong(name: str, what: str) -> StudyError:
    return StudyError(
        f"study={name}: {what}; the database was changed by hand: restore a copy, or name another"
    )
