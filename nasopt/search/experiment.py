"""`Experiment`: the settings that its studies share."""

import math
import statistics
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, Protocol, Self

from optuna.pruners import BasePruner

from nasopt.benchmarks import Benchmark, load_benchmark
from nasopt.data import DATASETS, Dataset
from nasopt.errors import RecipeError, Spelled, check_name, closest
from nasopt.samplers.problem import Problem
from nasopt.samplers.pruners import make_pruner
from nasopt.search.backend import Backend, Tabular, Trained
from nasopt.search.first import First, params_of
from nasopt.search.own_training import OwnTraining, Train, check_train
from nasopt.space import model
from nasopt.space.architecture import Architecture
from nasopt.space.features import Features, WithFeatures
from nasopt.space.fields import Open, RandomTrial
from nasopt.space.limits import COSTS, LATENCY, Limit
from nasopt.space.space import Space
from nasopt.storage.record import ExperimentRecord
from nasopt.training.evaluation import SEEDS, Evaluation, HasKey, Recipe
from nasopt.training.metrics import METRICS

OBJECTIVES = (("accuracy",), *(("accuracy", cost) for cost in (*COSTS, LATENCY)))
DRAWS_A_SAMPLE = 100  # at most, for each network wanted
TYPICAL_SAMPLE = 50  # random networks that tell what a typical one costs
MOST_TRIALS = 2**63 - 1  # that a database can keep

DIRECTIONS: dict[str, Literal["maximize", "minimize"]] = {
    "accuracy": "maximize",
    "macs": "minimize",
    "parameters": "minimize",
    LATENCY: "minimize",
}


class SearchSpace(Protocol):
    """The interface of a space that an experiment needs: a benchmark's has it as well."""

    @property
    def hyperparameters(self) -> Mapping[str, Open]: ...

    @property
    def size(self) -> int: ...

    @property
    def distinct(self) -> int | None: ...

    def decode(self, params: Mapping[str, Any], /) -> HasKey: ...

    def to_json(self) -> dict[str, Any]: ...


@dataclass(frozen=True, kw_only=True)
class Experiment(Spelled):
    """A data set, a space, a recipe and objectives: all that a study needs but a sampler.

    `dataset` and `pruner` take an object or a name. For a benchmark in the place of data set, space
    and recipe, see `on_benchmark`. `trials` is an exact total over all workers and restarts.
    `metric` scores a network on validation images: "accuracy", "balanced_accuracy" or "macro_f1",
    for classes of unequal size. `objectives` is ("accuracy",), where "accuracy" stands for the
    metric, or that with "macs", "parameters" or "latency": then a pruner compares a trial with
    those that cost no more. A latency, here or among `limits`, is measured on the device of the
    search (float32, one image at a time) and kept in its database. `seed` is of the trainings, so
    that samplers share what was paid for. `name` begins the names of the studies. `train`, if
    given, trains the networks in nasopt's place: a function of (architecture, recipe, seed) that
    yields an accuracy, or a dict with "accuracy", "loss" and "train_loss", after each epoch; see
    `nasopt.data.external` for data that it loads itself. `features` is a function that gives a dict
    of a few numbers for an architecture, always of the same names, which models learn from besides
    its size; it is asked of some hundred networks for each that is trained. `first` are networks
    that a study tries before any other: architectures of the space, or parameters by name, of which
    a sampler chooses those that are left out. `warm_start` are databases of earlier searches of the
    same space, on other data or by another recipe maybe: a new study of "surrogate" begins with
    what they have seen, and keeps a record of it.

    Raises an Error for a field that cannot be.
    """

    _error = RecipeError

    dataset: Dataset | str | None = None
    space: SearchSpace = None  # type: ignore[assignment]  # after __post_init__ it is there
    recipe: Recipe = Recipe()
    trials: int = 50
    limits: tuple[Limit, ...] = ()
    objectives: tuple[str, ...] = ("accuracy",)
    metric: str = "accuracy"
    pruner: str | BasePruner = "surrogate"
    seed: int = 0
    name: str = "experiment"
    benchmark: Benchmark | None = None
    train: Train | None = None
    features: Features | None = None
    first: tuple[First, ...] = ()
    warm_start: tuple[str | Path, ...] = ()

    @classmethod
    def on_benchmark(cls, benchmark: Benchmark | str, **settings: Any) -> Self:
        """Return an experiment whose trainings are looked up in a table.

            Experiment.on_benchmark("nasbench201:cifar10", trials=200)

        `benchmark` is one, or the name of one (see `load_benchmark`): it has a space and a recipe
        of its own. `settings` are any other fields of an experiment.
        """
        table = load_benchmark(benchmark) if isinstance(benchmark, str) else benchmark
        return cls(benchmark=table, **settings)

    def __post_init__(self) -> None:
        self._fill_in()
        self._check_kinds()
        self._check_objectives()
        check_trials(self.trials, "Experiment.trials")
        if type(self.seed) is not int or not 0 <= self.seed < SEEDS:
            raise RecipeError(f"Experiment.seed={self.seed!r}: use a whole number from 0 to 2^63-1")
        if self.train is not None:
            check_train(self.train)
            if self.metric != "accuracy":
                raise RecipeError(
                    f"Experiment.metric={self.metric!r}: train=... yields one score a network, "
                    "which is its accuracy; leave metric=... out and yield that score"
                )
        if self.features is not None and not callable(self.features):
            raise RecipeError(
                f"Experiment.features={self.features!r}: give a function of an architecture that "
                "returns a dict of numbers by name"
            )
        if self.benchmark is not None:
            self._take(self.benchmark)
        check_name(self.name, "Experiment.name", RecipeError)
        make_pruner(self.pruner, self.recipe.epochs)
        if isinstance(self.space, Space):
            object.__setattr__(self, "space", self.space.on(self.data.input_shape))
        _ = self.first_params  # what cannot be is said here

    def _fill_in(self) -> None:
        """Make fields of their short forms: a data set of its name, a tuple of its only item."""
        if isinstance(self.dataset, str):
            name = self.dataset.lower()
            if name not in DATASETS:
                remedy = closest(name, DATASETS)
                raise RecipeError(f"Experiment.dataset={self.dataset!r}: unknown; {remedy}")
            object.__setattr__(self, "dataset", DATASETS[name]())
        if isinstance(self.limits, Limit):
            object.__setattr__(self, "limits", (self.limits,))
        if isinstance(self.objectives, str):
            object.__setattr__(self, "objectives", (self.objectives,))
        if isinstance(self.first, Architecture | Mapping):
            object.__setattr__(self, "first", (self.first,))
        if isinstance(self.warm_start, str | Path):
            object.__setattr__(self, "warm_start", (self.warm_start,))
        for name in ("limits", "objectives", "first", "warm_start"):
            if not isinstance(getattr(self, name), tuple | list):
                raise RecipeError(f"Experiment.{name}={getattr(self, name)!r}: give a tuple")
            object.__setattr__(self, name, tuple(getattr(self, name)))
        for each in self.warm_start:
            if not isinstance(each, str | Path) or not str(each):
                raise RecipeError(
                    f"Experiment.warm_start={each!r}: give the path or URL of a database"
                )

    def _check_kinds(self) -> None:
        if isinstance(self.dataset, Benchmark):
            raise RecipeError(
                f"Experiment.dataset={self.dataset.name}: a benchmark has no images; write "
                "Experiment.on_benchmark(...)"
            )
        if self.benchmark is not None:
            return
        for name, kind in (("dataset", Dataset), ("space", Space), ("recipe", Recipe)):
            value = getattr(self, name)
            if value is None:
                raise RecipeError(f"Experiment.{name}: missing; give {name}=...")
            if not isinstance(value, kind):
                called = getattr(value, "__name__", None)
                remedy = f"{called}(), with parentheses" if called else f"a {kind.__name__}"
                raise RecipeError(f"Experiment.{name}={called or repr(value)}: give {remedy}")

    def _check_objectives(self) -> None:
        """Raise RecipeError for a limit or an objective that there is not."""
        for limit in self.limits:
            if not isinstance(limit, Limit):
                raise RecipeError(
                    f"Experiment.limits: {limit!r} is no limit; write parameters <= 5_000, say"
                )
        if self.metric not in [*METRICS]:
            remedy = closest(str(self.metric), METRICS)
            raise RecipeError(f"Experiment.metric={self.metric!r}: unknown; {remedy}")
        for objective in self.objectives:
            if objective in METRICS and objective != "accuracy":
                raise RecipeError(
                    f"Experiment.objectives: {objective!r} is a metric; write metric={objective!r}"
                )
            if objective not in DIRECTIONS:
                remedy = closest(objective, DIRECTIONS)
                raise RecipeError(f"Experiment.objectives: {objective!r} is unknown; {remedy}")
        if self.objectives not in OBJECTIVES:
            raise RecipeError(
                f"Experiment.objectives={self.objectives!r}: use ('accuracy',), or "
                "('accuracy', 'macs'), ('accuracy', 'parameters') or ('accuracy', 'latency')"
            )

    def _take(self, benchmark: Benchmark) -> None:
        """Take over the space and recipe of `benchmark`.

        Raises RecipeError for a setting that it does not support.
        """
        if self.dataset is not None:
            raise RecipeError("Experiment.dataset: a benchmark has its own; leave dataset=... out")
        if self.train is not None:
            raise RecipeError("Experiment.train: a benchmark trains nothing; leave train=... out")
        if self.features is not None:
            raise RecipeError(
                "Experiment.features: a table has its own, in columns feature:NAME; leave "
                "features=... out"
            )
        if self.space not in (None, benchmark.space):
            raise RecipeError("Experiment.space: a benchmark has its own; leave space=... out")
        if self.recipe not in (Recipe(), benchmark.recipe):
            raise RecipeError("Experiment.recipe: a benchmark has its own; leave recipe=... out")
        if self.metric != "accuracy":
            raise RecipeError(
                f"Experiment.metric={self.metric!r}: a benchmark knows the accuracy alone; "
                "leave metric=... out"
            )
        for quantity in (*self.objectives[1:], *(limit.quantity for limit in self.limits)):
            if quantity not in (*benchmark.known, *(own.quantity for own in benchmark.limits)):
                raise RecipeError(
                    f"Experiment: {benchmark.name} does not know {quantity}; leave it out of "
                    "limits and objectives"
                )
        own = tuple(limit for limit in benchmark.limits if limit not in self.limits)
        taken = {
            "space": benchmark.space,
            "recipe": benchmark.recipe,
            "limits": self.limits + own,
            "name": benchmark.name if self.name == "experiment" else self.name,
        }
        for name, value in taken.items():
            object.__setattr__(self, name, value)

    @property
    def data(self) -> Dataset:
        """The data set, as an object whatever it was given as.

        Raises RecipeError if a benchmark stands in its place.
        """
        if not isinstance(self.dataset, Dataset):
            raise RecipeError(
                f"Experiment.dataset={self.name}: a benchmark has no images; give a data set"
            )
        return self.dataset

    @cached_property
    def backend(self) -> Backend:
        """What gives the epochs of the evaluations: chosen here, once."""
        if self.benchmark is not None:
            return Tabular(self.benchmark)
        assert isinstance(self.space, Space)
        if self.train is not None:
            return OwnTraining(self.train, self.space, self.recipe, self.data, self.features)
        return Trained(self.space, self.recipe, self.data, self.features)

    @property
    def own_features(self) -> tuple[str, ...]:
        """The names of what `features` tells of a network."""
        surveys = None if self.features is None else self.backend.surveys
        return surveys.own if isinstance(surveys, WithFeatures) else ()

    @property
    def sought(self) -> tuple[str, ...]:
        """The objectives by their own names: the metric in the place of "accuracy"."""
        return self.metric, *self.objectives[1:]

    @cached_property
    def hyperparameters(self) -> dict[str, Open]:
        """The open fields by name: all hyperparameters of a study, those of the recipe last."""
        return {**self.space.hyperparameters, **self.recipe.hyperparameters}

    @cached_property
    def first_params(self) -> list[dict[str, Any]]:
        """The hyperparameters that are given of each network in `first`."""
        return [params_of(each, self.space, self.hyperparameters) for each in self.first]

    @cached_property
    def problem(self) -> Problem:
        return Problem(
            search_space=self.hyperparameters,
            decode=self.space.decode,
            cost=self.cost,
            limits=self.limits,
            objectives=self.objectives,
            directions=[DIRECTIONS[objective] for objective in self.objectives],
            trials=self.trials,
            epochs=self.recipe.epochs,
            knows_seconds=self.backend.knows_seconds,
            costs=self.backend.costs,
            surveys=self.backend.surveys,
        )

    @cached_property
    def distinct(self) -> int | None:
        """The number of different trainings that a study can ask for; None if it has no end."""
        count: float | None = self.space.distinct
        for field in self.recipe.hyperparameters.values():
            count = None if count is None or math.isinf(field.size) else count * field.size
        return None if count is None else int(count)

    @cached_property
    def batch_macs(self) -> float | None:
        """The MACs of a batch of a typical network, forward: the median of random networks.

        It is of those within the limits; if none is, the least of all. None if none is trained.
        """
        dice = RandomTrial(0)
        drawn = [
            self.evaluation(
                {name: f.suggest(dice, name) for name, f in self.hyperparameters.items()}
            )
            for _ in range(TYPICAL_SAMPLE)
        ]
        within = [each for each in drawn if self._is_within_limits(each)]
        macs = self.backend.batch_macs(within or drawn)
        if not macs:
            return None
        return float(statistics.median(macs) if within else min(macs))

    def evaluation(self, params: Mapping[str, Any]) -> Evaluation:
        """Return the training that the values of a study's hyperparameters stand for."""
        chosen = self.space.decode(params), self.recipe.choose(params)
        return Evaluation(*chosen, self.backend.dataset, self.seed)

    def sample(self, count: int, seed: int) -> list[Evaluation]:
        """Return `count` different random evaluations within the limits; fewer if there are few.

        Limits that take measuring are left aside, here and in `batch_macs`.
        """
        dice = RandomTrial(seed)
        found: dict[str, Evaluation] = {}
        for _ in range(DRAWS_A_SAMPLE * count):
            params = {
                name: field.suggest(dice, name) for name, field in self.hyperparameters.items()
            }
            evaluation = self.evaluation(params)
            if self._is_within_limits(evaluation):
                found.setdefault(evaluation.key, evaluation)
            if len(found) == count:
                break
        return list(found.values())

    @property
    def is_timed(self) -> bool:
        """True if latencies have to be measured."""
        return LATENCY in self.objectives or any(limit.is_measured for limit in self.limits)

    @property
    def needs_process(self) -> str:
        """Why its trainings cannot share a process; "" if they can."""
        if self.train is not None:
            return "train=... is code of your own, which may not be for several at once"
        if self.recipe.compile:
            return "recipe.compile compiles for one training at a time"
        if self.is_timed:
            return "latencies are measured"
        return ""

    @property
    def known_limits(self) -> tuple[Limit, ...]:
        """The limits that nothing has to be measured for."""
        return tuple(limit for limit in self.limits if not limit.is_measured)

    def _is_within_limits(self, evaluation: Evaluation) -> bool:
        cost = self.cost(evaluation.architecture)
        return all(limit.violation(cost) <= 0 for limit in self.known_limits)

    def cost(self, architecture: HasKey) -> model.Cost:
        return self.backend.cost(architecture)

    @property
    def record(self) -> ExperimentRecord:
        """The settings that must not change while a study is under way."""
        return ExperimentRecord(
            space=self.space.to_json(),
            dataset=self.backend.dataset.fingerprint,
            seed=self.seed,
            objectives=self.sought,
            **self.backend.described(),
        )


def check_trials(trials: Any, field: str = "trials") -> None:
    if type(trials) is not int or trials < 1:
        raise RecipeError(f"{field}={trials!r}: use a whole number from 1")
    if trials > MOST_TRIALS:
        raise RecipeError(f"{field}={trials}: use a whole number from 1 to {MOST_TRIALS}")


def check_budget(experiment: Experiment, trials: Any, epochs_budget: Any) -> int:
    """Return the trials that a study may have.

    They are `trials`, else `epochs_budget` (a trial costs an epoch or more), else those of the
    experiment.

    Raises RecipeError for a budget that cannot be, or for two.
    """
    if epochs_budget is None:
        check_trials(experiment.trials if trials is None else trials)
        return experiment.trials if trials is None else int(trials)
    if trials is not None:
        raise RecipeError(
            f"trials={trials!r} and epochs_budget={epochs_budget!r}: two budgets; give one of them"
        )
    check_trials(epochs_budget, "epochs_budget")
    return int(epochs_budget)
