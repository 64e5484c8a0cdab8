"""The studies of a database, a line each."""

import statistics
from dataclasses import asdict, dataclass
from datetime import UTC
from typing import Any

import optuna
from optuna.trial import TrialState

from nasopt.analysis.outcome import rank, studies_of
from nasopt.analysis.record import Record
from nasopt.analysis.winners import trained_again
from nasopt.storage.rdb import Storage


@dataclass(frozen=True)
class StudySummary:
    """The state of a study; `live` if a worker has one of its trials in hand.

    `best` is the accuracy of its best network as the search saw it, and `fresh` the mean over its
    trainings with other seeds; None if there are none. `over` and `foreign` are as in `Result`.
    """

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
    fresh: float | None = None
    over: int = 0
    foreign: int = 0

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


def study_summaries(storage: Storage) -> list[StudySummary]:
    """Return all studies of nasopt's in the database, in the order in which they were begun."""
    return [
        _summary(storage, optuna.load_study(study_name=name, storage=storage))
        for name in studies_of(storage)
    ]


def _summary(storage: Storage, study: optuna.Study) -> StudySummary:
    record = Record.of(study)
    times = [
        time for t in record.trials for time in (t.datetime_start, t.datetime_complete) if time
    ]
    running = [t for t in record.trials if t.state is TrialState.RUNNING]
    last = max(times).astimezone(UTC).strftime("%Y-%m-%d %H:%M") if times else None
    best = min(record.complete, key=rank, default=None)
    single = len(record.objectives) == 1
    fresh = trained_again(record, best.params, storage) if best is not None and single else ()
    return StudySummary(
        study=record.name,
        sampler=record.given_sampler,
        seed=record.given_seed,
        trials=record.trials_budget,
        done=len(record.counted),
        running=len(running),
        queued=sum(t.state is TrialState.WAITING for t in record.trials),
        pruned=sum(t.state is TrialState.PRUNED for t in record.counted),
        free=len(record.finished) - len(record.counted),
        best=None if best is None else best.values[0],
        last_activity=last,
        live=storage.has_living_owner([t._trial_id for t in running]),
        fresh=statistics.fmean(fresh) if fresh else None,
        over=len(record.over),
        foreign=len(record.foreign),
    )
