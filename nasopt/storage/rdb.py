"""`Storage`: Optuna's own, with claims, an exact budget, and writes fenced by an owner.

Optuna's schema and class are made safe here for several processes and for death at any moment. The
private names of Optuna that this needs are touched in this wing and in `samplers` alone;
`test_optuna_canary.py` of their tests tells when one moves.
"""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import cached_property
from typing import Any, ClassVar

import optuna
import sqlalchemy as sa
from optuna.distributions import BaseDistribution, distribution_to_json
from optuna.storages._rdb import models
from optuna.trial import TrialState

from nasopt.storage.attributes import FIXED_PARAMS, FREE, IDENTITY, OWNER, VERDICT
from nasopt.storage.owners import Lost, OwnedTrials
from nasopt.storage.patience import patient, patiently
from nasopt.storage.reading import (
    PARAMS,
    REPORTS,
    STUDIES,
    STUDY_ATTRS,
    SYSTEM_ATTRS,
    TRIALS,
    USER_ATTRS,
    VALUES,
)

STUDY_USER_ATTRS = models.StudyUserAttributeModel.__table__


class Storage(OwnedTrials):
    """Optuna's storage with claims, an exact budget, and writes fenced by an owner.

    With `owner` set, trials are written to only if that owner has claimed them; anything else
    raises Lost. Without it, this is a plain `RDBStorage`.
    """

    _together: dict[str, Any] | None = None  # system attributes to be written in one transaction

    _head_version: ClassVar[str | None] = None

    def get_head_version(self) -> str:
        """Return the version of the schema of this Optuna.

        It is found once in a process: Optuna loads all its migrations for it, in 20 ms.
        """
        if Storage._head_version is None:
            Storage._head_version = super().get_head_version()
        return Storage._head_version

    @cached_property
    def _settled(self) -> dict[int, tuple[int, int]]:
        """The id of a trial up to which all have ended, and how many of them are free, by study."""
        return {}

    def next_trial(self, study_id: int, budget: int) -> int | None:
        """Claim the oldest waiting trial, or make one if the budget has room; return its trial id.

        The budget counts all trials without the attribute `free`. None: there is nothing to
        claim at the moment. Raises KeyError if the study was deleted.

        An owner has one trial in hand: one more that is its own was claimed by a try whose answer
        did not come.
        """
        return patiently(lambda again: self._next_trial(study_id, budget, again))

    def _next_trial(self, study_id: int, budget: int, again: bool) -> int | None:
        with self.changing(study_id) as connection:
            if again and (known := self._in_hand(connection, study_id)) is not None:
                return known
            waiting = sa.select(sa.func.min(TRIALS.c.trial_id)).where(
                TRIALS.c.study_id == study_id, TRIALS.c.state == TrialState.WAITING
            )
            claimed = connection.execute(
                sa.update(TRIALS)
                .where(
                    TRIALS.c.trial_id == waiting.scalar_subquery(),
                    TRIALS.c.state == TrialState.WAITING,
                )
                .values(state=TrialState.RUNNING, datetime_start=_now())
                .returning(TRIALS.c.trial_id)
            ).scalar()
            if claimed is None:
                last = sa.select(sa.func.max(TRIALS.c.number)).where(TRIALS.c.study_id == study_id)
                count = sa.func.coalesce(last.scalar_subquery(), -1) + 1
                row = sa.select(
                    count,
                    sa.literal(study_id),
                    sa.literal(TrialState.RUNNING, TRIALS.c.state.type),
                    sa.literal(_now()),
                ).where(count - self._free(connection, study_id) < budget)
                claimed = connection.execute(
                    sa.insert(TRIALS)
                    .from_select(["number", "study_id", "state", "datetime_start"], row)
                    .returning(TRIALS.c.trial_id)
                ).scalar()
            if claimed is not None and self.owner is not None:
                self._set_attrs(connection, SYSTEM_ATTRS, claimed, {OWNER: self.owner})
        return claimed

    def _in_hand(self, connection: sa.Connection, study_id: int) -> int | None:
        query = (
            sa.select(TRIALS.c.trial_id)
            .join(SYSTEM_ATTRS, SYSTEM_ATTRS.c.trial_id == TRIALS.c.trial_id)
            .where(
                TRIALS.c.study_id == study_id,
                TRIALS.c.state == TrialState.RUNNING,
                SYSTEM_ATTRS.c.key == OWNER,
                SYSTEM_ATTRS.c.value_json == json.dumps(self.owner),
            )
        )
        return connection.execute(query).scalar()

    def _free(self, connection: sa.Connection, study_id: int) -> int:
        """Return the number of trials of a study that do not count.

        Those that ended before the oldest unfinished one are counted once a process: they stay.
        """
        settled, free = self._settled.get(study_id, (-1, 0))
        of_study = TRIALS.c.study_id == study_id
        open_ones = TRIALS.c.state.in_((TrialState.RUNNING, TrialState.WAITING))
        oldest = sa.select(sa.func.min(TRIALS.c.trial_id)).where(of_study, open_ones)
        newest = sa.select(sa.func.max(TRIALS.c.trial_id)).where(of_study)
        first, last = connection.execute(
            sa.select(oldest.scalar_subquery(), newest.scalar_subquery())
        ).one()
        if last is None:
            return 0
        if last < settled:  # another study had this id
            settled, free = -1, 0
        end = last if first is None else first - 1
        query = (
            sa.select(
                sa.func.count(),
                sa.func.sum(sa.case((USER_ATTRS.c.trial_id <= end, 1), else_=0)),
            )
            .select_from(USER_ATTRS.join(TRIALS, USER_ATTRS.c.trial_id == TRIALS.c.trial_id))
            # as literal and sum: only so does SQLite begin with the index of the few
            .where(
                TRIALS.c.study_id + 0 == study_id,
                USER_ATTRS.c.key == sa.literal_column(f"'{FREE}'"),
                USER_ATTRS.c.trial_id > settled,
            )
        )
        more, ended = connection.execute(query).one()
        self._settled[study_id] = end, free + int(ended or 0)
        return free + int(more)

    def delete_study(self, study_id: int) -> None:
        super().delete_study(study_id)
        self._settled.pop(study_id, None)  # SQLite gives its id, and those of its trials, again

    def describe_study(
        self,
        study_id: int,
        *,
        lasting: Mapping[str, Any],
        settings: Mapping[str, Any],
        system: Mapping[str, Any],
    ) -> None:
        """Write attributes of a study: all of them or nothing.

        Those of `lasting` and `system` that are known stay as they are.
        """
        with self.changing(study_id) as connection:
            for table, attrs, stand in (
                (STUDY_USER_ATTRS, lasting, True),
                (STUDY_ATTRS, system, True),
                (STUDY_USER_ATTRS, settings, False),
            ):
                self._set_attrs(connection, table, study_id, attrs, stand=stand)

    def is_there(self, study_id: int, identity: str) -> bool:
        """Return True if the study is still there, and no other that was given its id."""
        query = sa.select(STUDY_ATTRS.c.value_json).where(
            STUDY_ATTRS.c.study_id == study_id, STUDY_ATTRS.c.key == IDENTITY
        )
        with self.engine.connect() as connection:
            return connection.execute(query).scalar() == json.dumps(identity)

    def begin(
        self,
        trial_id: int,
        params: Mapping[str, Any],
        distributions: Mapping[str, BaseDistribution],
        *,
        user_attrs: Mapping[str, Any],
        constraints: Mapping[str, float],
    ) -> None:
        """Write all that is known of a trial before it is trained: all of it or nothing."""
        rows = [
            {
                "trial_id": trial_id,
                "param_name": name,
                "param_value": float(distributions[name].to_internal_repr(value)),
                "distribution_json": distribution_to_json(distributions[name]),
            }
            for name, value in params.items()
        ]
        with self._owned(trial_id) as connection:
            if rows:
                connection.execute(self.dialect.insert(PARAMS).on_conflict_do_nothing(), rows)
            self._set_attrs(connection, USER_ATTRS, trial_id, user_attrs)
            keyed = {f"constraints:{name}": value for name, value in constraints.items()}
            self._set_attrs(connection, SYSTEM_ATTRS, trial_id, keyed)

    def finish(
        self,
        trial_id: int,
        state: TrialState,
        values: Sequence[float] | None,
        user_attrs: Mapping[str, Any],
        reports: Mapping[int, float] | None = None,
        unless: Callable[[], bool] = lambda: False,
    ) -> bool:
        """Tell a trial's outcome, and with it what else was learnt: all of it or nothing.

        `unless` is asked while no other worker of the study can tell one: on True nothing is
        written, and the trial runs on. Returns True if it was told.
        """

        def tell(again: bool) -> bool:
            try:
                return self._finish(trial_id, state, values, user_attrs, reports, unless)
            except Lost:
                if again and self._was_told(trial_id):
                    return True
                raise

        return patiently(tell)

    def _was_told(self, trial_id: int) -> bool:
        """Return True if a trial of one's own has ended: nobody else can end it."""
        mine = self.get_trial_system_attrs(trial_id).get(OWNER) == self.owner
        return mine and self.get_trial(trial_id).state.is_finished()

    def _finish(
        self,
        trial_id: int,
        state: TrialState,
        values: Sequence[float] | None,
        user_attrs: Mapping[str, Any],
        reports: Mapping[int, float] | None,
        unless: Callable[[], bool],
    ) -> bool:
        with self._owned(trial_id) as connection:
            self._lock_study_of(connection, trial_id)
            if unless():
                return False
            self._set_attrs(connection, USER_ATTRS, trial_id, user_attrs)
            for step, value in (reports or {}).items():
                self._report(connection, trial_id, step, value)
            for objective, value in enumerate(values or ()):
                stored, kind = models.TrialValueModel.value_to_stored_repr(value)
                row = {"trial_id": trial_id, "objective": objective, "value": stored}
                connection.execute(sa.insert(VALUES).values(**row, value_type=kind))
            connection.execute(
                sa.update(TRIALS)
                .where(TRIALS.c.trial_id == trial_id)
                .values(state=state, datetime_complete=_now())
            )
        return True

    def ask_for_params(self, trial_id: int) -> None:
        """Take the parameters that plain Optuna's `add_trial` chose for a waiting trial as given.

        Its distributions need not be those of the space.
        """
        known = self.get_trial(trial_id)
        asked = {**known.params, **known.system_attrs.get(FIXED_PARAMS, {})}
        with self._owned(trial_id) as connection:
            connection.execute(sa.delete(PARAMS).where(PARAMS.c.trial_id == trial_id))
            self._set_attrs(connection, SYSTEM_ATTRS, trial_id, {FIXED_PARAMS: asked})

    def set_trial_intermediate_value(self, trial_id: int, step: int, value: float) -> None:
        if self.owner is None:
            super().set_trial_intermediate_value(trial_id, step, value)
            return
        with self._owned(trial_id) as connection:
            self._report(connection, trial_id, step, value)

    def set_trial_user_attr(self, trial_id: int, key: str, value: Any) -> None:
        if self.owner is None:
            super().set_trial_user_attr(trial_id, key, value)
            return
        with self._owned(trial_id) as connection:
            self._set_attrs(connection, USER_ATTRS, trial_id, {key: value})

    def set_trial_system_attr(self, trial_id: int, key: str, value: Any) -> None:
        if self._together is not None:
            self._together[key] = value
            return
        if self.owner is None:
            super().set_trial_system_attr(trial_id, key, value)
            return
        with self._owned(trial_id) as connection:
            self._set_attrs(connection, SYSTEM_ATTRS, trial_id, {key: value})

    def should_prune(
        self, trial: optuna.Trial, step: int, ask: Callable[[], bool], keep: bool = False
    ) -> bool:
        """Return the pruner's verdict on the report at `step` of a trial of one's own, by `ask`.

        Successive halving notes the rung that a trial completes before it answers: a kill in
        between would turn a prune into a pass. So what a pruner notes is written together with
        its verdict, and a verdict that is known is not asked for again. With `keep` each verdict is
        written: a trial whose reports Optuna does not keep has passed all steps up to that one.
        """
        attrs = self.get_trial_system_attrs(trial._trial_id)
        known = attrs.get(VERDICT)
        if known is not None and known[0] >= step:
            return bool(known[1]) and known[0] == step
        notes: dict[str, Any] = {}
        self._together = notes
        try:
            verdict = bool(ask())  # of NumPy, maybe
        finally:
            self._together = None
        if notes or keep:
            with self._owned(trial._trial_id) as connection:
                notes[VERDICT] = [step, verdict]
                self._set_attrs(connection, SYSTEM_ATTRS, trial._trial_id, notes)
        return verdict

    def set_trial_param(
        self, trial_id: int, param_name: str, param_value_internal: float, distribution: Any
    ) -> None:
        self._check_owned(trial_id)
        super().set_trial_param(trial_id, param_name, param_value_internal, distribution)

    def set_trial_state_values(
        self, trial_id: int, state: TrialState, values: Sequence[float] | None = None
    ) -> bool:
        self._check_owned(trial_id)
        return super().set_trial_state_values(trial_id, state, values)

    @contextmanager
    def changing(self, study_id: int) -> Iterator[sa.Connection]:
        """Open a transaction on a study.

        Raises KeyError if it was deleted.
        """
        with self.engine.begin() as connection:
            self._lock(connection, study_id)
            yield connection

    def _lock_study_of(self, connection: sa.Connection, trial_id: int) -> None:
        study = sa.select(TRIALS.c.study_id).where(TRIALS.c.trial_id == trial_id)
        self._lock(connection, study.scalar_subquery())

    def _lock(self, connection: sa.Connection, study_id: Any) -> None:
        """Let nobody else claim or end a trial of the study, or delete it, until this commits.

        Raises KeyError without such a study.
        """
        mine = STUDIES.c.study_id == study_id
        if connection.dialect.name == "sqlite":  # where the first write locks everything
            same = sa.update(STUDIES).where(mine).values(study_name=STUDIES.c.study_name)
            found = connection.execute(same).rowcount
        else:
            locking = sa.select(STUDIES.c.study_id).where(mine).with_for_update()
            found = len(connection.execute(locking).all())
        if not found:
            raise KeyError(models.NOT_FOUND_MSG)

    def _report(self, connection: sa.Connection, trial_id: int, step: int, value: float) -> None:
        stored, kind = models.TrialIntermediateValueModel.intermediate_value_to_stored_repr(value)
        row = {"trial_id": trial_id, "step": step, "intermediate_value": stored}
        connection.execute(self._insert_report, row | {"intermediate_value_type": kind})

    @cached_property
    def _insert_report(self) -> Any:
        return self.dialect.insert(REPORTS).on_conflict_do_nothing()


REPEATABLE = (  # methods that change nothing more when they are called again
    *("ask_for_params", "begin", "describe_study", "is_there", "should_prune"),
    *("has_living_owner", "next_has_died", "requeue_orphans", "running_elsewhere", "unfinished"),
    *("create_new_study", "set_study_system_attr", "set_study_user_attr", "set_trial_param"),
    *("set_trial_intermediate_value", "set_trial_system_attr", "set_trial_user_attr"),
    *("get_all_studies", "get_study_directions", "get_study_id_from_name"),
    *("get_study_name_from_id", "get_study_system_attrs", "get_study_user_attrs"),
    *("get_trial", "get_trial_id_from_study_id_trial_number", "get_trial_number_from_id"),
    *("get_trial_system_attrs", "get_trial_user_attrs", "_get_trials"),
)
for _name in REPEATABLE:
    setattr(Storage, _name, patient(getattr(Storage, _name)))


def _now() -> datetime:
    return datetime.now(UTC).replace(tzinfo=None)  # naive UTC, as Optuna 5 stores it
