"""The attributes of studies and trials: their names, and `Attributes`, the base of records."""

from collections.abc import Callable, Mapping
from dataclasses import MISSING, field, fields
from functools import cache
from typing import Any

# System attributes, which Optuna's pages do not show.
OWNER = "nasopt:owner"  # of a trial: the token of the worker that may write to it
DEATHS = "nasopt:deaths"  # of a trial: {"count": of workers in a row, "reached": how far it was}
VERDICT = "nasopt:verdict"  # of a trial: [step, whether to prune] of the last rung
IDENTITY = "nasopt:identity"  # of a study: SQLite gives the id of a deleted one again
NOTE = "nasopt:note"  # of a study: the digest of its note as we left it
CONTINUES = "nasopt:continues"  # of a trial: the number of the one that it trains further
CLIMBS_FROM = "local:climbs_from"  # of a trial: the number of the one that it is next to
FIXED_PARAMS = "fixed_params"  # Optuna's, of an enqueued trial: the parameters asked for
GRID_ID = "grid_id"  # Optuna's, of a trial of GridSampler
METRIC_NAMES = "study:metric_names"  # Optuna's, of a study: what its values are called

# User attributes that are written or looked for by themselves; their meaning is below.
EXPERIMENT, VERSIONS, LIMITS = "experiment", "versions", "limits"
ENDED, THREADS, WARM_START = "ended", "threads", "warm_start"
KEY, EPOCHS, FREE, PREDICTION = "key", "epochs", "free", "belief"
REPORTS = "reports"
SECONDS, DEVICE = "seconds", "device"

LARGEST = 2**63  # of numbers: what is larger counts nothing that there is

Test = Callable[[Any], bool]


def is_text(value: Any) -> bool:
    return isinstance(value, str)


def is_count(value: Any) -> bool:
    return type(value) is int and 0 <= value < LARGEST


def is_positive(value: Any) -> bool:
    return is_count(value) and value > 0


def is_number(value: Any) -> bool:
    return type(value) in (int, float) and abs(value) < LARGEST  # not nan, nor inf


def is_flag(value: Any) -> bool:
    return isinstance(value, bool)


def is_anything(value: Any) -> bool:
    return True


def optional(test: Test) -> Test:
    return lambda value: value is None or test(value)


def list_of(test: Test) -> Test:
    return lambda value: isinstance(value, list) and all(map(test, value))


def dict_of(test: Test) -> Test:
    return lambda value: isinstance(value, dict) and all(map(test, value.values()))


def dict_with(**tests: Test) -> Test:
    """Return a test for a dict that has all of these, and maybe others."""
    return lambda value: (
        isinstance(value, dict)
        and all(name in value and test(value[name]) for name, test in tests.items())
    )


def attribute(test: Test, default: Any = None, name: str = "") -> Any:
    """Return a field of a record: what `test` holds for, stored under `name` or the field's."""
    return field(default=default, metadata={"test": test, "name": name})


class Attributes:
    """Base of a record whose fields are user attributes of the names that they are stored under."""

    @classmethod
    def _attributes(cls) -> dict[str, tuple[str, Test]]:
        """Return the fields by the name of their attribute, each with its test."""
        return _attributes_of(cls)  # type: ignore[arg-type]  # a class is hashable

    @classmethod
    def needed(cls) -> list[str]:
        """Return the names of the attributes that are always there."""
        return [each.name for each in fields(cls) if each.metadata and each.default is MISSING]  # type: ignore[arg-type]

    @classmethod
    def given(cls, attrs: Mapping[str, Any]) -> dict[str, Any]:
        """Return the fields that `attrs` have, as they stand there."""
        known = cls._attributes()
        return {known[key][0]: value for key, value in attrs.items() if key in known}

    @classmethod
    def wrong(cls, attrs: Mapping[str, Any]) -> str | None:
        """Return the first of `attrs` that no search has written; None if there is none."""
        found = cls._attributes()
        for key in found.keys() & attrs.keys():
            if not found[key][1](attrs[key]):
                return key
        return None

    def to_attrs(self) -> dict[str, Any]:
        """Return the attributes to be written: of the fields that are not at their default."""
        return {
            each.metadata["name"] or each.name: _plain(value)
            for each in fields(self)  # type: ignore[arg-type]
            if each.metadata and (value := getattr(self, each.name)) != each.default
        }


@cache
def _attributes_of(record: type) -> dict[str, tuple[str, Test]]:
    return {
        each.metadata["name"] or each.name: (each.name, each.metadata["test"])
        for each in fields(record)
        if each.metadata
    }


def _plain(value: Any) -> Any:
    if isinstance(value, tuple):
        return list(value)
    return value.to_json() if hasattr(value, "to_json") else value
