"""`Evaluator`: the place where evaluations are trained: the images on a device, the ledger."""

import json
from collections.abc import Callable, Iterator, Mapping
from functools import cached_property, partial
from pathlib import Path
from typing import Any

from nasopt.data import Splits
from nasopt.search.experiment import Experiment
from nasopt.search.resume import paid_epochs
from nasopt.storage.ledger import Ledger
from nasopt.storage.opening import folders, locks_of, open_storage
from nasopt.storage.rdb import EXPERIMENT, THREADS, Storage
from nasopt.training.devices import find_device, has_room, suitable_threads, threads_here
from nasopt.training.evaluation import EpochResult, Evaluation
from nasopt.training.profiling import Timer, no_timer
from nasopt.training.trainer import Trainer


class Evaluator:
    """The parts that a training needs, without the evaluation.

    Raises an error for a wrong device, data set or database, in this order, before the database is
    made. `timer`, which may be set, is told the parts of a training's time.
    """

    def __init__(
        self,
        experiment: Experiment,
        storage: str | Path | None = None,
        device: str = "auto",
    ) -> None:
        self.experiment = experiment
        self.timer: Timer = no_timer
        self.device = find_device(device)
        self.benchmark = experiment.benchmark
        if self.benchmark is None:
            self.splits = self._loaded()
        self.location = default_location(experiment) if storage is None else storage
        self.storage: Storage = open_storage(self.location)
        self.ledger = Ledger(self.storage.engine, folders(self.storage).checkpoints)
        self.locks = locks_of(self.storage)

    @cached_property
    def threads(self) -> int | None:
        """The number of CPU threads that a training has here; None if it is trained elsewhere.

        It is as many as another study of the experiment in this database began with, since results
        depend on them; else as many as suit a typical network.
        """
        if self.benchmark is not None or self.device.type != "cpu":
            return None
        experiment = json.loads(json.dumps(self.experiment.describe()))
        for study in self.storage.get_all_studies():
            known = threads_of(study.user_attrs)
            if known is not None and study.user_attrs.get(EXPERIMENT) == experiment:
                return threads_here(known)
        return threads_here(suitable_threads(self.experiment.batch_macs))

    def epochs(
        self,
        evaluation: Evaluation,
        stop: Callable[[], bool] = lambda: False,
        threads: int | None = None,
    ) -> Iterator[EpochResult]:
        """Return the results of `evaluation`, of which only those not known yet are paid for.

        `threads` is the number of a study that has one of its own.
        """
        if self.benchmark is not None:
            return self.benchmark.results(evaluation)
        trainer = partial(self._trainer, threads=threads or self.threads)
        return paid_epochs(evaluation, self.ledger, trainer, stop, self.timer, self.locks)

    def _trainer(self, evaluation: Evaluation, threads: int | None) -> Trainer:
        train, validation, _ = self.splits
        return Trainer(
            evaluation, train, validation, self.experiment.data.classes,
            device=self.device, threads=threads, timer=self.timer,
        )  # fmt: skip

    def _loaded(self) -> Splits:
        """Load the images to the device if there is room, else to the host.

        Batches are copied from there.
        """
        splits = self.experiment.data.load()
        size = sum(tensor.nbytes for split in splits for tensor in split)
        return self.experiment.data.load(self.device) if has_room(self.device, size) else splits


def threads_of(attrs: Mapping[str, Any]) -> int | None:
    """Return the number of threads in the user attributes of a study, if they have one."""
    number = attrs.get(THREADS)
    return number if type(number) is int and number > 0 else None


def default_location(experiment: Experiment) -> str:
    return f"runs/{experiment.name}.db"
