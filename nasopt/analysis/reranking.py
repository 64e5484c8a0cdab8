"""The best networks of a search, and what became of their order when they were trained again."""

import math
import statistics
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from optuna.trial import FrozenTrial

from nasopt.analysis.outcome import rank
from nasopt.analysis.record import Record
from nasopt.storage.record import TrialRecord
from nasopt.text import accuracy, several
from nasopt.training.metrics import in_words, with_article


@dataclass(frozen=True)
class Candidate:
    """One of the best networks: `seen` is what the search chose it for, luck included.

    `fresh` are its scores with other training seeds.
    """

    study: str
    number: int  # of the trial
    seen: float
    parameters: int | None
    macs: int | None
    fresh: tuple[float, ...] = ()

    @property
    def mean(self) -> float:
        return statistics.fmean(self.fresh)

    @property
    def error(self) -> float | None:
        """The standard error of that mean; None for a single seed."""
        if len(self.fresh) < 2:
            return None
        return statistics.stdev(self.fresh) / math.sqrt(len(self.fresh))

    @property
    def name(self) -> str:
        return f"trial {self.number} of {self.study}"

    def to_json(self) -> dict[str, Any]:
        return {**asdict(self), "mean": self.mean, "error": self.error}


@dataclass(frozen=True)
class Reranking:
    """Candidates as the search saw them, best first, and as they are once trained again.

    All are scored by `metric` on the validation images.
    """

    candidates: tuple[Candidate, ...]
    metric: str = "accuracy"

    @property
    def ranked(self) -> tuple[Candidate, ...]:
        """The candidates by their fresh scores, best first; of equal ones the least work."""
        work = {id(each): math.inf if each.macs is None else each.macs for each in self.candidates}
        return tuple(sorted(self.candidates, key=lambda each: (-each.mean, work[id(each)])))

    @property
    def winner(self) -> Candidate:
        return self.ranked[0]

    @property
    def held(self) -> bool:
        """True if the order stayed as the search saw it."""
        return self.ranked == self.candidates

    @property
    def verdict(self) -> str:
        """What became of the order, in a sentence or two."""
        if len(self.candidates) == 1:
            return "There was one network to rank."
        first, seeds = self.candidates[0], several(len(self.candidates[0].fresh), "other seed")
        seen = f"{in_words(self.metric)} {accuracy(first.seen)} as seen"
        fell = f"{first.name}: {seen}, {accuracy(first.mean)} with {seeds}"
        if self.held:
            return f"The order held. The first is {fell}."
        if self.winner == first:
            return f"The first stayed the first, the order behind it did not hold. It is {fell}."
        place = self.candidates.index(self.winner) + 1
        return (
            f"The order did not hold: number {place} as the search saw it, {self.winner.name}, "
            f"comes first with {with_article(self.metric)} of {accuracy(self.winner.mean)}. The "
            f"first was {fell}."
        )

    def to_json(self) -> dict[str, Any]:
        return {
            "metric": self.metric,
            "candidates": [each.to_json() for each in self.candidates],
            "held": self.held,
            "verdict": self.verdict,
        }


def finalists(studies: Iterable[Record], top: int) -> list[tuple[Record, FrozenTrial]]:
    """Return the trials of the `top` best different networks of all `studies`, best first."""
    complete = [(study, trial) for study in studies for trial in study.complete]
    found: dict[str, tuple[Record, FrozenTrial]] = {}
    for study, trial in sorted(complete, key=lambda pair: rank(pair[1])):
        network = study.experiment.network_space.decode(trial.params)
        found.setdefault(network.key, (study, trial))
    return list(found.values())[:top]


def candidate(study: Record, trial: FrozenTrial, fresh: Sequence[float]) -> Candidate:
    known = TrialRecord.of(trial)
    return Candidate(
        study.name, trial.number, trial.values[0], known.parameters, known.macs, tuple(fresh)
    )
