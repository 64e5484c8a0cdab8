"""The open fields of layers and recipes: the choices that a search makes.

A layer or a recipe with an open field is a set of layers or recipes; a trial chooses one.
"""

import math
import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from nasopt.errors import SpaceError, spelled

Choice = bool | int | float | str


class Suggests(Protocol):
    """The part of an `optuna.Trial` that a field needs."""

    def suggest_categorical(self, name: str, choices: Sequence[Any], /) -> Any: ...

    def suggest_int(self, name: str, low: int, high: int, /, *, step: int = 1) -> int: ...

    def suggest_float(
        self, name: str, low: float, high: float, /, *, log: bool = False
    ) -> float: ...


@dataclass(frozen=True)
class Categorical:
    """An open field with a few values that have no order."""

    choices: tuple[Choice, ...]

    @property
    def size(self) -> int:
        return len(self.choices)

    @property
    def candidates(self) -> Sequence[Choice]:
        return self.choices

    @property
    def boundary_values(self) -> Sequence[Any]:
        """The values to check: if they are valid, every candidate is."""
        return self.choices

    def __contains__(self, value: Any) -> bool:
        return value in self.choices

    def suggest(self, trial: Suggests, name: str) -> Choice:
        choice: Choice = trial.suggest_categorical(name, self.choices)
        return choice

    def to_json(self) -> dict[str, list[Choice]]:
        return {"categorical": list(self.choices)}

    def __repr__(self) -> str:
        return f"categorical({', '.join(map(repr, self.choices))})"


@dataclass(frozen=True)
class Integer:
    """An open field with the whole numbers `low`, `low + step`, ..., `high`."""

    low: int
    high: int
    step: int = 1

    @property
    def size(self) -> int:
        return (self.high - self.low) // self.step + 1  # len() of a range fails beyond 2**63

    @property
    def candidates(self) -> Sequence[int]:
        return range(self.low, self.high + 1, self.step)

    @property
    def boundary_values(self) -> Sequence[Any]:
        """The ends and the second value, which with the first shows the parity of all."""
        return sorted({*self.candidates[:2], self.candidates[-1]})

    def __contains__(self, value: Any) -> bool:
        return type(value) is int and value in self.candidates

    def suggest(self, trial: Suggests, name: str) -> int:
        return trial.suggest_int(name, self.low, self.high, step=self.step)

    def to_json(self) -> dict[str, list[int]]:
        return {"integer": [self.low, self.high, self.step]}

    def __repr__(self) -> str:
        step = f", step={self.step}" if self.step != 1 else ""
        return f"integer({self.low}, {self.high}{step})"


@dataclass(frozen=True)
class Real:
    """An open field with the real numbers from `low` to `high`, on a log scale if `log`."""

    low: float
    high: float
    log: bool = False

    @property
    def size(self) -> float:
        return 1 if self.low == self.high else math.inf

    @property
    def boundary_values(self) -> Sequence[Any]:
        return (self.low, self.high)

    def __contains__(self, value: Any) -> bool:
        return isinstance(value, int | float) and self.low <= value <= self.high

    def suggest(self, trial: Suggests, name: str) -> float:
        return trial.suggest_float(name, self.low, self.high, log=self.log)

    def to_json(self) -> dict[str, list[float | bool]]:
        return {"real": [self.low, self.high, self.log]}

    def __repr__(self) -> str:
        return f"real({self.low}, {self.high}{', log=True' if self.log else ''})"


Open = Categorical | Integer | Real


@spelled(SpaceError)
def categorical(*choices: Choice) -> Categorical:
    """Return a field open to `choices`: numbers, strings or booleans, no two of them equal.

    Raises SpaceError for other choices, or if there are none.
    """
    if not choices:
        raise SpaceError("categorical(): no choices; give at least one")
    for position, choice in enumerate(choices):
        if not isinstance(choice, Choice):
            raise SpaceError(
                f"categorical(): choice {choice!r} is a {type(choice).__name__}; "
                "give numbers, strings or booleans, one argument each"
            )
        if isinstance(choice, float) and not math.isfinite(choice):
            raise SpaceError(f"categorical(): choice {choice!r} is not finite; leave it out")
        if choice in choices[:position]:  # 1 == True == 1.0: one choice to Optuna's storage too
            raise SpaceError(f"categorical(): {choice!r} stands there twice; leave one out")
    return Categorical(choices)


@spelled(SpaceError)
def integer(low: int, high: int, step: int = 1) -> Integer:
    """Return a field open to the whole numbers from `low` to `high`, in steps of `step`.

    Both ends are included. If the steps do not meet `high`, the last one below it is the highest
    candidate.

    Raises SpaceError for arguments that make no such range.
    """
    for name, value in (("low", low), ("high", high), ("step", step)):
        if type(value) is not int:
            raise SpaceError(f"integer(): {name}={value!r} is no whole number; use int({value!r})")
    if low > high:
        raise SpaceError(f"integer(): low={low} is above high={high}; swap them")
    if step < 1:
        raise SpaceError(f"integer(): step={step}: use 1 or more")
    return Integer(low, high - (high - low) % step, step)


@spelled(SpaceError)
def real(low: float, high: float, *, log: bool = False) -> Real:
    """Return a field open to the real numbers from `low` to `high`.

    With `log` the scale is logarithmic: small and large magnitudes count alike.

    Raises SpaceError for arguments that make no such range.
    """
    for name, value in (("low", low), ("high", high)):
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise SpaceError(f"real(): {name}={value!r} is no number; give one")
        if not math.isfinite(value):
            raise SpaceError(f"real(): {name}={value!r} is not finite; give a number")
    if low > high:
        raise SpaceError(f"real(): low={low} is above high={high}; swap them")
    if log and low <= 0:
        raise SpaceError(f"real(): low={low} has no logarithm; use a positive one or log=False")
    return Real(float(low), float(high), log)


def field_from_json(value: Any) -> Any:
    """Return the open field that `to_json` wrote, or the chosen value itself.

    Raises SpaceError for an invalid field.
    """
    if not isinstance(value, dict):
        return value
    ((kind, arguments),) = value.items()
    if kind == "real":
        low, high, log = arguments
        return real(low, high, log=log)
    return integer(*arguments) if kind == "integer" else categorical(*arguments)


def field_to_json(value: Any) -> Any:
    """Return an open field as a one-entry dict that names its kind; a chosen value as itself."""
    return value.to_json() if isinstance(value, Open) else value


class RandomTrial:
    """A trial that draws each value at random, uniformly on the scale of its field."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)

    def suggest_categorical(self, name: str, choices: Sequence[Any], /) -> Any:
        return self.random.choice(choices)

    def suggest_int(self, name: str, low: int, high: int, /, *, step: int = 1) -> int:
        return self.random.randrange(low, high + 1, step)

    def suggest_float(self, name: str, low: float, high: float, /, *, log: bool = False) -> float:
        if log:
            drawn = math.exp(self.random.uniform(math.log(low), math.log(high)))
            return min(max(drawn, low), high)  # exp(log(0.1)) is above 0.1
        return self.random.uniform(low, high)
