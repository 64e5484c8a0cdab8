"""What came out of a study: any trial as a network with its figures, and the best of them.

It needs the database alone: no study file, no images, no torch.
"""

from dataclasses import asdict, dataclass
from typing import Any

import optuna
from optuna.trial import FrozenTrial, TrialState

from nasopt.analysis.front import front
from nasopt.architecture import Architecture
from nasopt.claims import EXPERIMENT, FREE, Storage
from nasopt.database import shown_url
from nasopt.errors import StudyError, closest
from nasopt.space import Space


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
    """A study as it stands. `best` has one trial, or the Pareto front in order of cost."""

    study: str
    objectives: tuple[str, ...]
    trials: int | None  # the total that is asked for
    done: int  # trials that count to it
    pruned: int
    free: int
    best: tuple[Outcome, ...]

    def to_json(self) -> dict[str, Any]:
        return {**asdict(self), "best": [outcome.to_json() for outcome in self.best]}


def studies_of(storage: Storage) -> list[str]:
    """Names of nasopt's studies in the database, in the order in which they were begun."""
    summaries = optuna.get_all_study_summaries(storage, include_best_trial=False)
    return [each.study_name for each in summaries if EXPERIMENT in each.user_attrs]


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
    trials = study.get_trials(deepcopy=False)
    if not 0 <= number < len(trials):
        raise StudyError(
            f"trial={number}: {study.study_name} has {len(trials)}, numbered from 0; choose one"
        )
    if "key" not in trials[number].user_attrs:
        raise StudyError(f"trial={number}: it has no network yet; look again when it runs")
    return _outcome(study, _space(study), trials[number])


def result(study: optuna.Study) -> Result:
    """The best of `study` and its counts."""
    trials = study.get_trials(deepcopy=False)
    finished = [trial for trial in trials if trial.state.is_finished()]
    counted = [trial for trial in finished if FREE not in trial.user_attrs]
    complete = [trial for trial in finished if trial.state is TrialState.COMPLETE]
    space = _space(study)
    objectives = study.user_attrs[EXPERIMENT]["objectives"]
    best = (
        front(complete, lambda trial: (trial.values[0], trial.values[1]))
        if len(objectives) > 1
        else _first_best(complete)
    )
    return Result(
        study=study.study_name,
        objectives=tuple(objectives),
        trials=study.user_attrs.get("trials"),
        done=len(counted),
        pruned=sum(trial.state is TrialState.PRUNED for trial in counted),
        free=len(finished) - len(counted),
        best=tuple(_outcome(study, space, trial) for trial in best),
    )


def _first_best(trials: list[FrozenTrial]) -> list[FrozenTrial]:
    return [max(trials, key=lambda trial: (trial.values[0], -trial.number))] if trials else []


def _space(study: optuna.Study) -> Space | None:
    """The space of `study`; None where it was of a benchmark."""
    begun = study.user_attrs[EXPERIMENT]
    if "table" in begun["space"]:
        return None
    return Space.from_json(begun["space"]).on(tuple(begun["input_shape"]))


def _outcome(study: optuna.Study, space: Space | None, trial: FrozenTrial) -> Outcome:
    steps = sorted(trial.intermediate_values.items())
    reported = tuple(value for _, value in steps)
    attributes = dict(trial.user_attrs)
    recipe = {k: v for k, v in trial.params.items() if k.startswith("recipe.")}
    return Outcome(
        study=study.study_name,
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
