"""The record of a study and of a trial: the name, the type and the meaning of each attribute, once.

A search keeps what Optuna has no column for in the attributes of its studies and trials. All other
modules read and write them by these classes.
"""

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import MISSING, dataclass, fields
from enum import StrEnum
from functools import cached_property
from typing import Any, Self

from optuna.trial import FrozenTrial, TrialState

from nasopt.errors import StudyError
from nasopt.space.fields import Open, RandomTrial, field_from_json
from nasopt.space.limits import LATENCY
from nasopt.space.space import Space
from nasopt.storage.attributes import (
    DEATHS,
    DEVICE,
    EXPERIMENT,
    FREE,
    KEY,
    PREDICTION,
    REPORTS,
    SECONDS,
    THREADS,
    VERSIONS,
    WARM_START,
    Attributes,
    attribute,
    dict_of,
    dict_with,
    is_anything,
    is_count,
    is_flag,
    is_number,
    is_positive,
    is_text,
    list_of,
    optional,
)
from nasopt.storage.prediction import Prediction, is_prediction
from nasopt.training.evaluation import Evaluation, Recipe
from nasopt.training.metrics import METRICS


def deaths_of(system_attrs: Mapping[str, Any]) -> int:
    """Return how many workers in a row died of a trial without getting any further."""
    return int(system_attrs.get(DEATHS, {}).get("count", 0))


def one_more_death(system_attrs: Mapping[str, Any], reached: Any) -> dict[str, Any]:
    """Return the attribute of a trial that has `reached` so far when one more worker died of it."""
    further = system_attrs.get(DEATHS, {}).get("reached") != reached
    return {DEATHS: {"count": 1 if further else deaths_of(system_attrs) + 1, "reached": reached}}


# What ended a trial


class EndedBy(StrEnum):
    """The causes that end a trial."""

    TRAINED = "trained"  # to its last epoch
    PRUNER = "pruner"
    DIVERGED = "diverged"  # its loss was no number
    MEMORY = "memory"  # there was not enough
    LIMIT = "limit"  # its network is over one, and was not trained
    DEATHS = "deaths"  # of its workers, again and again
    ERROR = "error"


def _ended_by(trial: FrozenTrial, attrs: Mapping[str, Any]) -> EndedBy | None:
    """Return the cause in a trial of an older version, which kept it in the words of `reason`."""
    reason = attrs.get("reason") or ""
    if not trial.state.is_finished():
        return None
    if trial.state is TrialState.COMPLETE:
        return EndedBy.TRAINED
    if trial.state is TrialState.FAIL:
        return EndedBy.DEATHS if "workers in a row" in reason else EndedBy.ERROR
    if "infeasible" in attrs:
        return EndedBy.LIMIT
    if reason.startswith("loss not finite"):
        return EndedBy.DIVERGED
    return EndedBy.MEMORY if reason and not reason.startswith("pruned") else EndedBy.PRUNER


# A trial


@dataclass(kw_only=True, slots=True)  # not frozen: made for each of 10,000 trials, many times
class TrialRecord(Attributes):
    """The user attributes of a trial; None where there is no such attribute."""

    key: str | None = attribute(is_text)  # of its evaluation
    parameters: int | None = attribute(optional(is_number))  # of its network
    macs: int | None = attribute(optional(is_number))  # of its network, for one image
    latency: float | None = attribute(optional(is_number))  # seconds, if it was asked for
    draws: int | None = attribute(is_count)  # until one was within the limits, if more than one
    infeasible: str | None = attribute(is_text)  # the limits that its network is over
    prediction: Prediction | None = attribute(is_prediction, name=PREDICTION)
    epochs: int | None = attribute(is_count)  # that its network was trained, whoever paid for them
    seconds: float | None = attribute(is_number, name=SECONDS)  # of training, for all those epochs
    replayed_epochs: int | None = attribute(is_count)  # of those, the ones known before
    # its scores after epochs 1, 2, ...; with one objective they are Optuna's intermediate values
    reports: Sequence[float] = attribute(list_of(is_number), (), name=REPORTS)
    # that trained it; several in the order of their use
    device: str | None = attribute(is_text, name=DEVICE)
    mixed: bool = attribute(is_flag, False)  # on several devices, or by several versions of torch
    ended_by: EndedBy | None = attribute(lambda value: value in list(EndedBy))
    reason: str | None = attribute(is_text)  # in words, unless it was trained to its end
    repeat_of: int | None = attribute(is_count)  # the number of the trial with the same network
    free: bool = attribute(is_flag, False, name=FREE)  # True if it does not count to the budget

    @classmethod
    def of(cls, trial: FrozenTrial) -> Self:
        """Return the record of a trial, which must be one of a search (see `is_own`)."""
        found = cls.given(trial.user_attrs)
        if "prediction" in found:
            found["prediction"] = Prediction.from_json(found["prediction"])
        known = found.pop("ended_by", None)
        ended_by = EndedBy(known) if known else _ended_by(trial, trial.user_attrs)
        return cls(**found, ended_by=ended_by)


def prediction_of(attrs: Mapping[str, Any]) -> Prediction | None:
    """Return the prediction in the attributes of any trial; None if there is none."""
    found: Any = attrs.get(PREDICTION)
    return Prediction.from_json(found) if is_prediction(found) else None


def reports_of(trial: FrozenTrial) -> Mapping[int, float]:
    """Return the scores of any trial by epoch, of studies of one objective or two."""
    own: Any = trial.user_attrs.get(REPORTS)
    if trial.intermediate_values or not _are_reports(own):
        return trial.intermediate_values
    return dict(enumerate(own, 1))


_are_reports = list_of(is_number)


def seconds_of(trials: Sequence[FrozenTrial]) -> list[float | None]:
    """Return the seconds of the training of each of any trials, None where they are not known.

    They are those that nasopt has noted, as if trained at once; of a trial of plain Optuna, all
    from its beginning to its end. Trials that are not complete tell nothing of a whole training,
    and those on another device than the latest nothing of this one.
    """
    seconds = [_seconds(trial) for trial in trials]
    devices = [trial.user_attrs.get(DEVICE) for trial in trials]
    here = next((d for d, s in zip(reversed(devices), reversed(seconds), strict=True) if s), None)
    return [each if at == here else None for each, at in zip(seconds, devices, strict=True)]


def _seconds(trial: FrozenTrial) -> float | None:
    if trial.state is not TrialState.COMPLETE:
        return None
    seconds: Any = trial.user_attrs.get(SECONDS)
    if SECONDS not in trial.user_attrs and trial.duration is not None:
        seconds = trial.duration.total_seconds()
    return float(seconds) if is_number(seconds) and seconds > 0 else None


def is_own(trial: FrozenTrial, search_space: Mapping[str, Open]) -> bool:
    """Return whether a finished `trial` is as a search leaves it; `search_space` is its study's.

    A trial of `study.add_trial`, `study.optimize` or `study.tell` has no network (it has no key),
    or has other parameters, or a value that is no number. A trial that failed early
    shows nothing but that.
    """
    if TrialRecord.wrong(trial.user_attrs) is not None:
        return False
    if trial.state is TrialState.FAIL and KEY not in trial.user_attrs:
        return True
    values = (*(trial.values or ()), *trial.intermediate_values.values())
    known = KEY in trial.user_attrs and has_all(trial, search_space)
    return known and all(map(math.isfinite, values))


def is_repeat(trial: FrozenTrial) -> bool:
    """Return True if a trial was told the result of an earlier one with the same network."""
    return "repeat_of" in trial.user_attrs


def key_of(user_attrs: Mapping[str, Any]) -> str | None:
    """Return the key of the evaluation of a trial with these attributes, if it has one."""
    return user_attrs.get(KEY)


def has_all(trial: FrozenTrial, search_space: Mapping[str, Open]) -> bool:
    """Return whether `trial` has a value of each of `search_space`."""
    params = trial.params
    return all(name in params and params[name] in each for name, each in search_space.items())


# A study


@dataclass(frozen=True)
class Data:
    """A data set of which only the fingerprint is known."""

    fingerprint: str


@dataclass(frozen=True, kw_only=True)
class ExperimentRecord:
    """What must not change while a study is under way, as `Experiment` describes itself.

    It is enough to name evaluations, not to train them. `space` and `recipe` are JSON; of a
    benchmark, whose trainings are looked up, `input_shape` is None.
    """

    space: Mapping[str, Any]
    recipe: Mapping[str, Any]
    dataset: str  # its fingerprint
    input_shape: tuple[int, ...] | None = None
    seed: int
    objectives: tuple[str, ...]  # the first is the metric

    def to_json(self) -> dict[str, Any]:
        """Return the record with lists in the place of tuples, as it comes back from a database."""
        known = {name: value for name, value in vars(self).items() if name in _EXPERIMENT}
        if self.input_shape is None:
            del known["input_shape"]
        return json.loads(json.dumps(known))  # type: ignore[no-any-return]

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Self:
        known = {name: value[name] for name in _EXPERIMENT if name in value}
        for name in ("input_shape", "objectives"):
            if name in known:
                known[name] = tuple(known[name])
        return cls(**known)

    @property
    def is_benchmark(self) -> bool:
        """True if the trainings were looked up in a table: then nothing is known of networks."""
        return "table" in self.space

    @property
    def epochs(self) -> int:
        """The epochs of a whole training."""
        return int(self.recipe["epochs"])

    @cached_property
    def search_space(self) -> Mapping[str, Open]:
        """The open fields of the space and of the recipe, by name."""
        if self.is_benchmark:
            return {name: field_from_json(each) for name, each in self.space["table"].items()}
        return {**self.network_space.hyperparameters, **self.training.hyperparameters}

    @cached_property
    def network_space(self) -> Space:
        """The space of networks, which a benchmark has not."""
        assert self.input_shape is not None
        return Space.from_json(dict(self.space)).on(self.input_shape)

    @cached_property
    def training(self) -> Recipe:
        """The recipe by which they are trained, of which a benchmark tells the epochs alone."""
        return Recipe.from_json(dict(self.recipe))

    @property
    def data(self) -> Data:
        return Data(self.dataset)

    def evaluation(self, params: Mapping[str, Any]) -> Evaluation:
        """Return the evaluation, named as by `Experiment.evaluation`."""
        chosen = self.network_space.decode(params), self.training.choose(params)
        return Evaluation(*chosen, self.data, self.seed)

    def draws(self, count: int, seed: int) -> Iterator[Evaluation]:
        """Return the first draws of `Experiment.sample`, limits left aside."""
        dice = RandomTrial(seed)
        for _ in range(count):
            drawn = {name: each.suggest(dice, name) for name, each in self.search_space.items()}
            yield self.evaluation(drawn)


_EXPERIMENT = [each.name for each in fields(ExperimentRecord)]

_COSTS: tuple[list[str], ...] = ([], ["macs"], ["parameters"], [LATENCY])

_described = dict_with(
    space=dict_of(is_anything),
    recipe=dict_with(epochs=is_positive),
    dataset=lambda value: is_text(value) and bool(value.split()),
    seed=is_count,
    objectives=lambda value: (
        isinstance(value, list) and value[:1] in [[m] for m in METRICS] and value[1:] in _COSTS
    ),
)


def _search(value: Any) -> bool:
    """Return whether `value` is what an earlier search has seen; see `nasopt.search.warm_start`."""
    if not _has_seen(value):
        return False
    names, points, values = value["parameters"], value["points"], value["values"]
    whole = len(points) == len(values) and all(len(point) == len(names) for point in points)
    return whole and bool(values) and bool(value["studies"])


_has_seen = dict_with(
    **{"from": is_text},
    studies=list_of(is_text),
    parameters=list_of(is_text),
    points=list_of(list_of(is_anything)),
    values=list_of(is_number),
)


def _experiment(value: Any) -> bool:
    return _described(value) and isinstance(value.get("input_shape", []), list)


@dataclass(frozen=True, kw_only=True, eq=False)
class StudyRecord(Attributes):
    """The user attributes of the study `name`; None where there is no such attribute."""

    name: str
    experiment: ExperimentRecord = attribute(_experiment, MISSING)
    versions: Mapping[str, str] = attribute(dict_of(is_text), MISSING)  # the last to be written
    given_sampler: str | None = attribute(is_text, name="sampler")
    given_seed: int | None = attribute(is_count, name="seed")  # of the sampler
    sampler_settings: Mapping[str, Any] | None = attribute(dict_of(is_anything))  # of an object
    warm_start: Sequence[Mapping[str, Any]] = attribute(list_of(_search), ())  # searches before it
    timed_on: str | None = attribute(is_text)  # how latencies were measured, if they were
    threads: int | None = attribute(is_anything)  # of the CPU, that its networks are trained with
    trials_budget: int | None = attribute(optional(is_positive), name="trials")
    epochs_budget: int | None = attribute(optional(is_positive))  # of the two budgets, one is given
    # of the user's own, by name; written also where there are none, so that a change is told
    features: Sequence[str] = attribute(list_of(is_text), None)
    limits: Sequence[str] = attribute(list_of(is_text), MISSING)  # in force: they may change
    pruner: str = attribute(is_text, MISSING)
    ended: str = attribute(is_text, "")  # why before its budget was spent; "" if it goes on

    @classmethod
    def from_attrs(cls, name: str, attrs: Mapping[str, Any], **others: Any) -> Self:
        """Return the record of a study with these attributes (see `check_study`)."""
        found = cls.given(attrs)
        found["experiment"] = ExperimentRecord.from_json(found["experiment"])
        found["features"] = tuple(found.get("features", ()))
        return cls(name=name, **found, **others)

    @property
    def sampler(self) -> str:
        """The sampler; by the name of a study whose worker was killed by an older version."""
        return self.given_sampler or self.name.rpartition("/")[0].rpartition("/")[2]

    @property
    def seed(self) -> int:
        """The seed of the sampler. Raises StudyError if it is not known."""
        seed = self.name.rpartition("/")[2] if self.given_seed is None else self.given_seed
        if not str(seed).isdecimal():
            raise StudyError(
                f"study={self.name}: its seed is not known; run it again, and it will be"
            )
        return int(seed)

    @property
    def objectives(self) -> tuple[str, ...]:
        """The metric, and the cost that is sought besides, if one is."""
        return self.experiment.objectives

    @property
    def metric(self) -> str:
        """The metric that networks are scored by on validation images."""
        return self.objectives[0]

    @property
    def epochs(self) -> int:
        """The epochs of a whole training."""
        return self.experiment.epochs

    @property
    def is_benchmark(self) -> bool:
        """True if the trainings were looked up in a table: then nothing is known of networks."""
        return self.experiment.is_benchmark

    @property
    def search_space(self) -> Mapping[str, Open]:
        """The open fields of the space and of the recipe, by name."""
        return self.experiment.search_space

    @property
    def warm_start_from(self) -> tuple[str, ...]:
        """The databases of the searches that it began with."""
        return tuple(dict.fromkeys(each["from"] for each in self.warm_start))

    @property
    def space(self) -> Space | None:
        """The space of networks; None if it was of a benchmark."""
        return None if self.is_benchmark else self.experiment.network_space

    def lasting(self) -> dict[str, Any]:
        """Return the attributes that stay as they were first written."""
        return {key: value for key, value in self.to_attrs().items() if key in _LASTING}

    def settings(self) -> dict[str, Any]:
        """Return the attributes that may change, the budget that there is not among them."""
        budgets = {"trials": self.trials_budget, "epochs_budget": self.epochs_budget}
        return budgets | {k: v for k, v in self.to_attrs().items() if k not in _LASTING}


_LASTING = (EXPERIMENT, "sampler", "seed", "sampler_settings", WARM_START)
_BEGUN = {EXPERIMENT, VERSIONS}  # between the two a study is being made


def is_begun(attrs: Mapping[str, Any]) -> bool:
    """Return True if these are the user attributes of a study that nasopt has begun."""
    return attrs.keys() >= _BEGUN


def warm_start_of(attrs: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """Return the searches before a study with these user attributes.

    They are none if nasopt has not begun it: its attribute of that name is somebody else's.
    """
    found = attrs.get(WARM_START, [])
    return found if is_begun(attrs) and list_of(_search)(found) else []


def threads_of(attrs: Mapping[str, Any]) -> int | None:
    """Return the number of threads in the user attributes of a study, if they have one."""
    number = attrs.get(THREADS)
    return number if is_positive(number) else None
