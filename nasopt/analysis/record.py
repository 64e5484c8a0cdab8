"""`Record`: a study, read once from its database; and the experiment that it tells of."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Self

import optuna
from optuna.trial import FrozenTrial, TrialState

from nasopt.attributes import check_study, check_trials
from nasopt.claims import EXPERIMENT, FREE
from nasopt.errors import StudyError
from nasopt.evaluation import Evaluation, Recipe
from nasopt.fields import Dice, Open, field_from_json
from nasopt.space import Space

NOT_NOTED = "a device that was not noted"  # by an older version


@dataclass(frozen=True, eq=False)
class Record:
    """A study as it stands: its user attributes, and its trials by number."""

    name: str
    attrs: Mapping[str, Any]
    trials: Sequence[FrozenTrial]

    @classmethod
    def of(cls, study: optuna.Study) -> Self:
        """Raises StudyError where what is there cannot be a study of nasopt's."""
        name, attrs = study.study_name, study.user_attrs
        check_study(name, attrs)
        trials = study.get_trials(deepcopy=False)
        check_trials(name, attrs, trials)
        return cls(name, attrs, trials)

    @property
    def sampler(self) -> str:
        return str(self._needed("sampler"))

    @property
    def seed(self) -> int:
        return int(self._needed("seed"))

    def _needed(self, key: str) -> Any:
        if key not in self.attrs:
            raise StudyError(
                f"study={self.name}: its {key} is not known; run it again, and it will be"
            )
        return self.attrs[key]

    @property
    def limits(self) -> list[str]:
        limits: list[str] = self.attrs["limits"]
        return limits

    @property
    def objectives(self) -> tuple[str, ...]:
        return tuple(self.attrs[EXPERIMENT]["objectives"])

    @property
    def epochs(self) -> int:
        """Of a whole training."""
        return int(self.attrs[EXPERIMENT]["recipe"]["epochs"])

    @property
    def is_benchmark(self) -> bool:
        """Whether its trainings were looked up: then `begun` is not known."""
        return "table" in self.attrs[EXPERIMENT]["space"]

    @property
    def parameters(self) -> Mapping[str, Open]:
        """Name -> open field, of the space and of the recipe."""
        if self.is_benchmark:
            table = self.attrs[EXPERIMENT]["space"]["table"]
            return {name: field_from_json(field) for name, field in table.items()}
        return {**self.begun.space.parameters, **self.begun.recipe.parameters}

    @property
    def counted(self) -> list[FrozenTrial]:
        """The finished trials that count to the budget: repeats and the like are left out."""
        finished = (trial for trial in self.trials if trial.state.is_finished())
        return [trial for trial in finished if FREE not in trial.user_attrs]

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


def devices_of(trials: Iterable[FrozenTrial]) -> dict[str, int]:
    """What `trials` were trained on -> how many of them, the most first; {} if none says so."""
    trained = (trial.user_attrs for trial in trials if trial.user_attrs.get("epochs"))
    counts = Counter(attrs.get("device", NOT_NOTED) for attrs in trained)
    return dict(counts.most_common()) if counts.keys() - {NOT_NOTED} else {}


def networks(studies: Iterable[Record]) -> list[FrozenTrial]:
    """A trial of each different network that was trained: the one that took it furthest."""
    furthest: dict[str, FrozenTrial] = {}
    for trial in (trial for study in studies for trial in study.counted):
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
    """What a study was begun with: enough to name evaluations, though not to train them."""

    space: Space
    recipe: Recipe
    data: Data
    seed: int
    objectives: tuple[str, ...]

    def evaluation(self, params: Mapping[str, Any]) -> Evaluation:
        """As `Experiment.evaluation`."""
        return Evaluation(
            self.space.decode(params), self.recipe.choose(params), self.data, self.seed
        )

    def draws(self, count: int, seed: int) -> Iterator[Evaluation]:
        """What `Experiment.sample` draws first, limits left aside."""
        dice = Dice(seed)
        fields = self.space.parameters | self.recipe.parameters
        for _ in range(count):
            yield self.evaluation({name: f.suggest(dice, name) for name, f in fields.items()})
