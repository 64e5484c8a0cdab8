"""How long the trainings of the finals take, by what the trials of a search took."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Self

import optuna
from optuna.trial import FrozenTrial

from nasopt.analysis.record import Record
from nasopt.analysis.reranking import finalists
from nasopt.models.references import references
from nasopt.search.deadline import Deadline, expected_seconds
from nasopt.search.experiment import Experiment
from nasopt.storage.ledger import Ledger
from nasopt.storage.record import TrialRecord
from nasopt.training.evaluation import Evaluation


class Pace:
    """The pace of the finished trials of `studies`, by which further trainings are foretold."""

    def __init__(self, studies: Sequence[Record], experiment: Experiment) -> None:
        self.studies, self.experiment = studies, experiment

    @cached_property
    def _before(self) -> list[TrialRecord]:
        """The trials that were trained to their end, the latest first."""
        finished = [trial for study in self.studies for trial in study.complete]
        ended = {id(each): str(each.datetime_complete) for each in finished}
        finished.sort(key=lambda each: ended[id(each)], reverse=True)
        return [TrialRecord.of(trial) for trial in finished]

    def of(self, macs: int, epochs: int, *, all_images: bool = False) -> float:
        """Return how long so many epochs of a network take; 0 where that cannot be known.

        With `all_images` they are of the validation images as well.
        """
        train, validation = self.experiment.data.counts
        times = (train + validation) / train if all_images else 1.0
        return times * expected_seconds(macs, epochs, self._before)

    def seconds(self, evaluation: Evaluation, ledger: Ledger) -> float:
        """Return how long the epochs of `evaluation` take that `ledger` does not know."""
        epochs = evaluation.recipe.epochs - len(ledger.results(evaluation.key))
        macs = self.experiment.cost(evaluation.architecture).macs
        own = evaluation.dataset.fingerprint == self.experiment.data.fingerprint
        return self.of(macs, epochs, all_images=not own)


class TimeForFinals:
    """The seconds that the finals of a search would take, after each of its trials: a callback.

    `top` networks are trained `seeds` times, then the best of them and the references.
    """

    def __init__(self, experiment: Experiment, top: int, seeds: int) -> None:
        self.experiment, self.top, self.seeds = experiment, top, seeds
        self.seconds = 0.0  # nothing is known before the first trial

    @cached_property
    def _references(self) -> list[int]:
        """The MACs of the references."""
        problem = replace(self.experiment.problem, limits=self.experiment.known_limits)
        found, _ = references(self.experiment, [], problem)
        return [self.experiment.cost(each.architecture).macs for each in found]

    def __call__(self, study: optuna.Study, trial: FrozenTrial | None = None) -> None:
        """Tell anew how long they take, by the trials of `study` as they are now."""
        record = Record.of(study)
        best = [TrialRecord.of(each).macs or 0 for _, each in finalists([record], self.top)]
        if not best:
            return
        pace, epochs = Pace([record], self.experiment), self.experiment.recipe.epochs
        again = sum(pace.of(macs, epochs) for macs in best) / len(best) * self.top
        final = [pace.of(m, epochs, all_images=True) for m in (best[0], *self._references)]
        self.seconds = self.seeds * (again + sum(final))


@dataclass(frozen=True)
class KeptBack(Deadline):
    """The deadline of a search that leaves the time of its finals."""

    kept: TimeForFinals = field(kw_only=True)

    @classmethod
    def before(cls, deadline: Deadline, kept: TimeForFinals) -> Self:
        return cls(deadline.seconds, deadline.moment, kept=kept)

    @property
    def left(self) -> float:
        return super().left - self.kept.seconds
