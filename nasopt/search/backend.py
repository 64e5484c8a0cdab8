"""`Backend`: what gives the epochs of evaluations, training them or looking them up in a table."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any

from nasopt.analysis.evidence import Evidence, Table
from nasopt.benchmarks import Benchmark
from nasopt.data import Dataset, Seen
from nasopt.data.readers import Split
from nasopt.search.resume import Engine, paid_epochs
from nasopt.space import model
from nasopt.space.architecture import Architecture
from nasopt.space.features import Features, WithFeatures
from nasopt.space.limits import COSTS
from nasopt.space.space import Space
from nasopt.space.vectorized import Networks, Surveys
from nasopt.storage.ledger import Ledger
from nasopt.storage.locks import Locks
from nasopt.training.devices import has_room
from nasopt.training.evaluation import EpochResult, Evaluation, HasFingerprint, HasKey, Recipe
from nasopt.training.profiling import Timer, no_timer

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class Resources:
    """What a training needs besides its evaluation; `images` are those that a backend loads.

    `threads` are of the CPU. `stop` is asked after each batch; `timer` is told the parts of the
    time. `kept`, if given, keeps the weights of each network that is trained to its end.
    """

    device: "torch.device"
    images: Seen | None
    ledger: Ledger
    locks: Locks
    threads: int | None = None
    stop: Callable[[], bool] = lambda: False
    timer: Timer = no_timer
    kept: Ledger | None = None


class Backend(ABC):
    """What gives the epochs of the evaluations of one experiment.

    `costs` are the quantities of a network that are known before its training. `highest` is the
    highest accuracy that there can be. If `fresh_seeds`, every training seed is a training of its
    own: a winner can be trained again. Else there are only so many replicates: `evidence`.
    `knows_seconds` says whether it is known how long trainings take, `takes_time` whether they take
    that time now, `keeps_state` whether one that was stopped goes on from there.
    """

    costs: Sequence[str] = COSTS
    highest: float
    fresh_seeds: bool
    evidence: Evidence | None = None  # that is not in the ledger
    takes_time = True
    knows_seconds = True
    keeps_state = True

    @property
    @abstractmethod
    def dataset(self) -> HasFingerprint:
        """The data set, or the table, that evaluations are named by."""

    @property
    @abstractmethod
    def surveys(self) -> Surveys:
        """The costs and features of many networks at once."""

    @abstractmethod
    def cost(self, network: HasKey) -> model.Cost:
        """Return the cost of a network."""

    @abstractmethod
    def described(self) -> dict[str, Any]:
        """Return the recipe and the shape of an image as a study's record has them."""

    @abstractmethod
    def load(self, device: "torch.device") -> Seen | None:
        """Return the images that `epochs` needs, on `device` if there is room."""

    @abstractmethod
    def check(self) -> None:
        """Raise DataError if `load` would, and keep no images."""

    @abstractmethod
    def batch_macs(self, sample: Iterable[Evaluation]) -> list[float]:
        """Return the MACs of a batch of each of `sample`, forward; [] if nothing is computed."""

    @abstractmethod
    def epochs(self, evaluation: Evaluation, using: Resources) -> Iterator[EpochResult]:
        """Return the results of `evaluation`, of which only those not known yet are paid for."""


class Trained(Backend):
    """The networks of a space, trained by a recipe on a data set."""

    highest = 1.0
    fresh_seeds = True

    def __init__(
        self, space: Space, recipe: Recipe, data: Dataset, features: Features | None = None
    ) -> None:
        self.space = space
        self.recipe = recipe
        self.data = data
        self.features = features

    @property
    def dataset(self) -> HasFingerprint:
        return self.data

    @cached_property
    def surveys(self) -> Surveys:
        networks = Networks(self.space, self.data.classes)
        return networks if self.features is None else WithFeatures(networks, self.features)

    def cost(self, network: HasKey) -> model.Cost:
        assert isinstance(network, Architecture)
        return model.cost(network, self.data.input_shape, self.data.classes)

    def described(self) -> dict[str, Any]:
        return {"recipe": self.recipe.to_json(), "input_shape": self.data.input_shape}

    def load(self, device: "torch.device") -> Seen | None:
        return load_images(self.data, device)

    def check(self) -> None:
        self.data.load()
        self.data.forget()

    def batch_macs(self, sample: Iterable[Evaluation]) -> list[float]:
        images = self.data.counts[0]
        return [
            self.cost(each.architecture).macs * min(each.recipe.chosen("batch_size"), images)
            for each in sample
        ]

    def epochs(self, evaluation: Evaluation, using: Resources) -> Iterator[EpochResult]:
        trainer = partial(self.trainer, using=using)
        return paid_epochs(
            evaluation, using.ledger, trainer, using.stop, using.timer, using.locks, using.kept
        )

    def trainer(self, evaluation: Evaluation, using: Resources) -> Engine:
        """Return what trains `evaluation`, from its first epoch on."""
        from nasopt.training.trainer import Trainer

        assert using.images is not None
        train, validation = using.images
        return Trainer(
            evaluation, train, validation, self.data.classes,
            device=using.device, threads=using.threads, timer=using.timer,
        )  # fmt: skip


def load_images(data: Dataset, device: "torch.device") -> Seen:
    """Load the images that a training may see to the device if there is room, else to the host.

    Batches are copied from there.
    """
    seen = data.load().seen
    size = sum(tensor.nbytes for split in seen for tensor in split)
    return Seen(*(split.to(device) for split in seen)) if has_room(device, size) else seen


def joined(seen: Seen, device: "torch.device") -> Split:
    """Return the training and validation images as one split, on the device if there is room."""
    import torch

    images, labels = [each.images for each in seen], [each.labels for each in seen]
    if not has_room(device, sum(each.nbytes for each in images)):
        images = [each.cpu() for each in images]
        labels = [each.cpu() for each in labels]
    return Split(torch.cat(images), torch.cat(labels))


class Tabular(Backend):
    """The networks of a benchmark, looked up."""

    highest = float("inf")  # a table has a unit of its own
    fresh_seeds = False
    takes_time = False  # whatever the table says that its trainings took

    def __init__(self, benchmark: Benchmark) -> None:
        self._benchmark = benchmark
        self.evidence = Table(benchmark)
        self.costs = benchmark.costs
        self.knows_seconds = bool((benchmark.seconds > 0).any())

    @property
    def dataset(self) -> HasFingerprint:
        return self._benchmark

    @property
    def surveys(self) -> Surveys:
        return self._benchmark

    def cost(self, network: HasKey) -> model.Cost:
        return self._benchmark.cost(network)

    def described(self) -> dict[str, Any]:
        return {"recipe": {"epochs": self._benchmark.recipe.epochs}}

    def load(self, device: "torch.device") -> None:
        return None

    def check(self) -> None:
        """Return: there are no images."""

    def batch_macs(self, sample: Iterable[Evaluation]) -> list[float]:
        return []

    def epochs(self, evaluation: Evaluation, using: Resources) -> Iterator[EpochResult]:
        return self._benchmark.results(evaluation)
