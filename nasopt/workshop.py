"""`Workshop`: where an experiment's evaluations are trained: its images on a device, its ledger."""

from collections.abc import Callable, Iterator
from pathlib import Path

from nasopt.claims import Storage
from nasopt.evaluation import EpochResult, Evaluation
from nasopt.experiment import Experiment
from nasopt.ledger import Ledger
from nasopt.paid import paid_epochs
from nasopt.storage import folders, open_storage
from nasopt.training import Trainer, find_device


class Workshop:
    """All that a training needs but the evaluation.

    Raises whatever a user can get wrong about device, data and database, in this order, before
    the database is made.
    """

    def __init__(
        self, experiment: Experiment, storage: str | Path | None = None, device: str = "auto"
    ) -> None:
        self.experiment = experiment
        self.benchmark = experiment.benchmark
        if self.benchmark is None:
            self.splits = experiment.data.load(find_device(device))
        self.location = default_location(experiment) if storage is None else storage
        self.storage: Storage = open_storage(self.location)
        self.ledger = Ledger(self.storage.engine, folders(self.storage).checkpoints)

    def epochs(
        self, evaluation: Evaluation, stop: Callable[[], bool] = lambda: False
    ) -> Iterator[EpochResult]:
        """The results of `evaluation`, of which only those not known yet are paid for."""
        if self.benchmark is not None:
            return self.benchmark.results(evaluation)
        return paid_epochs(evaluation, self.ledger, self._trainer, stop)

    def _trainer(self, evaluation: Evaluation) -> Trainer:
        classes = self.experiment.data.classes
        return Trainer(evaluation, self.splits.train, self.splits.validation, classes)


def default_location(experiment: Experiment) -> str:
    return f"runs/{experiment.name}.db"
