"""The accuracies that a sampler's model expected of its trials, against those that were seen."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from optuna.trial import TrialState

from nasopt.analysis.record import Record
from nasopt.storage.record import TrialRecord

FEWEST = 5


@dataclass(frozen=True)
class Expectation:
    """The accuracy `expected` of one trial with a 95 % interval, and the one that was `seen`."""

    study: str
    number: int
    expected: float
    low: float
    high: float
    seen: float

    @property
    def within(self) -> bool:
        return self.low <= self.seen <= self.high


@dataclass(frozen=True)
class Predictions:
    """The expectations; `typical` is the median distance between expected and seen accuracies."""

    trials: tuple[Expectation, ...] = field(repr=False)
    within: float  # share of the trials that are in their interval
    typical: float

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


def predictions(studies: Sequence[Record]) -> Predictions | None:
    """Return the predictions for trials that were trained to their end; None if too few."""
    trials = tuple(
        Expectation(study.name, trial.number, held.expected, held.low, held.high, trial.values[0])
        for study in studies
        for trial in study.counted
        if trial.state is TrialState.COMPLETE and (held := TrialRecord.of(trial).prediction)
    )
    if len(trials) < FEWEST:
        return None
    distances = sorted(abs(each.expected - each.seen) for each in trials)
    within = sum(each.within for each in trials) / len(trials)
    return Predictions(trials, within, distances[len(distances) // 2])
