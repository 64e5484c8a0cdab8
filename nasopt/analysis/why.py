"""The reason for a trial: what the sampler's model held of it, against what came."""

from dataclasses import asdict, dataclass
from typing import Any, Self

import optuna

from nasopt.analysis.outcome import outcome
from nasopt.analysis.record import Record
from nasopt.analysis.shown import Shown
from nasopt.errors import StudyError


@dataclass(frozen=True)
class Why(Shown):
    """The accuracy `expected` with a 95 % interval, and the one `seen` (None: there is none yet).

    `weights` are the shares of the model's inputs, the largest first; `nearest` the known
    trials that it held for most alike, as (number, distance, accuracy).
    """

    study: str
    number: int
    state: str
    expected: float
    low: float
    high: float
    seen: float | None
    weights: dict[str, float]
    nearest: tuple[tuple[int, float, float | None], ...]

    @classmethod
    def of(cls, study: optuna.Study, number: int) -> Self:
        """Return the reason for a trial.

        Raises StudyError if there is no such trial, or no model had a say in it.
        """
        trial = outcome(study, number)
        held = trial.record.prediction
        if held is None:
            raise StudyError(f"why={number}: {_unexplained(Record.of(study).sampler)}")
        return cls(
            study=study.study_name,
            number=number,
            state=trial.state,
            expected=held.expected,
            low=held.low,
            high=held.high,
            seen=trial.accuracy,
            weights=held.weights,
            nearest=tuple((each.trial, each.distance, each.value) for each in held.nearest),
        )

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


def _unexplained(sampler: str) -> str:
    if not sampler.lower().startswith("surrogate"):  # by name, or an object of the class
        return f"{sampler} keeps no reasons; surrogate does"
    return (
        "chosen before there was a model, or not by it (the first trials are spread out); "
        "ask for a later one"
    )
