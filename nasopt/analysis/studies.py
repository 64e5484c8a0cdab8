"""The studies of a database, a line each."""

from dataclasses import asdict, dataclass
from datetime import UTC
from typing import Any

import optuna
from optuna.trial import TrialState

from nasopt.analysis.outcome import studies_of
from nasopt.analysis.record import Record
from nasopt.claims import FREE, Storage


@dataclass(frozen=True)
class StudySummary:
    """Where a study stands; `live` if a worker has one of its trials in hand."""

    study: str
    sampler: str | None
    seed: int | None
    trials: int | None  # the total that is asked for
    done: int  # finished trials that count to it
    running: int
    queued: int
    pruned: int
    free: int
    best: float | None
    last_activity: str | None  # ISO 8601, UTC
    live: bool

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


def study_summaries(storage: Storage) -> list[StudySummary]:
    """All studies of nasopt's in the database, in the order in which they were begun."""
    return [
        _summary(storage, optuna.load_study(study_name=name, storage=storage))
        for name in studies_of(storage)
    ]


def _summary(storage: Storage, study: optuna.Study) -> StudySummary:
    trials = Record.of(study).trials
    counted = [t for t in trials if t.state.is_finished() and FREE not in t.user_attrs]
    times = [time for t in trials for time in (t.datetime_start, t.datetime_complete) if time]
    complete = [t.values[0] for t in trials if t.state is TrialState.COMPLETE]
    running = [t for t in trials if t.state is TrialState.RUNNING]
    last = max(times).astimezone(UTC).strftime("%Y-%m-%d %H:%M") if times else None
    return StudySummary(
        study=study.study_name,
        sampler=study.user_attrs.get("sampler"),
        seed=study.user_attrs.get("seed"),
        trials=study.user_attrs.get("trials"),
        done=len(counted),
        running=len(running),
        queued=sum(t.state is TrialState.WAITING for t in trials),
        pruned=sum(t.state is TrialState.PRUNED for t in counted),
        free=sum(FREE in t.user_attrs for t in trials),
        best=max(complete, default=None),
        last_activity=last,
        live=storage.has_living_owner([t._trial_id for t in running]),
    )
