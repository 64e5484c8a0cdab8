"""The reason for a trial: what the sampler's model held of it, against what came."""

from dataclasses import asdict, dataclass
from typing import Any, Self

import optuna

from nasopt.analysis.outcome import outcome
from nasopt.analysis.record import sampler_of
from nasopt.errors import StudyError


@dataclass(frozen=True)
class Why:
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
        prediction = trial.attributes.get("belief")
        if prediction is None:
            raise StudyError(f"why={number}: {_unexplained(study, trial.attributes)}")
        near = tuple(
            (each["trial"], each["distance"], each["value"]) for each in prediction["nearest"]
        )
        names = ("expected", "low", "high", "weights")
        bounds = {name: prediction[name] for name in names}
        return cls(
            study.study_name, number, trial.state, **bounds, seen=trial.accuracy, nearest=near
        )

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


def _unexplained(study: optuna.Study, attributes: dict[str, Any]) -> str:
    sampler = str(study.user_attrs.get("sampler", sampler_of(study.study_name)))
    if not sampler.lower().startswith("surrogate"):  # by name, or an object of the class
        return f"{sampler} keeps no reasons; surrogate does"
    return (
        "chosen before there was a model, or not by it (the first trials are spread out); "
        "ask for a later one"
    )
