"""The final test: the winner and its references on the test split, from a recorded look.

Nothing is trained here, and no image is read: a look keeps all that it showed.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any, Self

from nasopt.analysis.classification import (
    Judged,
    Lead,
    Mean,
    Scores,
    confusion_matrix,
    lead,
    over_seeds,
    scores,
)
from nasopt.analysis.reranking import Reranking
from nasopt.analysis.shown import Shown
from nasopt.errors import SpaceError, StorageError
from nasopt.space.architecture import Architecture
from nasopt.storage.latencies import Latency
from nasopt.storage.looks import Look, Looks
from nasopt.storage.record import ExperimentRecord
from nasopt.text import accuracy
from nasopt.training.metrics import in_words

WINNER = "the winner"
MOST_MISTAKES = 12  # that are kept


@dataclass(frozen=True)
class Contender:
    """A network that is trained for the test: the winner, or a reference beside it.

    `how` says where it comes from: the trial, or how near it is to what it is called after. `keys`
    are of its trainings, a seed each.
    """

    name: str
    how: str
    architecture: Architecture
    parameters: int
    macs: int
    keys: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        return {**asdict(self), "architecture": self.architecture.to_json()}

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Self:
        architecture = Architecture.from_json(value["architecture"])
        return cls(**{**value, "architecture": architecture, "keys": tuple(value["keys"])})


@dataclass(frozen=True)
class Mistake:
    """An image that the model got wrong, and how sure it was. `file` is None where it is none.

    `picture` is the image as a PNG, in base64.
    """

    image: int  # its place in the test split
    file: str | None
    label: str
    predicted: str
    confidence: float
    picture: str


@dataclass(frozen=True)
class Tested:
    """A contender on the test split.

    `first` are the scores of its model of the first seed, `scores` those of all seeds by the metric
    of the search. `lead` is the winner's over it; None for the winner itself.
    """

    contender: Contender
    first: Scores
    scores: tuple[float, ...]
    over_seeds: Mean
    lead: Lead | None

    def to_json(self) -> dict[str, Any]:
        return {**asdict(self), "contender": self.contender.to_json()}


@dataclass(frozen=True)
class FinalTest:
    """The result of one look at the test split, networks compared by `metric`.

    `tested` begins with the winner. `epochs` are those of each training, on training and
    validation images together. `looks` is how many there were at this split in this database up to
    now, `number` which of them this one is.
    """

    experiment: str
    classes: tuple[str, ...]
    epochs: int
    tested: tuple[Tested, ...]
    mistakes: tuple[Mistake, ...]
    recorded: str  # when: ISO 8601, UTC
    number: int
    looks: int
    left_out: tuple[str, ...] = ()
    metric: str = "accuracy"

    @property
    def winner(self) -> Tested:
        return self.tested[0]

    @property
    def headline(self) -> str:
        """The score of the model that is kept, by the metric: "accuracy 0.9806 on test (...)"."""
        first = self.winner.first
        told = f"{in_words(self.metric)} {accuracy(first.by(self.metric))} on test"
        if self.metric != "accuracy":
            return told
        return f"{told} (95 % interval {accuracy(first.low)} to {accuracy(first.high)})"

    @property
    def about_looks(self) -> str:
        """How often the test split was looked at, in a sentence."""
        when = self.recorded[:10]
        if self.looks == 1:
            return f"The test split was looked at once, on {when}."
        return (
            f"The test split was looked at {self.looks} times; this is look {self.number}, of "
            f"{when}. The best of several looks flatters itself."
        )

    @property
    def verdict(self) -> str:
        """Whether the search was worth it, in a sentence."""
        others = [each for each in self.tested[1:] if each.lead is not None]
        if not others:
            return "No reference network was trained beside it."
        best = min(others, key=lambda each: each.lead.mean)  # type: ignore[union-attr]
        found = best.lead
        assert found is not None
        ends = " to ".join(accuracy(each, sign=True) for each in (found.low, found.high))
        ahead = f"{accuracy(found.mean, sign=True)} in {in_words(self.metric)}"
        figures = f"{ahead}, 95 % interval {ends}"
        name = best.contender.name
        if not found.is_told:
            return f"The winner and the best reference, {name}, cannot be told apart ({figures})."
        if found.mean > 0:
            return f"The winner is better than the best reference, {name} ({figures})."
        return f"The winner is worse than the best reference, {name} ({figures})."

    def to_json(self) -> dict[str, Any]:
        """Return all but the pictures of mistakes."""
        known = {name: value for name, value in asdict(self).items() if name != "tested"}
        for mistake in known["mistakes"]:
            del mistake["picture"]
        tested = [each.to_json() for each in self.tested]
        return {**known, "tested": tested, "about_looks": self.about_looks, "verdict": self.verdict}


@dataclass(frozen=True)
class Efficiency:
    """The cost of one contender on this device; `disk` are the bytes of its weights in a file."""

    name: str
    parameters: int
    macs: int
    disk: int
    latencies: tuple[Latency, ...]
    memory_is_measured: bool  # else it is counted: weights and the largest pair of maps

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True)
class FinalResult(Shown):
    """What became of a search: its best networks trained again, and the winner tested.

    `folder` is where the winner's model was written.
    """

    experiment: str
    dataset: str  # its fingerprint
    reranking: Reranking
    test: FinalTest
    efficiency: tuple[Efficiency, ...]
    folder: str

    @property
    def architecture(self) -> Architecture:
        """The winner's."""
        return self.test.winner.contender.architecture

    def __repr__(self) -> str:
        return f"<FinalResult: {self.experiment}, {self.test.headline}>\n  {self.test.verdict}"

    def to_json(self) -> dict[str, Any]:
        return {
            "experiment": self.experiment,
            "dataset": self.dataset,
            "reranking": self.reranking.to_json(),
            "test": self.test.to_json(),
            "efficiency": [each.to_json() for each in self.efficiency],
            "folder": self.folder,
        }


@dataclass(frozen=True)
class FinalProgress:
    """The state of the finals: training `number` of `total` of a stage has trained `epoch`."""

    stage: str
    number: int  # from 1
    total: int
    name: str  # of the network
    epoch: int = 0
    epochs: int = 0
    score: float | None = None  # on validation, by the metric; None where none is left
    metric: str = "accuracy"
    seconds_left: float = 0.0  # of the stage, as far as that is known; else 0


def content_of(
    contenders: Sequence[Contender],
    classes: Sequence[str],
    epochs: int,
    mistakes: Sequence[Mistake],
    left_out: Sequence[str],
) -> dict[str, Any]:
    """Return what a look says of itself, which `final_test` reads."""
    return {
        "classes": list(classes),
        "epochs": epochs,
        "contenders": [each.to_json() for each in contenders],
        "mistakes": [asdict(each) for each in mistakes],
        "left_out": list(left_out),
    }


@dataclass(frozen=True, eq=False)
class _Reading:
    """A look, read: how each training of a contender scores by a metric."""

    look: Look
    metric: str

    @cached_property
    def contenders(self) -> list[Contender]:
        return [Contender.from_json(each) for each in self.look.content["contenders"]]

    @cached_property
    def classes(self) -> int:
        return len(self.look.content["classes"])

    def judged(self, contender: Contender) -> list[Judged]:
        said = (self.look.predictions[key].classes for key in contender.keys)
        return [Judged.of(self.look.labels, each, self.classes, self.metric) for each in said]

    @cached_property
    def winners(self) -> list[Judged]:
        return self.judged(self.contenders[0])

    def tested(self, contender: Contender) -> Tested:
        first = self.look.predictions[contender.keys[0]].classes
        judged = self.judged(contender)
        scored = tuple(each.score for each in judged)
        ahead = None if contender is self.contenders[0] else lead(self.winners, judged)
        found = scores(confusion_matrix(self.look.labels, first, self.classes))
        return Tested(contender, found, scored, over_seeds(scored), ahead)


def final_test(looks: Looks, key: str, metric: str) -> FinalTest | None:
    """Return the result of a look, by a metric; None if it was not taken.

    Raises StorageError if it is not as nasopt writes one: databases are passed on.
    """
    try:
        look = looks.find(key)
        return (
            None
            if look is None
            else _result(look, [each for _, each in looks.taken(look.dataset)], key, metric)
        )
    except (ValueError, LookupError, TypeError, ArithmeticError, SpaceError) as error:
        reason = " ".join(str(error).split())
        raise StorageError(
            f"nasopt_looks: look {key} is not as nasopt writes one ({reason}); delete that row"
        ) from error


def _result(look: Look, taken: Sequence[str], key: str, metric: str) -> FinalTest:
    reading, content = _Reading(look, metric), look.content
    return FinalTest(
        experiment=look.experiment,
        classes=tuple(content["classes"]),
        epochs=content["epochs"],
        tested=tuple(map(reading.tested, reading.contenders)),
        mistakes=tuple(Mistake(**each) for each in content["mistakes"]),
        recorded=look.recorded,
        number=taken.index(key) + 1,
        looks=len(taken),
        left_out=tuple(content["left_out"]),
        metric=metric,
    )


def latest_test(looks: Looks, experiment: ExperimentRecord, name: str) -> FinalTest | None:
    """Return the last look at the test split of an experiment's data that was taken for it."""
    metric = experiment.objectives[0]
    keys = (key for _, key in reversed(looks.taken(experiment.dataset)))
    found = (final_test(looks, key, metric) for key in keys)
    return next((each for each in found if each is not None and each.experiment == name), None)
