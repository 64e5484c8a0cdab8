"""The errors that a user can cause, as one family: a line names the field, value and remedy.

    Error
     +- SpaceError     an invalid field, layer, space, architecture or limit
     +- RecipeError    an invalid recipe or experiment
     +- DataError      images that are missing, damaged or do not fit
     +- BenchmarkError a benchmark, or a table of one, that cannot be used
     +- StudyError     a study file, a name, or a study that cannot go on as asked
     |   +- Unsuitable a sampler that cannot handle the experiment
     +- StorageError   a database that cannot be opened, read or written
     |   +- Unavailable a server that does not answer, but may again
     +- TrackerError   a tracker that is not installed, or cannot be written to
     +- AddressError   a host or port where the dashboard cannot listen
     +- ModelError     a model folder that cannot be written or read
     +- OutOfMemory    a network that does not fit the device: ends a trial, never a study

Any other exception is a bug in nasopt and keeps its traceback.
"""

import difflib
import inspect
import unicodedata
from collections.abc import Callable, Iterable
from dataclasses import MISSING, fields
from functools import wraps
from typing import Any, ParamSpec, Self, TypeVar

LONGEST_NAME = 400  # of the 512 characters that Optuna's tables have for "name/sampler/seed"


class Error(Exception):
    """The base of all errors that a user can cause and fix."""


class SpaceError(Error):
    """An invalid field, layer, space, architecture or limit."""


class RecipeError(Error):
    """An invalid recipe or experiment."""


class DataError(Error):
    """Images that are missing, damaged or do not fit."""


class BenchmarkError(Error):
    """A benchmark, or a table of one, that cannot be used."""


class StudyError(Error):
    """A study file, a name, or a study that cannot go on as asked."""


class Unsuitable(StudyError):
    """A sampler that cannot handle the experiment; others can."""


class StorageError(Error):
    """A database that cannot be opened, read or written."""


class Unavailable(StorageError):
    """A server that does not answer, but may again: `what` it says, and the remedy."""

    def __init__(self, what: str, remedy: str) -> None:
        super().__init__(f"{what}; {remedy}")
        self.what = what


class TrackerError(Error):
    """A tracker that is not installed, or cannot be written to."""


class AddressError(Error):
    """A host or port where the dashboard cannot listen."""


class ModelError(Error):
    """A model folder that cannot be written or read."""


class OutOfMemory(Error):
    """A network that does not fit the device's memory."""


def closest(value: str, choices: Iterable[str]) -> str:
    """Return the remedy for an unknown name: the closest choice, or all of them."""
    names = sorted(choices)
    match = difflib.get_close_matches(str(value), names, n=1, cutoff=0.6)
    return f"did you mean {match[0]}?" if match else f"choose from {', '.join(names)}"


def check_name(name: Any, field: str, error: type[Error]) -> None:
    """Raise `error` for a name that a terminal, a file or a server's database cannot hold."""
    if not isinstance(name, str) or not name.strip():
        raise error(f"{field}={name!r}: give it a name")
    if len(name) > LONGEST_NAME:
        raise error(
            f"{field}={name[:20]!r}...: {len(name):,} characters; use {LONGEST_NAME} or fewer"
        )
    for each in name:
        if unicodedata.category(each) in ("Cc", "Cs"):  # control characters, halves of a surrogate
            raise error(f"{field}={name!r}: {each!r} cannot be stored or shown; leave it out")


P = ParamSpec("P")
T = TypeVar("T")


def spelled(error: type[Error]) -> Callable[[Callable[P, T]], Callable[P, T]]:
    """Return a decorator that raises `error`, not TypeError, for arguments that do not fit.

    It is for functions that users call. The message for a mistyped keyword names the closest one.
    """

    def decorate(function: Callable[P, T]) -> Callable[P, T]:
        signature = inspect.signature(function)
        name = function.__name__

        @wraps(function)
        def checked(*args: P.args, **kwargs: P.kwargs) -> T:
            for keyword in kwargs:
                if keyword not in signature.parameters:
                    remedy = closest(keyword, signature.parameters)
                    raise error(f"{name}({keyword}=...): no such argument; {remedy}")
            try:
                signature.bind(*args, **kwargs)
            except TypeError as mismatch:
                raise error(f"{name}(): {mismatch}; write {name}{signature}") from mismatch
            return function(*args, **kwargs)

        return checked

    return decorate


class Spelled:
    """The base of the dataclasses that users write by hand.

    A field that is mistyped or missing is an error of the family, with the closest name; the
    `TypeError` of a plain dataclass would name neither.
    """

    _error: type[Error] = SpaceError

    def __new__(cls, *args: Any, **kwargs: Any) -> Self:
        known = {field.name: field for field in fields(cls) if field.init}  # type: ignore[arg-type]
        for name in kwargs:
            if name not in known:
                raise cls._error(f"{cls.__name__}.{name}: no such field; {closest(name, known)}")
        for name, field in known.items():
            required = field.default is MISSING and field.default_factory is MISSING
            if required and field.kw_only and name not in kwargs:
                raise cls._error(f"{cls.__name__}.{name}: missing; give {name}=...")
        return super().__new__(cls)

    def __reduce__(self) -> tuple[Any, ...]:
        # pickle and copy would call __new__ with no arguments at all
        return object.__new__, (type(self),), vars(self).copy()
