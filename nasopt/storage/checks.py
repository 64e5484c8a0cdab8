"""The checks of studies and their trials: a database may come from anybody.

All code that reads a study checks it here first, and can then trust it.
"""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from optuna.trial import FrozenTrial, TrialState

from nasopt.errors import Error, StudyError
from nasopt.space.fields import Open
from nasopt.storage.attributes import OWNER, VERDICT, is_count, is_number
from nasopt.storage.record import ExperimentRecord, StudyRecord, TrialRecord, is_own


def check_study(name: str, attrs: Mapping[str, Any]) -> StudyRecord:
    """Return the record of a study of nasopt's with these user attributes.

    Raises StudyError unless they are such.
    """
    for key in StudyRecord.needed():
        if key not in attrs:
            raise _wrong(name, f"it has no attribute {key}")
    wrong = StudyRecord.wrong(attrs)
    if wrong is not None:
        raise _wrong(name, f"its {wrong}={_shortened(attrs[wrong])} cannot be")
    record = StudyRecord.from_attrs(name, attrs)
    if not record.epochs_budget and not record.trials_budget:
        raise _wrong(name, "it has no budget")
    _check_parameters(name, record.experiment)
    _check_warm_start(name, record)
    return record


def check_names(names: Sequence[str]) -> None:
    """Raise StudyError if two studies have one name."""
    twice = next((name for name, count in Counter(names).items() if count > 1), None)
    if twice is not None:
        raise _wrong(twice, "there are two of that name")


def _check_parameters(name: str, experiment: ExperimentRecord) -> None:
    """Raise StudyError for a space or recipe that cannot be."""
    shape = experiment.input_shape or ()
    if not experiment.is_benchmark and (
        len(shape) != 3 or not all(is_count(side) and side > 0 for side in shape)
    ):
        raise _wrong(name, f"input_shape={list(shape)} is of no image")
    try:
        found = experiment.search_space
    except (Error, ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
        raise _wrong(name, f"its space or recipe cannot be ({error})") from error
    if not all(isinstance(field, Open) for field in found.values()):
        raise _wrong(name, "its space has what is no field")


def _check_warm_start(name: str, record: StudyRecord) -> None:
    """Raise StudyError for values of earlier searches that are not in the study's own space."""
    fields = record.search_space
    for search in record.warm_start:
        if sorted(search["parameters"]) != sorted(fields):
            names = _shortened(search["parameters"])
            raise _wrong(name, f"its warm_start has the parameters {names}")
        own = [fields[each] for each in search["parameters"]]
        for point in search["points"]:
            if not all(value in field for value, field in zip(point, own, strict=True)):
                raise _wrong(name, f"its warm_start has {_shortened(point)}, not of its space")


def check_trials(study: StudyRecord, trials: Sequence[FrozenTrial]) -> None:
    """Raise StudyError unless `trials` are those of `study`, all of them.

    Those that plain Optuna added are not looked at, and of those under way only what is there.
    """
    name, fields = study.name, study.search_space
    for place, trial in enumerate(trials):
        if trial.number != place:
            raise _wrong(name, f"there is no trial {place}, or several")
        if trial.state.is_finished() and not is_own(trial, fields):
            continue
        which = f"trial {place}:"
        wrong = TrialRecord.wrong(trial.user_attrs)
        if wrong is not None:
            raise _wrong(name, f"{which} {wrong}={_shortened(trial.user_attrs[wrong])} cannot be")
        _check_system(name, which, trial.system_attrs)
        if not all(map(is_number, trial.values or [])):
            raise _wrong(name, f"{which} values={trial.values} are no numbers")
        if trial.state is TrialState.COMPLETE and len(trial.values or []) != len(study.objectives):
            objectives = len(study.objectives)
            raise _wrong(name, f"{which} values={trial.values} for {objectives} objectives")
        if trial.state.is_finished():  # of one that begins, the rest may be read a moment later
            _check_reports(name, which, trial)


def _check_system(name: str, which: str, attrs: Mapping[str, Any]) -> None:
    verdict = attrs.get(VERDICT, [0, False])
    right = isinstance(verdict, list) and len(verdict) == 2 and is_count(verdict[0])
    for key, holds in ((OWNER, isinstance(attrs.get(OWNER, ""), str)), (VERDICT, right)):
        if not holds:
            raise _wrong(name, f"{which} {key}={_shortened(attrs[key])} cannot be")


def _check_reports(name: str, which: str, trial: FrozenTrial) -> None:
    for step, value in trial.intermediate_values.items():
        if not is_count(step) or not math.isfinite(value):
            raise _wrong(name, f"{which} its report {value} at step {step} cannot be")


def _shortened(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:77]}..."


def _wrong(name: str, what: str) -> StudyError:
    return StudyError(
        f"study={name}: {what}; the database was changed by hand: restore a copy, or name another"
    )
