"""The owners of trials: writes are fenced by an owner, and what a dead one left is given back."""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from optuna.trial import TrialState
from sqlalchemy.dialects import postgresql, sqlite

from nasopt.storage import leases
from nasopt.storage.attributes import DEATHS, OWNER
from nasopt.storage.patience import patiently
from nasopt.storage.reading import SYSTEM_ATTRS, TRIALS, ReadableStorage, read_attrs
from nasopt.storage.record import key_of, one_more_death

# Statements that every epoch needs are built once: building one takes SQLAlchemy as long as SQLite
# needs to execute it.
TOUCH = (
    sa.update(TRIALS)
    .where(
        TRIALS.c.trial_id == sa.bindparam("id"),
        TRIALS.c.state == TrialState.RUNNING,
        sa.exists().where(
            SYSTEM_ATTRS.c.trial_id == sa.bindparam("id"),
            SYSTEM_ATTRS.c.key == OWNER,
            SYSTEM_ATTRS.c.value_json == sa.bindparam("owner"),
        ),
    )
    .values(state=TrialState.RUNNING)
)


class Lost(Exception):
    """The error that the trial belongs to another worker by now; nothing was written."""


class OwnedTrials(ReadableStorage):
    """A storage that knows who has which trial in hand, and lets nobody else write to it."""

    owner: str | None = None
    path: Path | None = None  # of the file, where there is one

    @property
    def leases(self) -> Path:
        """The folder where workers on this host hold their leases."""
        return leases.default_folder(self.path)

    def requeue(self, trial_id: int) -> None:
        """Give a trial of one's own back: it waits, with all that it has, for whoever asks next."""

        def release(again: bool) -> None:
            try:
                with self._owned(trial_id) as connection:
                    self._release(connection, trial_id)
            except Lost:
                if not again:  # else it was given back by a try whose answer did not come
                    raise

        patiently(release)

    def requeue_orphans(
        self, study_id: int, reached: Callable[[str | None], Any] = lambda key: None
    ) -> list[int]:
        """Give back the running trials whose workers are dead; return their numbers.

        Trials that no worker of ours began (plain Optuna's) are left alone. `reached` tells by the
        key of a trial's network how far that is, so that deaths without any progress are counted.
        """
        query = (
            sa.select(TRIALS.c.trial_id, TRIALS.c.number, SYSTEM_ATTRS.c.value_json)
            .join(SYSTEM_ATTRS, SYSTEM_ATTRS.c.trial_id == TRIALS.c.trial_id)
            .where(
                TRIALS.c.study_id == study_id,
                TRIALS.c.state == TrialState.RUNNING,
                SYSTEM_ATTRS.c.key == OWNER,
            )
        )
        with self.engine.connect() as connection:
            running = connection.execute(query).all()
            tokens = [json.loads(row.value_json) for row in running]
            alive = leases.living(connection, self.leases, tokens)
        numbers = []
        for row in running:
            if json.loads(row.value_json) in alive:
                continue
            far = reached(key_of(self.get_trial_user_attrs(row.trial_id)))
            with self.engine.begin() as connection:  # again: another may have been quicker
                orphan = self._touch(connection, row.trial_id, row.value_json)
                if orphan:
                    self._count_death(connection, row.trial_id, far)
                    self._release(connection, row.trial_id)
                    numbers.append(row.number)
        return numbers

    def _count_death(self, connection: sa.Connection, trial_id: int, reached: Any) -> None:
        known = read_attrs(connection, SYSTEM_ATTRS, trial_id)
        self._set_attrs(connection, SYSTEM_ATTRS, trial_id, one_more_death(known, reached))

    def has_living_owner(self, trial_ids: Sequence[int]) -> bool:
        """Return True if a worker that lives has one of these trials in hand."""
        query = sa.select(SYSTEM_ATTRS.c.value_json).where(
            SYSTEM_ATTRS.c.trial_id.in_(trial_ids), SYSTEM_ATTRS.c.key == OWNER
        )
        with self.engine.connect() as connection:
            tokens = [json.loads(value) for value in connection.execute(query).scalars()]
            return bool(leases.living(connection, self.leases, tokens))

    def next_has_died(self, study_id: int) -> bool:
        """Return whether a worker died with the trial in hand that is claimed next."""
        of_study = (TRIALS.c.study_id == study_id, TRIALS.c.state == TrialState.WAITING)
        following = sa.select(sa.func.min(TRIALS.c.trial_id)).where(*of_study).scalar_subquery()
        query = sa.select(sa.func.count()).where(
            SYSTEM_ATTRS.c.trial_id == following, SYSTEM_ATTRS.c.key == DEATHS
        )
        with self.engine.connect() as connection:
            return bool(connection.execute(query).scalar_one())

    def unfinished(self, study_id: int) -> int:
        """Return the number of trials that wait, or that a worker of ours has in hand."""
        states = (TrialState.RUNNING, TrialState.WAITING)  # by which the index finds the few
        query = sa.select(sa.func.count()).where(
            TRIALS.c.study_id == study_id,
            TRIALS.c.state.in_(states),
            (TRIALS.c.state == TrialState.WAITING) | self._has_owner,
        )
        with self.engine.connect() as connection:
            return int(connection.execute(query).scalar_one())

    def running_elsewhere(self, study_id: int) -> list[int]:
        """Return the numbers of the trials that plain Optuna has begun and not ended."""
        running = (TRIALS.c.state == TrialState.RUNNING) & ~self._has_owner
        query = sa.select(TRIALS.c.number).where(TRIALS.c.study_id == study_id, running)
        with self.engine.connect() as connection:
            return sorted(connection.execute(query).scalars())

    @property
    def _has_owner(self) -> sa.ColumnElement[bool]:
        of_trial = SYSTEM_ATTRS.c.trial_id == TRIALS.c.trial_id
        return sa.exists().where(of_trial, SYSTEM_ATTRS.c.key == OWNER)

    def _check_owned(self, trial_id: int) -> None:
        if self.owner is not None:
            with self._owned(trial_id):
                pass

    @contextmanager
    def _owned(self, trial_id: int) -> Iterator[sa.Connection]:
        """Open a transaction on a running trial of one's own.

        Raises Lost if it is no longer that.
        It opens with an UPDATE: from there on nobody else writes until it commits.
        """
        with self.engine.begin() as connection:
            if not self._touch(connection, trial_id, json.dumps(self.owner)):
                raise Lost(trial_id)
            yield connection

    def _touch(self, connection: sa.Connection, trial_id: int, owner_json: str) -> bool:
        touched = connection.execute(TOUCH, {"id": trial_id, "owner": owner_json})
        return touched.rowcount == 1

    def _release(self, connection: sa.Connection, trial_id: int) -> None:
        mine = TRIALS.c.trial_id == trial_id
        connection.execute(sa.update(TRIALS).where(mine).values(state=TrialState.WAITING))
        connection.execute(
            sa.delete(SYSTEM_ATTRS).where(
                SYSTEM_ATTRS.c.trial_id == trial_id, SYSTEM_ATTRS.c.key == OWNER
            )
        )

    def _set_attrs(
        self,
        connection: sa.Connection,
        table: Any,
        owner_id: int,
        attrs: Mapping[str, Any],
        stand: bool = False,
    ) -> None:
        """Write attributes of a trial or study; with `stand` only those that it has not yet."""
        if not attrs:
            return
        owner = "trial_id" if "trial_id" in table.c else "study_id"
        insert = self.dialect.insert(table)
        replacing = insert.on_conflict_do_update(
            index_elements=[owner, "key"], set_={"value_json": insert.excluded.value_json}
        )
        connection.execute(
            insert.on_conflict_do_nothing() if stand else replacing,
            [
                {owner: owner_id, "key": key, "value_json": json.dumps(value)}
                for key, value in attrs.items()
            ],
        )

    @property
    def dialect(self) -> Any:
        return {"sqlite": sqlite, "postgresql": postgresql}[self.engine.dialect.name]
