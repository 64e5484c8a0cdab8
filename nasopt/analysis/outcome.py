"""The outcome of a study: any trial as a network with its figures, and the best of them.

It needs the database alone: no study file, no images, no torch.
"""

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Protocol

import optuna
from optuna.trial import FrozenTrial, TrialState

from nasopt.analysis.front import front
from nasopt.analysis.record import Record, devices_of, remarks
from nasopt.analysis.rescoring import rescored
from nasopt.analysis.shown import Shown
from nasopt.analysis.winners import trained_again
from nasopt.errors import StudyError, closest
from nasopt.space.architecture import Architecture
from nasopt.space.layers import Layer
from nasopt.space.limits import COSTS
from nasopt.storage.checks import check_names, check_study
from nasopt.storage.database import shown_url
from nasopt.storage.rdb import Storage
from nasopt.storage.record import StudyRecord, TrialRecord, is_begun, key_of, reports_of
from nasopt.text import accuracy, done_of

RUNNERS_UP = 4
REPR_BEST = 8  # of a front, at most


@dataclass(frozen=True)
class Outcome(Shown):
    """One trial of a study. `recipe` has the values of the recipe's open fields.

    The best of many accuracies was chosen for its luck, too: `fresh` are those of the same network
    trained with other seeds, where it was (see `Retrained`). `over` are the limits in force that it
    is over.
    """

    study: str
    number: int
    state: str
    architecture: Architecture | dict[str, Any]  # of a benchmark: the parameters
    recipe: dict[str, Any]
    accuracy: float | None  # a fraction, as the search saw it; the last one reported
    accuracies: tuple[float, ...]  # after each epoch
    parameters: int | None
    macs: int | None
    attributes: dict[str, Any]
    record: TrialRecord = field(default_factory=TrialRecord)
    fresh: tuple[float, ...] = ()
    over: tuple[str, ...] = ()
    metric: str = "accuracy"  # that all of its accuracies are by
    timed_on: str | None = None  # how its latency was measured, if it was

    @property
    def fresh_mean(self) -> float | None:
        """The mean accuracy with fresh seeds, free of selection bias; None if it is not known."""
        return statistics.fmean(self.fresh) if self.fresh else None

    def to_json(self) -> dict[str, Any]:
        chosen = self.architecture
        known = {name: value for name, value in asdict(self).items() if name != "record"}
        return {
            **known,
            "architecture": chosen.to_json() if isinstance(chosen, Architecture) else chosen,
            "fresh_mean": self.fresh_mean,
        }

    def __repr__(self) -> str:
        known = accuracy(self.accuracy) or "no accuracy"
        if self.fresh_mean is not None:
            known = f"{accuracy(self.fresh_mean)} trained again, {known} as seen"
        return f"<Outcome: trial {self.number} of {self.study}, {self.state}, {known}>"


@dataclass(frozen=True)
class Result(Shown):
    """A study as it stands. `best` has one trial, or the Pareto front in order of cost.

    They go by the `limits` in force, under which a study need not have begun: `over` trials that
    count are over them. `foreign` trials were made by plain Optuna. `runners_up` are the trials
    behind the best, four at most; of a front there are none. `devices` are what the counted trials
    were trained on, with their numbers. `notes` are sentences on what is left out.
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
    limits: tuple[str, ...] = ()
    over: int = 0
    foreign: int = 0
    notes: tuple[str, ...] = ()

    def __repr__(self) -> str:
        best = "".join(f"\n  {each!r}" for each in self.best[-REPR_BEST:])
        notes = "".join(f"\n  {note}" for note in self.notes)
        return f"<Result: {self.study}, {done_of(self.done, self.trials)}{best}{notes}>"

    def to_json(self) -> dict[str, Any]:
        lists = {name: getattr(self, name) for name in ("best", "runners_up")}
        return {
            **asdict(self),
            **{name: [each.to_json() for each in outcomes] for name, outcomes in lists.items()},
        }


def studies_of(storage: Storage) -> list[str]:
    """Return the names of nasopt's studies in the database, in the order in which they began."""
    return [study.name for study in study_records(storage)]


def study_records(storage: Storage) -> list[StudyRecord]:
    """Return the records of nasopt's studies, in the order in which they began.

    Optuna's summaries would read and copy every trial. Raises StudyError if one cannot be a study
    of nasopt's.
    """
    studies = storage.get_all_studies()
    check_names([each.study_name for each in studies])
    begun = (each for each in studies if is_begun(each.user_attrs))
    return [check_study(each.study_name, each.user_attrs) for each in begun]


def load_study(storage: Storage, name: str | None = None) -> optuna.Study:
    """Return the study of that name; without one the only study, or the one that was begun last.

    Raises StudyError for an unknown name, or a database without a study of nasopt's.
    """
    names = studies_of(storage)
    if not names:
        shown = storage.path or shown_url(storage.url)
        raise StudyError(f"storage={shown}: no study of nasopt's in it; name another database")
    if name is not None and name not in names:
        if any(each.study_name == name for each in storage.get_all_studies()):
            raise StudyError(f"study={name!r}: not one of nasopt's; {closest(name, names)}")
        raise StudyError(f"study={name!r}: not in this database; {closest(name, names)}")
    return optuna.load_study(study_name=name or names[-1], storage=storage)


def outcome(study: optuna.Study, number: int, metric: str | None = None) -> Outcome:
    """Return trial `number` of `study`, scored by `metric` (default: that of the search).

    Raises StudyError if there is none, or it has no network.
    """
    record = scored_record(study, metric)
    if not 0 <= number < len(record.trials):
        raise StudyError(
            f"trial={number}: {record.name} has {len(record.trials)}, numbered from 0; choose one"
        )
    trial = record.trials[number]
    if trial in record.foreign:
        raise StudyError(
            f"trial={number}: made by plain Optuna (study.add_trial, study.optimize), so no "
            f"network of it is known; study.trials[{number}] has what there is"
        )
    if key_of(trial.user_attrs) is None:
        if trial.state.is_finished():
            raise StudyError(f"trial={number}: it failed before it had a network; ask for another")
        raise StudyError(f"trial={number}: it has no network yet; look again when it runs")
    return outcome_of(record, trial, opened(study))


def opened(study: optuna.Study) -> Storage | None:
    """Return nasopt's storage that `study` is in, behind Optuna's cache; None if it is another."""
    storage = getattr(study._storage, "_backend", study._storage)
    return storage if isinstance(storage, Storage) else None


def scored_record(study: optuna.Study, metric: str | None) -> Record:
    """Return what `study` has in its database, scored by `metric` (default: the search's)."""
    storage = opened(study)
    record = Record.of(study)
    return record if storage is None else rescored(record, storage, metric)


def result(study: optuna.Study, metric: str | None = None) -> Result:
    """Return the best of `study` and its counts, scored by `metric` (default: the search's)."""
    record = scored_record(study, metric)
    storage = opened(study)
    if len(record.objectives) > 1:
        best, others = front(record.complete, lambda t: (t.values[0], t.values[1])), []
    else:
        ranked = honest_first([(record, t) for t in sorted(record.complete, key=rank)], storage)
        trials = [trial for _, trial in ranked[: 1 + RUNNERS_UP]]
        best, others = trials[:1], trials[1:]

    def told(trials: list[FrozenTrial]) -> tuple[Outcome, ...]:
        return tuple(outcome_of(record, trial, storage) for trial in trials)

    return Result(
        study=record.name,
        objectives=record.objectives,
        trials=record.trials_budget,
        done=len(record.counted),
        pruned=sum(trial.state is TrialState.PRUNED for trial in record.counted),
        free=len(record.finished) - len(record.counted),
        best=told(best),
        runners_up=told(others),
        devices=devices_of(record.counted),
        limits=tuple(record.limits),
        over=len(record.over),
        foreign=len(record.foreign),
        notes=tuple(remarks([record])),
    )


class WithOutcome(Protocol):
    """A study that has its result with it, as `StudyResult` has."""

    @property
    def outcome(self) -> Result: ...


def best(study: optuna.Study | WithOutcome | Result) -> Architecture:
    """Return the best network of `study`; of a study of two objectives the most accurate.

        nasopt.build(nasopt.best(study), input_shape=(3, 32, 32), classes=10)

    `study` is what `nasopt.run` returns, or one of `nasopt.open`. Raises StudyError for anything
    else, if no network is trained to its end, or if they are entries of a benchmark.
    """
    found = _result_of(study)
    if not found.best:
        raise StudyError(f"study={found.study}: no finished trial yet; go on with it")
    chosen = found.best[-1].architecture
    if not isinstance(chosen, Architecture):
        raise StudyError(f"study={found.study}: its networks are entries of a table; none is built")
    return chosen


def _result_of(study: object) -> Result:
    found = result(study) if isinstance(study, optuna.Study) else getattr(study, "outcome", study)
    if isinstance(found, Result):
        return found
    raise StudyError(
        f"study={type(study).__name__}: give a study, as nasopt.run returns it, or "
        "nasopt.open(...).study(name)"
    )


def rank(trial: FrozenTrial) -> tuple[float, float, int]:
    """Return a key that sorts complete trials, best first: of equal accuracies the least work."""
    macs = TrialRecord.of(trial).macs
    return -trial.values[0], math.inf if macs is None else macs, trial.number


def honest_first(
    ranked: list[tuple[Record, FrozenTrial]], storage: Storage | None
) -> list[tuple[Record, FrozenTrial]]:
    """Put first, of the equally accurate at the head, one that was trained again, if one was.

    It is mostly the first that a study found: that is the winner of a comparison.
    """
    if not ranked or storage is None:
        return ranked
    top = [pair for pair in ranked if pair[1].values[0] == ranked[0][1].values[0]]
    found_first: dict[str, tuple[Record, FrozenTrial]] = {}
    for pair in sorted(top, key=lambda each: each[1].number):
        found_first.setdefault(pair[0].name, pair)
    for study, trial in (top[0], *found_first.values()):
        if trained_again(study, trial.params, storage):
            return [(study, trial), *(pair for pair in ranked if pair[1] is not trial)]
    return ranked


def outcome_of(study: Record, trial: FrozenTrial, storage: Storage | None = None) -> Outcome:
    """Return the outcome of a trial that has a network; `storage` has its fresh accuracies."""
    steps = sorted(reports_of(trial).items())
    reported = tuple(value for _, value in steps)
    record = TrialRecord.of(trial)
    recipe = {k: v for k, v in trial.params.items() if k.startswith("recipe.")}
    space = study.space
    return Outcome(
        study=study.name,
        number=trial.number,
        state=trial.state.name.lower(),
        architecture=dict(trial.params) if space is None else space.decode(trial.params),
        recipe=recipe,
        accuracy=trial.values[0] if trial.values else (reported[-1] if reported else None),
        accuracies=reported,
        parameters=record.parameters,
        macs=record.macs,
        attributes={k: v for k, v in trial.user_attrs.items() if k not in COSTS},
        record=record,
        fresh=() if storage is None else trained_again(study, trial.params, storage),
        over=tuple(study.broken(trial)),
        metric=study.metric,
        timed_on=study.timed_on,
    )


def layer_rows(layers: Sequence[Layer]) -> dict[str, list[str]]:
    """Return the lecture's table of convolutions and pools: label -> a text for each, in order."""
    cells = [(str(number), *layer.wording.cells) for number, layer in enumerate(layers, 1)]
    labels = ("Layer", "Type", "# of filters", "Size of filters", "Stride")
    rows = {label: [cell[place] for cell in cells] for place, label in enumerate(labels)}
    if set(rows["Type"]) == {"conv"}:
        del rows["Type"]
    return rows
