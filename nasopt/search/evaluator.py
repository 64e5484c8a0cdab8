"""`Evaluator`: the place where evaluations become epochs: a device, a database, its ledger."""

import copy
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from functools import cached_property, partial
from pathlib import Path

from nasopt.data import Seen
from nasopt.search.backend import Resources
from nasopt.search.experiment import Experiment
from nasopt.search.resume import is_finished
from nasopt.search.room import Room
from nasopt.space.architecture import Architecture
from nasopt.space.model import Cost
from nasopt.storage.attributes import EXPERIMENT
from nasopt.storage.latencies import Latencies
from nasopt.storage.ledger import Ledger
from nasopt.storage.opening import folders, locks_of, open_storage
from nasopt.storage.rdb import Storage
from nasopt.storage.record import threads_of
from nasopt.training.devices import find_device, suitable_threads, threads_here
from nasopt.training.evaluation import EpochResult, Evaluation, HasKey
from nasopt.training.latency import Setting, measured, network_key, setting_on
from nasopt.training.profiling import Timer, no_timer


@dataclass(frozen=True)
class TimedCost(Cost):
    """A cost whose latency is measured once it is looked at, unless the ledger knows it."""

    measure: Callable[[], float]

    @cached_property
    def latency(self) -> float:
        return self.measure()


class Evaluator:
    """The parts that a training needs, without the evaluation.

    Images are loaded at once, or, with trains=False, read once to see that it can be done.

    Raises an error for a wrong device, data set or database, in this order, before the database is
    made.
    """

    def __init__(
        self,
        experiment: Experiment,
        storage: str | Path | None = None,
        device: str = "auto",
        *,
        trains: bool = True,
    ) -> None:
        self.experiment = experiment
        self.device = find_device(device)
        self.backend = experiment.backend
        if trains:
            self.images = self.backend.load(self.device)
        else:
            self.backend.check()
        self.location = default_location(experiment) if storage is None else storage
        self.room: Room | None = None  # if this process trains several networks at once
        self._open()

    def _open(self) -> None:
        self.storage: Storage = open_storage(self.location)
        self.ledger = Ledger(
            self.storage.engine, folders(self.storage).checkpoints, metric=self.experiment.metric
        )
        self.latencies = Latencies(self.storage.engine)
        self.locks = locks_of(self.storage)

    def beside(self) -> "Evaluator":
        """Return one for another thread, which has the same images and opens the database anew."""
        self.room = self.room or Room()
        other = copy.copy(self)
        other._open()
        return other

    def beside_others(self, stop: Callable[[], bool]) -> AbstractContextManager[None]:
        """Return a block for a training that is no trial's; see `Room`."""
        return nullcontext() if self.room is None else self.room.beside_others(stop)

    @cached_property
    def images(self) -> Seen | None:
        """The images that may be seen, on the device if there is room."""
        return self.backend.load(self.device)

    @property
    def resources(self) -> Resources:
        return Resources(self.device, self.images, self.ledger, self.locks)

    @cached_property
    def threads(self) -> int | None:
        """The number of CPU threads that a training has here; None if it is trained elsewhere.

        It is as many as another study of the experiment in this database began with, since results
        depend on them; else as many as suit a typical network.
        """
        macs = self.experiment.batch_macs if self.device.type == "cpu" else None
        if macs is None:
            return None
        experiment = self.experiment.record.to_json()
        for study in self.storage.get_all_studies():
            known = threads_of(study.user_attrs)
            if known is not None and study.user_attrs.get(EXPERIMENT) == experiment:
                return threads_here(known)
        return threads_here(suitable_threads(macs))

    @cached_property
    def latency_setting(self) -> Setting | None:
        """Where and how latencies are measured; None if neither limit nor objective is one.

        None as well where a table has them.
        """
        measured = self.experiment.is_timed and self.experiment.backend.takes_time
        return setting_on(self.device, self.threads) if measured else None

    @property
    def timed_on(self) -> str | None:
        """Where latencies come from, in words; None if none is asked for."""
        if self.experiment.is_timed and not self.experiment.backend.takes_time:
            return "as the table has it"
        return None if self.latency_setting is None else str(self.latency_setting)

    def cost(self, network: HasKey) -> Cost:
        """Return the cost of a network, with its latency on this device if that is asked for."""
        cost = self.experiment.cost(network)
        setting = self.latency_setting
        if setting is None:
            return cost
        assert isinstance(network, Architecture)
        of = network, self.experiment.data.input_shape, self.experiment.data.classes

        def seconds() -> float:
            measure = partial(measured, *of, self.device, setting)
            return self.latencies.median(network_key(*of), setting, measure)

        return TimedCost(cost.parameters, cost.macs, seconds)

    def epochs(
        self,
        evaluation: Evaluation,
        stop: Callable[[], bool] = lambda: False,
        threads: int | None = None,
        timer: Timer = no_timer,
    ) -> Iterator[EpochResult]:
        """Return the results of `evaluation`, of which only those not known yet are paid for.

        `threads` is the number of a study that has one of its own; `timer` is told the parts of the
        time.
        """
        using = replace(self.resources, threads=threads or self.threads, stop=stop, timer=timer)
        return self.backend.epochs(evaluation, using)

    def epochs_left(self, evaluation: Evaluation) -> int:
        """Return how many epochs have to be trained until all of `evaluation` are known.

        They are all of them if the training cannot go on from where it was left.
        """
        known = self.ledger.results(evaluation.key)
        if is_finished(evaluation, known):
            return 0
        return evaluation.recipe.epochs - (len(known) if self.backend.keeps_state else 0)


def default_location(experiment: Experiment) -> str:
    return f"runs/{experiment.name}.db"
