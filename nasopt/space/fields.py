"""Open fields: the choices that a search makes.

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
    """One of a few values without an order."""

    choices: tuple[Choice, ...]

    @property
    def size(self) -> int:
        return len(self.choices)

    @property
    def candidates(self) -> Sequence[Choice]:
        return self.choices

    @property
    def boundary_values(self) -> Sequence[Any]:
        """Values whose being right makes every candidate right."""
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
    """A whole number of `low`, `low + step`, ..., `high`."""

    low: int
    high: int
    step: int = 1

    @property
    def size(self) -> int:
        return (self.high - self.low) // self.step + 1  # of a range beyond 2**63 there is no len

    @property
    def candidates(self) -> Sequence[int]:
        return range(self.low, self.high + 1, self.step)

    @property
    def boundary_values(self) -> Sequence[Any]:
        """The ends, and the second value: with the first it shows the parity of all."""
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
    """A real number from `low` to `high`, on a logarithmic scale where `log` says so."""

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
    """One of `choices`: numbers, strings or booleans, no two of them equal."""
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
    """A whole number from `low` to `high`, both included, in steps of `step`.

    Where the steps do not meet `high`, the last one below it is the highest candidate.
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
    """A real number from `low` to `high`; with `log` small and large magnitudes alike."""
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
    """The open field that `to_json` wrote, or the chosen value itself.

    Raises SpaceError for one that cannot be.
    """
    if not isinstance(value, dict):
        return value
    ((kind, arguments),) = value.items()
    if kind == "real":
        low, high, log = arguments
        return real(low, high, log=log)
    return integer(*arguments) if kind == "integer" else categorical(*arguments)


def field_to_json(value: Any) -> Any:
    """An open field as a one-entry dict that names its kind; a chosen value as itself."""
    return value.to_json() if isinstance(value, Open) else value


class RandomTrial:
    """A trial that chooses each value at random, all of them alike."""

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
