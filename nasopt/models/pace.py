"""`Pace`: how long a training takes, by what the trials of a search took."""

from collections.abc import Sequence
from functools import cached_property

from nasopt.analysis.record import Record
from nasopt.search.deadline import expected_seconds
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
        finished.sort(key=lambda trial: trial.datetime_complete or trial.datetime_start)  # type: ignore[arg-type, return-value]
        return [TrialRecord.of(trial) for trial in reversed(finished)]

    def seconds(self, evaluation: Evaluation, ledger: Ledger) -> float:
        """Return how long the epochs of `evaluation` take that `ledger` does not know.

        It is 0 where that cannot be known.
        """
        epochs = evaluation.recipe.epochs - len(ledger.results(evaluation.key))
        macs = self.experiment.cost(evaluation.architecture).macs
        return self._images(evaluation) * expected_seconds(macs, epochs, self._before)

    def _images(self, evaluation: Evaluation) -> float:
        """Return how many times the images of a trial of the search it trains on."""
        if evaluation.dataset.fingerprint == self.experiment.data.fingerprint:
            return 1.0
        train, validation = self.experiment.data.counts
        return (train + validation) / train
