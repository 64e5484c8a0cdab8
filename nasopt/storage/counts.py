"""`TrialCounts`: the facts that a worker needs of its study's finished trials, each read once."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

import sqlalchemy as sa
from optuna.trial import TrialState

from nasopt.space.limits import Limit
from nasopt.storage.attributes import EPOCHS, FREE, KEY
from nasopt.storage.budget import Costs
from nasopt.storage.patience import patient
from nasopt.storage.rdb import Storage
from nasopt.storage.reading import TRIALS, USER_ATTRS, VALUES, newer_trials, stored_value
from nasopt.storage.record import TrialRecord

ATTRS = (KEY, EPOCHS, FREE)
PACE = ("macs", "epochs", "seconds", "device")  # attributes that tell how fast a trial went


def is_within(limits: Sequence[Limit], amounts: Mapping[str, Any]) -> bool:
    """Return True if a network of `amounts` (quantity -> number) is within all limits."""
    return all(amounts.get(each.quantity, 0) <= each.bound for each in limits)


@patient
def paces(storage: Storage, study_id: int, count: int) -> list[TrialRecord]:
    """Return what the `count` newest finished trials took, the latest first; no other fields."""
    finished = TRIALS.c.state.in_((TrialState.COMPLETE, TrialState.PRUNED))
    newest = (
        sa.select(TRIALS.c.trial_id)
        .where(TRIALS.c.study_id == study_id, finished)
        .order_by(TRIALS.c.trial_id.desc())
        .limit(count)
        .subquery()
    )
    attrs = (
        sa.select(USER_ATTRS.c.trial_id, USER_ATTRS.c.key, USER_ATTRS.c.value_json)
        .join(newest, newest.c.trial_id == USER_ATTRS.c.trial_id)
        .where(USER_ATTRS.c.key.in_(PACE))
        .order_by(USER_ATTRS.c.trial_id.desc())
    )
    of_trial: dict[int, dict[str, Any]] = {}
    with storage.engine.connect() as connection:
        for trial_id, name, value in connection.execute(attrs):
            of_trial.setdefault(trial_id, {})[name] = json.loads(value)
    own = (each for each in of_trial.values() if TrialRecord.wrong(each) is None)
    return [TrialRecord(**TrialRecord.given(each)) for each in own]


class TrialCounts:
    """The counts of finished trials and their networks, up to date after `refresh`.

    `done` counts to the budget, `pruned` is how many of those were pruned, `free` how many more
    cost nothing. `epochs_spent` is what all of them cost as if trained (see `budget`). `best` is
    the highest first value of a complete trial within `limits`. `foreign` is how many were plain
    Optuna's; they count to the budget, but their values may be of anything. `trained` has the
    trial (its id) that took each evaluation, by its key, furthest; of several the first; and
    `epochs` how far that is.
    """

    def __init__(self, storage: Storage, study_id: int, limits: Sequence[Limit] = ()) -> None:
        self.storage = storage
        self.study_id = study_id
        self.limits = limits
        self.done = self.pruned = self.free = self.foreign = 0
        self.epochs_spent = 0
        self.best: float | None = None
        self.trained: dict[str, int] = {}
        self.epochs: dict[str, int] = {}
        self._costs = Costs()
        self._unfinished: set[int] = set()
        self._last = -1  # trial id

    @patient
    def refresh(self) -> None:
        """Read the trials that ended since the last time, and nothing of the others."""
        of = newer_trials(self.study_id, self._last, self._unfinished)
        ended = TRIALS.c.state.not_in((TrialState.RUNNING, TrialState.WAITING))
        first = (VALUES.c.trial_id == TRIALS.c.trial_id) & (VALUES.c.objective == 0)
        trials = (
            sa.select(TRIALS.c.trial_id, TRIALS.c.state, VALUES.c.value, VALUES.c.value_type)
            .outerjoin(VALUES, first)
            .where(of)
        )
        quantities = [limit.quantity for limit in self.limits]
        names = USER_ATTRS.c.key.in_([*ATTRS, *quantities])
        attrs = (
            sa.select(USER_ATTRS.c.trial_id, USER_ATTRS.c.key, USER_ATTRS.c.value_json)
            .join(TRIALS, TRIALS.c.trial_id == USER_ATTRS.c.trial_id)
            .where(of, ended, names)
        )
        with self.storage.engine.connect() as connection:
            rows = sorted(connection.execute(trials).all(), key=lambda row: row.trial_id)
            of_trial: dict[int, dict[str, Any]] = {}
            for trial_id, name, value in connection.execute(attrs):
                of_trial.setdefault(trial_id, {})[name] = json.loads(value)
        for row in rows:
            if row.trial_id <= self._last and row.trial_id not in self._unfinished:
                continue  # counted before; they come, too, where too many are unfinished
            self._last = max(self._last, row.trial_id)
            if row.state.is_finished():
                self._unfinished.discard(row.trial_id)
                self._count(row, of_trial.get(row.trial_id, {}))
            else:
                self._unfinished.add(row.trial_id)

    def _count(self, row: Any, attrs: dict[str, Any]) -> None:
        if FREE in attrs:
            self.free += 1
        else:
            self.done += 1
            self.pruned += row.state is TrialState.PRUNED
        key, epochs = attrs.get(KEY), attrs.get(EPOCHS)
        if not (isinstance(key, str) and isinstance(epochs, int)):
            self.foreign += FREE not in attrs  # one of ours that had no training is free
            return
        if row.state is TrialState.COMPLETE and is_within(self.limits, attrs):
            value = stored_value(row.value, row.value_type)
            self.best = value if self.best is None else max(value, self.best)
        self._count_epochs(row.trial_id, key, epochs)
        cost = self._costs.add(TrialRecord(key=key, epochs=epochs, free=FREE in attrs))
        self.epochs_spent += cost.epochs

    def _count_epochs(self, trial_id: int, key: str, epochs: int) -> None:
        known = self.epochs.get(key, -1), -self.trained.get(key, trial_id)
        if (epochs, -trial_id) > known:
            self.epochs[key], self.trained[key] = epochs, trial_id
