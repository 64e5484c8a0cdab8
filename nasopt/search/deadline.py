"""A budget of time: how it is written, when it is used, and what still fits into it."""

import math
import re
import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self

from nasopt.errors import RecipeError
from nasopt.storage.record import TrialRecord

UNITS = {"d": 86_400, "h": 3_600, "m": 60, "s": 1}  # in seconds
WORDS = re.compile("".join(rf"(?:(\d+(?:\.\d+)?){unit})?" for unit in UNITS))
ALIKE = 5  # trials that tell how long the next one takes


def read_seconds(text: str, option: str = "time") -> float:
    """Return a length of time in seconds, from a number of them or from "90m", "2h30m", "45s".

    Raises RecipeError for anything else.
    """
    found = WORDS.fullmatch(text.strip().lower())
    if found and any(found.groups()):
        return sum(
            float(amount or 0) * unit
            for amount, unit in zip(found.groups(), UNITS.values(), strict=True)
        )
    try:
        return float(text)
    except ValueError as error:
        raise RecipeError(
            f"{option}={text!r}: not a length of time; write 90m, 2h30m, 45s or a number of seconds"
        ) from error


@dataclass(frozen=True)
class Deadline:
    """The moment at which a budget of `seconds` is used.

    `moment` is of time.monotonic(), which each machine counts for itself. A deadline is pickled by
    the time of day, so that it means the same to workers on other hosts.
    """

    seconds: float
    moment: float

    @classmethod
    def after(cls, seconds: Any) -> Self:
        """Return the deadline `seconds` from now; None is no deadline.

        Raises RecipeError unless it is a number above 0.
        """
        if seconds is None:
            return cls(math.inf, math.inf)
        number = type(seconds) in (int, float) and math.isfinite(seconds)
        if not number or seconds <= 0:
            raise RecipeError(f"time={seconds!r}: give a number of seconds above 0")
        return cls(float(seconds), time.monotonic() + seconds)

    def __getstate__(self) -> dict[str, Any]:
        return {**vars(self), "moment": self.moment - time.monotonic() + time.time()}

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state, moment=time.monotonic() + state["moment"] - time.time())

    @property
    def left(self) -> float:
        """The seconds that are left: infinite without a deadline, below 0 after it."""
        return self.moment - time.monotonic()

    @property
    def is_set(self) -> bool:
        return math.isfinite(self.moment)

    @property
    def passed(self) -> bool:
        return self.left <= 0


NO_DEADLINE = Deadline.after(None)


def expected_seconds(macs: int, epochs: int, before: Sequence[TrialRecord]) -> float:
    """Return how long `epochs` of a network take, as if unpruned; 0 if that cannot be known.

    It is the median of the trials `before`, the latest first, whose networks are most like it in
    `macs`: of those on the device of the latest, since another one is faster or slower. (That of a
    training by the user's own function is not known, and counts as one.)
    """
    timed = [each for each in before if each.seconds and each.epochs]
    paces = sorted(
        (abs(math.log(max(1, macs) / max(1, each.macs or 0))), each.seconds / each.epochs)
        for each in timed
        if each.device == timed[0].device and each.seconds and each.epochs
    )
    return epochs * statistics.median([pace for _, pace in paces[:ALIKE]] or [0.0])
