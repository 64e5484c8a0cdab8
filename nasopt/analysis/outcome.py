"""What came out of a study: any trial as a network with its figures, and the best of them.

It needs the database alone: no study file, no images, no torch.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import optuna
from optuna.trial import FrozenTrial, TrialState

from nasopt.analysis.front import front
from nasopt.analysis.record import Record, devices_of
from nasopt.architecture import Architecture
from nasopt.attributes import check_study
from nasopt.claims import EXPERIMENT, FREE, LAST, Storage
from nasopt.database import shown_url
from nasopt.errors import StudyError, closest
from nasopt.layers import Conv, Layer, Pool
from nasopt.space import Space

RUNNERS_UP = 4


@dataclass(frozen=True)
class Outcome:
    """One trial of a study. `recipe` has the values of the recipe's open fields."""

    study: str
    number: int
    state: str
    architecture: Architecture | dict[str, Any]  # of a benchmark: the parameters
    recipe: dict[str, Any]
    accuracy: float | None  # a fraction; the last one reported
    accuracies: tuple[float, ...]  # after each epoch
    parameters: int | None
    macs: int | None
    attributes: dict[str, Any]

    def to_json(self) -> dict[str, Any]:
        chosen = self.architecture
        return {
            **asdict(self),
            "architecture": chosen.to_json() if isinstance(chosen, Architecture) else chosen,
        }


@dataclass(frozen=True)
class Result:
    """A study as it stands. `best` has one trial, or the Pareto front in order of cost.

    `runners_up` are the trials behind the best, four at most; of a front there are none. `devices`
    are what the counted trials were trained on, with their numbers.
    """

    study: str
    objectives: tuple[str, ...]
    trials: int | None  # the total that is asked for
    done: int  # trials that count to it
    pruned: int
    free: int
    best: tuple[Outcome, ...]
    runners_up: tuple[Outcome, ...] = ()
    devices: Mapping[str, int] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        lists = {name: getattr(self, name) for name in ("best", "runners_up")}
        return {
            **asdict(self),
            **{name: [each.to_json() for each in outcomes] for name, outcomes in lists.items()},
        }


def studies_of(storage: Storage) -> list[str]:
    """Names of nasopt's studies in the database, in the order in which they were begun."""
    return list(attributes_of(storage))


def attributes_of(storage: Storage) -> dict[str, dict[str, Any]]:
    """Name -> user attributes of nasopt's studies, in the order in which they were begun.

    Optuna's summaries would read and copy every trial. Raises StudyError where one cannot be.
    """
    begun = {EXPERIMENT, LAST}  # a study in between is being made at this moment
    studies = storage.get_all_studies()
    ours = {each.study_name: each.user_attrs for each in studies if begun <= each.user_attrs.keys()}
    for name, attrs in ours.items():
        check_study(name, attrs)
    return ours


def load_study(storage: Storage, name: str | None = None) -> optuna.Study:
    """The study of that name; without one the only study, or the one that was begun last.

    Raises StudyError for an unknown name, or a database without a study of nasopt's.
    """
    names = studies_of(storage)
    if not names:
        shown = storage.path or shown_url(storage.url)
        raise StudyError(f"storage={shown}: no study of nasopt's in it; name another database")
    if name is not None and name not in names:
        raise StudyError(f"study={name!r}: not in this database; {closest(name, names)}")
    return optuna.load_study(study_name=name or names[-1], storage=storage)


def outcome(study: optuna.Study, number: int) -> Outcome:
    """Trial `number` of `study`. Raises StudyError if there is none, or it has no network yet."""
    trials = Record.of(study).trials
    if not 0 <= number < len(trials):
        raise StudyError(
            f"trial={number}: {study.study_name} has {len(trials)}, numbered from 0; choose one"
        )
    if "key" not in trials[number].user_attrs:
        raise StudyError(f"trial={number}: it has no network yet; look again when it runs")
    return outcome_of(study.study_name, space_of(study.user_attrs), trials[number])


def result(study: optuna.Study) -> Result:
    """The best of `study` and its counts."""
    trials = Record.of(study).trials
    finished = [trial for trial in trials if trial.state.is_finished()]
    counted = [trial for trial in finished if FREE not in trial.user_attrs]
    complete = [trial for trial in finished if trial.state is TrialState.COMPLETE]
    space = space_of(study.user_attrs)
    objectives = study.user_attrs[EXPERIMENT]["objectives"]
    if len(objectives) > 1:
        best, others = front(complete, lambda trial: (trial.values[0], trial.values[1])), []
    else:
        ranked = sorted(complete, key=rank)
        best = ranked[:1]
        others = [trial for trial in ranked[1:] if FREE not in trial.user_attrs][:RUNNERS_UP]

    def told(trials: list[FrozenTrial]) -> tuple[Outcome, ...]:
        return tuple(outcome_of(study.study_name, space, trial) for trial in trials)

    return Result(
        study=study.study_name,
        objectives=tuple(objectives),
        trials=study.user_attrs.get("trials"),
        done=len(counted),
        pruned=sum(trial.state is TrialState.PRUNED for trial in counted),
        free=len(finished) - len(counted),
        best=told(best),
        runners_up=told(others),
        devices=devices_of(counted),
    )


def rank(trial: FrozenTrial) -> tuple[float, float, int]:
    """Sorts complete trials, the best first: of equal accuracies the one of least work."""
    macs = trial.user_attrs.get("macs")
    return -trial.values[0], math.inf if macs is None else macs, trial.number


def space_of(attrs: Mapping[str, Any]) -> Space | None:
    """The space of the study with these user attributes; None where it was of a benchmark."""
    begun = attrs[EXPERIMENT]
    if "table" in begun["space"]:
        return None
    return Space.from_json(begun["space"]).on(tuple(begun["input_shape"]))


def outcome_of(study: str, space: Space | None, trial: FrozenTrial) -> Outcome:
    """A trial of `study` that has a network."""
    steps = sorted(trial.intermediate_values.items())
    reported = tuple(value for _, value in steps)
    attributes = dict(trial.user_attrs)
    recipe = {k: v for k, v in trial.params.items() if k.startswith("recipe.")}
    return Outcome(
        study=study,
        number=trial.number,
        state=trial.state.name.lower(),
        architecture=dict(trial.params) if space is None else space.decode(trial.params),
        recipe=recipe,
        accuracy=trial.values[0] if trial.values else (reported[-1] if reported else None),
        accuracies=reported,
        parameters=attributes.pop("parameters", None),
        macs=attributes.pop("macs", None),
        attributes=attributes,
    )


def layer_rows(layers: Sequence[Layer]) -> dict[str, list[str]]:
    """The lecture's table of convolutions and pools: label -> a text for each of them, in order."""
    rows: dict[str, list[str]] = {
        "Layer": [],
        "Type": [],
        "# of filters": [],
        "Size of filters": [],
        "Stride": [],
    }
    for number, layer in enumerate(layers, 1):
        size = layer.chosen("kernel_size")
        rows["Layer"].append(str(number))
        rows["Type"].append(
            {"residual": "res", "separable": "sep", "average": "avg"}.get(
                layer.chosen("op"), layer.chosen("op")
            )
        )
        rows["# of filters"].append(str(layer.chosen("filters")) if isinstance(layer, Conv) else "")
        rows["Size of filters"].append(f"{size}x{size}")
        rows["Stride"].append(str(size if isinstance(layer, Pool) else layer.chosen("stride")))
    if set(rows["Type"]) == {"conv"}:
        del rows["Type"]
    return rows
