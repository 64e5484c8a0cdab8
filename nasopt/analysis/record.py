"""`Record`: a study, read once from its database; and the experiment that it tells of."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Self

import optuna
from optuna.trial import FrozenTrial, TrialState

from nasopt.errors import StudyError
from nasopt.space.fields import Open, RandomTrial, field_from_json
from nasopt.space.limits import Limit
from nasopt.space.space import Space
from nasopt.storage.attributes import check_study, check_trials
from nasopt.storage.own_trials import is_own
from nasopt.storage.rdb import EXPERIMENT, FREE
from nasopt.text import listed, several
from nasopt.training.evaluation import Evaluation, Recipe

NOT_NOTED = "a device that was not noted"  # by an older version


@dataclass(frozen=True, eq=False)
class Record:
    """A study as it stands: its user attributes, and its trials by number.

    Of the finished trials those are read that a search made (`ended`); the others are `foreign`.
    """

    name: str
    attrs: Mapping[str, Any] = field(repr=False)
    trials: Sequence[FrozenTrial] = field(repr=False)

    @classmethod
    def of(cls, study: optuna.Study) -> Self:
        """Read a study.

        Raises StudyError if its content cannot be that of a study of nasopt's.
        """
        name, attrs = study.study_name, study.user_attrs
        check_study(name, attrs)
        trials = study.get_trials(deepcopy=False)
        check_trials(name, attrs, trials)
        return cls(name, attrs, trials)

    @property
    def sampler(self) -> str:
        return str(self.attrs.get("sampler", sampler_of(self.name)))

    @property
    def seed(self) -> int:
        seed = self.attrs.get("seed", self.name.rpartition("/")[2])
        if not str(seed).isdecimal():
            raise StudyError(
                f"study={self.name}: its seed is not known; run it again, and it will be"
            )
        return int(seed)

    @property
    def limits(self) -> list[str]:
        """The limits in force: a study may go on with others than it began with."""
        limits: list[str] = self.attrs.get("limits", [])
        return limits

    @property
    def objectives(self) -> tuple[str, ...]:
        return tuple(self.attrs[EXPERIMENT]["objectives"])

    @property
    def epochs(self) -> int:
        """The epochs of a whole training."""
        return int(self.attrs[EXPERIMENT]["recipe"]["epochs"])

    @property
    def is_benchmark(self) -> bool:
        """True if the trainings were looked up in a benchmark: then `begun` is not known."""
        return "table" in self.attrs[EXPERIMENT]["space"]

    @property
    def search_space(self) -> Mapping[str, Open]:
        """The open fields of the space and of the recipe, by name."""
        if self.is_benchmark:
            table = self.attrs[EXPERIMENT]["space"]["table"]
            return {name: field_from_json(field) for name, field in table.items()}
        return {**self.begun.space.parameters, **self.begun.recipe.parameters}

    @cached_property
    def ended(self) -> list[FrozenTrial]:
        """The finished trials that a search made."""
        fields = self.search_space if EXPERIMENT in self.attrs else {}
        return [trial for trial in self._finished if is_own(trial, fields)]

    @cached_property
    def foreign(self) -> list[FrozenTrial]:
        """The finished trials that plain Optuna made; they say nothing about a network."""
        own = {trial.number for trial in self.ended}
        return [trial for trial in self._finished if trial.number not in own]

    @property
    def _finished(self) -> list[FrozenTrial]:
        return [trial for trial in self.trials if trial.state.is_finished()]

    @cached_property
    def counted(self) -> list[FrozenTrial]:
        """The trials of `ended` that count to the budget: repeats and the like are left out."""
        return [trial for trial in self.ended if FREE not in trial.user_attrs]

    @cached_property
    def over(self) -> list[FrozenTrial]:
        """The trials of `counted` that are over the limits in force: they began under others."""
        return [trial for trial in self.counted if self.broken(trial)]

    @cached_property
    def complete(self) -> list[FrozenTrial]:
        """The trials among which the best is: trained to their end, and within the limits."""
        complete = (trial for trial in self.counted if trial.state is TrialState.COMPLETE)
        return [trial for trial in complete if not self.broken(trial)]

    def broken(self, trial: FrozenTrial) -> list[str]:
        """Return the limits in force that the network of `trial` is over, as far as is known."""
        costs = {each.quantity: trial.user_attrs.get(each.quantity) for each in self._bounds}
        return [
            str(limit)
            for limit in self._bounds
            if (cost := costs[limit.quantity]) is not None and cost > limit.bound
        ]

    @cached_property
    def _bounds(self) -> list[Limit]:
        bounds = (text for text in self.limits if " <= " in text)  # a table may have one of words
        return [Limit.from_text(text) for text in bounds]

    @property
    def space(self) -> Space | None:
        """The space of the study; None if it was of a benchmark."""
        return None if self.is_benchmark else self.begun.space

    @cached_property
    def begun(self) -> "Begun":
        begun = self.attrs[EXPERIMENT]
        return Begun(
            space=Space.from_json(begun["space"]).on(tuple(begun["input_shape"])),
            recipe=Recipe.from_json(begun["recipe"]),
            data=Data(begun["dataset"]),
            seed=begun["seed"],
            objectives=tuple(begun["objectives"]),
        )


def sampler_of(study: str) -> str:
    """Return the sampler in a study's name, for a study that has no attribute of it.

    One whose worker was killed by an older version gets that only when it is run again.
    """
    return study.rpartition("/")[0].rpartition("/")[2]


def devices_of(trials: Iterable[FrozenTrial]) -> dict[str, int]:
    """Count the trials on each device, the most frequent first; {} if no trial names its device."""
    trained = (trial.user_attrs for trial in trials if trial.user_attrs.get("epochs"))
    counts = Counter(attrs.get("device", NOT_NOTED) for attrs in trained)
    return dict(counts.most_common()) if counts.keys() - {NOT_NOTED} else {}


def remarks(studies: Sequence[Record]) -> list[str]:
    """Return a sentence on each kind of trials of `studies` that are not among the best."""
    over = sum(len(study.over) for study in studies)
    foreign = sum(len(study.foreign) for study in studies)
    found = []
    if over:
        limits = listed(list(dict.fromkeys(each for study in studies for each in study.limits)))
        are, they = ("is", "it is") if over == 1 else ("are", "they are")
        found.append(
            f"{several(over, 'earlier trial')} {are} over the limits in force ({limits}): {they} "
            "left out of what is the best."
        )
    if foreign:
        was, they = ("was", "it is") if foreign == 1 else ("were", "they are")
        found.append(
            f"{several(foreign, 'trial')} {was} made by plain Optuna (study.add_trial, "
            f"study.optimize): {they} left out."
        )
    return found


def networks(studies: Iterable[Record], *, within_limits: bool = False) -> list[FrozenTrial]:
    """Return a trial of each different network that was trained: the one that took it furthest.

    Those `within_limits` are within those in force.
    """
    furthest: dict[str, FrozenTrial] = {}
    tried = ((trial, each.broken(trial)) for each in studies for trial in each.counted)
    for trial, broken in tried:
        if within_limits and broken:
            continue
        key = trial.user_attrs.get("key")
        if key is None or trial.state is TrialState.FAIL:
            continue
        known = furthest.get(key)
        if known is None or (known.state, trial.state) == (TrialState.PRUNED, TrialState.COMPLETE):
            furthest[key] = trial
    return list(furthest.values())


@dataclass(frozen=True)
class Data:
    """A data set of which only the fingerprint is known."""

    fingerprint: str


@dataclass(frozen=True)
class Begun:
    """The experiment that a study began with: enough to name evaluations, not to train them."""

    space: Space
    recipe: Recipe
    data: Data
    seed: int
    objectives: tuple[str, ...]

    def evaluation(self, params: Mapping[str, Any]) -> Evaluation:
        """Return the evaluation, named as by `Experiment.evaluation`."""
        return Evaluation(
            self.space.decode(params), self.recipe.choose(params), self.data, self.seed
        )

    def draws(self, count: int, seed: int) -> Iterator[Evaluation]:
        """Return the first draws of `Experiment.sample`, limits left aside."""
        dice = RandomTrial(seed)
        fields = self.space.parameters | self.recipe.parameters
        for _ in range(count):
            yield self.evaluation({name: f.suggest(dice, name) for name, f in fields.items()})
