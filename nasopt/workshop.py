"""`Workshop`: where an experiment's evaluations are trained: its images on a device, its ledger."""

from collections.abc import Callable, Iterator
from pathlib import Path

from nasopt.claims import Storage
from nasopt.data import Splits
from nasopt.devices import find_device, has_room
from nasopt.evaluation import EpochResult, Evaluation
from nasopt.experiment import Experiment
from nasopt.ledger import Ledger
from nasopt.paid import paid_epochs
from nasopt.profiling import Lap, no_lap
from nasopt.storage import folders, locks_of, open_storage
from nasopt.training import Trainer


class Workshop:
    """All that a training needs but the evaluation.

    Raises whatever a user can get wrong about device, data and database, in this order, before
    the database is made. `lap`, which may be set, is told what the time of a training goes into.
    """

    def __init__(
        self,
        experiment: Experiment,
        storage: str | Path | None = None,
        device: str = "auto",
    ) -> None:
        self.experiment = experiment
        self.lap: Lap = no_lap
        self.device = find_device(device)
        self.benchmark = experiment.benchmark
        if self.benchmark is None:
            self.splits = self._loaded()
        self.location = default_location(experiment) if storage is None else storage
        self.storage: Storage = open_storage(self.location)
        self.ledger = Ledger(self.storage.engine, folders(self.storage).checkpoints)
        self.locks = locks_of(self.storage)

    def epochs(
        self, evaluation: Evaluation, stop: Callable[[], bool] = lambda: False
    ) -> Iterator[EpochResult]:
        """The results of `evaluation`, of which only those not known yet are paid for."""
        if self.benchmark is not None:
            return self.benchmark.results(evaluation)
        return paid_epochs(evaluation, self.ledger, self._trainer, stop, self.lap, self.locks)

    def _trainer(self, evaluation: Evaluation) -> Trainer:
        classes = self.experiment.data.classes
        train, validation, _ = self.splits
        return Trainer(evaluation, train, validation, classes, device=self.device, lap=self.lap)

    def _loaded(self) -> Splits:
        """On the device if there is room; else on the host, from where batches are copied."""
        splits = self.experiment.data.load()
        size = sum(tensor.nbytes for split in splits for tensor in split)
        return self.experiment.data.load(self.device) if has_room(self.device, size) else splits


def default_location(experiment: Experiment) -> str:
    return f"runs/{experiment.name}.db"
