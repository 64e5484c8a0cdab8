"""The content of a tracker: a study and a finished trial, in words and numbers of any tool."""

import hashlib
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

import optuna
from optuna.trial import FrozenTrial, TrialState

from nasopt.analysis.outcome import opened
from nasopt.reporting.notes import Notebook
from nasopt.storage.attributes import IDENTITY
from nasopt.storage.checks import check_study
from nasopt.storage.ledger import Ledger
from nasopt.storage.opening import folders
from nasopt.storage.rdb import Storage
from nasopt.storage.record import StudyRecord, TrialRecord, is_begun, is_own, reports_of
from nasopt.training.metrics import METRICS

CURVES = ("accuracy", "loss", "train_loss")
COSTS = ("parameters", "macs", "latency", "epochs", "seconds")


@dataclass(frozen=True)
class TrackedStudy:
    """A study: its `identity` differs from that of any other of the same name.

    `settings` are those that stay as they began.
    """

    name: str
    identity: str
    settings: Mapping[str, Any]
    maximized: bool | None  # None: there are two objectives
    record: StudyRecord | None  # of one of nasopt's
    storage: Storage | None

    @property
    def experiment(self) -> str:
        """The name of its experiment: without the sampler and the seed of one of nasopt's."""
        return self.name if self.record is None else self.name.rsplit("/", 2)[0]

    @property
    def score(self) -> str:
        """The name of what a trial is told by: the metric; in plain Optuna "value"."""
        return "value" if self.record is None else self.record.metric

    @classmethod
    def of(cls, study: optuna.Study) -> Self:
        """Read a study of nasopt's or of plain Optuna."""
        name, attrs = study.study_name, study.user_attrs
        record = check_study(name, attrs) if is_begun(attrs) else None
        system = study._storage.get_study_system_attrs(study._study_id)
        digest = hashlib.blake2b(name.encode(), digest_size=16).hexdigest()
        directions = [direction.name for direction in study.directions]
        return cls(
            name=name,
            identity=system.get(IDENTITY, digest),
            settings={} if record is None else _settings(record),
            maximized=directions == ["MAXIMIZE"] if len(directions) == 1 else None,
            record=record,
            storage=opened(study),
        )


@dataclass(frozen=True)
class TrackedTrial:
    """A finished trial.

    `curves` are values by epoch, `numbers` what it ended with and cost, `began` and `ended`
    seconds since 1970. `note` is its outcome in Markdown, "" if there is none.
    """

    number: int
    state: TrialState
    params: Mapping[str, Any]
    curves: Mapping[str, Mapping[int, float]]
    seconds: Mapping[int, float]  # of training by the end of an epoch, where they are known
    numbers: Mapping[str, float]
    tags: Mapping[str, str]
    note: str
    began: float
    ended: float

    @classmethod
    def of(cls, study: TrackedStudy, trial: FrozenTrial) -> Self:
        """Read a finished trial of `study`, with the losses that a ledger has of it."""
        is_known = study.record is not None and is_own(trial, study.record.search_space)
        record = TrialRecord.of(trial) if _is_noted(trial) else TrialRecord()
        curves, seconds = _curves(study, trial, record)
        ended = trial.datetime_complete or trial.datetime_start
        began = trial.datetime_start or ended
        return cls(
            number=trial.number,
            state=trial.state,
            params=trial.params,
            curves=curves,
            seconds=seconds,
            numbers=_numbers(study, trial, record),
            tags=_tags(trial, record),
            note=_note(study, trial) if is_known else "",
            began=began.timestamp() if began else 0.0,
            ended=ended.timestamp() if ended else 0.0,
        )

    def time(self, epoch: int) -> float:
        """Return about when an epoch ended, in seconds since 1970."""
        return self.began + self.seconds[epoch] if epoch in self.seconds else self.ended


def _is_noted(trial: FrozenTrial) -> bool:
    """Return whether the attributes of a trial are those of a search, or of an `Objective`."""
    return TrialRecord.wrong(trial.user_attrs) is None


def _settings(study: StudyRecord) -> dict[str, Any]:
    return {
        "sampler": study.sampler,
        "seed": study.seed,
        "dataset": study.experiment.dataset,
        "objectives": ", ".join(study.objectives),
        "epochs": study.epochs,
        "training_seed": study.experiment.seed,
    }


def _curves(
    study: TrackedStudy, trial: FrozenTrial, record: TrialRecord
) -> tuple[dict[str, dict[int, float]], dict[int, float]]:
    """Return the values and the seconds by epoch, as far as the trial was trained."""
    known = []
    if study.storage is not None and record.key is not None:
        ledger = Ledger(study.storage.engine, folders(study.storage).checkpoints)
        known = ledger.results(record.key)[: record.epochs or 0]
    if not known:
        reported = _finite(reports_of(trial))
        return ({study.score: reported} if reported else {}), {}
    curves = {name: _finite({each.epoch: getattr(each, name) for each in known}) for name in CURVES}
    if study.score in METRICS and all(each.confusion is not None for each in known):
        curves[study.score] = {each.epoch: each.score(study.score) for each in known}
    seconds = {each.epoch: sum(e.seconds for e in known[: each.epoch]) for each in known}
    # a loss of 0 all the time is one that was not told
    return {name: curve for name, curve in curves.items() if any(curve.values())}, seconds


def _finite(values: Mapping[int, float]) -> dict[int, float]:
    return {step: value for step, value in sorted(values.items()) if math.isfinite(value)}


def _numbers(study: TrackedStudy, trial: FrozenTrial, record: TrialRecord) -> dict[str, float]:
    """Return the value, by the name of what it is, then the costs that are known.

    The first one is what the page HParams of TensorBoard shows of each trial.
    """
    costs = {name: getattr(record, name) for name in COSTS}
    known = {name: float(value) for name, value in costs.items() if value is not None}
    values = trial.values or []
    if study.record is not None or len(values) == 1:
        names = [study.score][: len(values)]  # the second of nasopt's is a cost
    else:
        names = [f"{study.score}_{n}" for n, _ in enumerate(values)]
    pairs = zip(names, values, strict=False)
    return {name: value for name, value in pairs if math.isfinite(value)} | known


def _tags(trial: FrozenTrial, record: TrialRecord) -> dict[str, str]:
    tags = {
        "state": trial.state.name.lower(),
        "ended_by": record.ended_by,
        "reason": record.reason,
        "repeat_of": record.repeat_of,
        "device": record.device,
    }
    return {name: str(value) for name, value in tags.items() if value is not None}


def _note(study: TrackedStudy, trial: FrozenTrial) -> str:
    assert study.record is not None
    assert study.storage is not None
    return Notebook(study.storage, 0, study.record).text(trial)
