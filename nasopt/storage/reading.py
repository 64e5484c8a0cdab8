"""The trials in Optuna's tables, read without its ORM.

Optuna builds an object a row, and parses the distribution of every parameter of every trial: it
needs 24 s and 1.6 GB for 10,000 trials of 62 parameters.
"""

import gc
import json
from collections.abc import Callable, Collection, Container, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import lru_cache
from itertools import chain, groupby
from operator import itemgetter
from typing import Any

import sqlalchemy as sa
from optuna.distributions import BaseDistribution, json_to_distribution
from optuna.storages import RDBStorage
from optuna.storages._rdb import models
from optuna.study._frozen import FrozenStudy
from optuna.trial import FrozenTrial, TrialState

from nasopt.errors import StorageError

STUDIES = models.StudyModel.__table__
TRIALS = models.TrialModel.__table__
PARAMS = models.TrialParamModel.__table__
VALUES = models.TrialValueModel.__table__
REPORTS = models.TrialIntermediateValueModel.__table__
USER_ATTRS = models.TrialUserAttributeModel.__table__
SYSTEM_ATTRS = models.TrialSystemAttributeModel.__table__
STUDY_ATTRS = models.StudySystemAttributeModel.__table__  # system attributes of studies

ROWS_AT_ONCE = 10_000
MOST_VARIABLES = 30_000  # in a statement: SQLite takes 32,766

stored_value = models.TrialValueModel.stored_repr_to_value
stored_report = models.TrialIntermediateValueModel.stored_repr_to_intermediate_value


class ReadableStorage(RDBStorage):
    """Optuna's storage, which reads trials the quick way and tells of what cannot be read."""

    def get_all_studies(self) -> list[FrozenStudy]:
        with legible():
            return super().get_all_studies()

    def get_study_user_attrs(self, study_id: int) -> dict[str, Any]:
        with legible():
            return super().get_study_user_attrs(study_id)

    def get_study_system_attrs(self, study_id: int) -> dict[str, Any]:
        with legible():
            return super().get_study_system_attrs(study_id)

    def get_trial(self, trial_id: int) -> FrozenTrial:
        with self.engine.connect() as connection:
            found = read_trials(connection, TRIALS.c.trial_id == trial_id)
        if not found:
            raise KeyError(models.NOT_FOUND_MSG)
        return found[0]

    def get_trial_user_attrs(self, trial_id: int) -> dict[str, Any]:
        return self._attrs(USER_ATTRS, trial_id)

    def get_trial_system_attrs(self, trial_id: int) -> dict[str, Any]:
        return self._attrs(SYSTEM_ATTRS, trial_id)

    def _attrs(self, table: Any, trial_id: int) -> dict[str, Any]:
        with self.engine.connect() as connection:
            return read_attrs(connection, table, trial_id)

    def _get_trials(
        self,
        study_id: int,
        states: Container[TrialState] | None,
        included_trial_ids: set[int],
        trial_id_greater_than: int,
    ) -> list[FrozenTrial]:
        """Return the trials of a study that are newer or included, as Optuna's cache asks."""
        of = newer_trials(study_id, trial_id_greater_than, included_trial_ids)
        with self.engine.connect() as connection:
            trials = read_trials(connection, of)
            if not trials:
                there = sa.select(STUDIES.c.study_id).where(STUDIES.c.study_id == study_id)
                if connection.execute(there).scalar() is None:
                    raise KeyError(models.NOT_FOUND_MSG)
        return [trial for trial in trials if states is None or trial.state in states]


def read_trials(connection: sa.Connection, of: sa.ColumnElement[bool]) -> list[FrozenTrial]:
    """Return the trials whose row of `TRIALS` fulfils the condition `of`, in the order of ids.

    An unfinished trial's content may be newer than its state, never older.
    """
    columns = (TRIALS.c[name] for name in ("trial_id", "number", "state"))
    times = (TRIALS.c.datetime_start, TRIALS.c.datetime_complete)
    # first: a trial that is finished here has all that belongs to it
    with legible():
        rows = sorted(
            connection.execute(sa.select(*columns, *times).where(of)), key=lambda row: row.trial_id
        )
    if not rows:
        return []
    one = rows[0].trial_id if len(rows) == 1 else None

    def by_trial(decode: Callable[[list[Any]], Any], table: Any, *names: str) -> dict[int, Any]:
        mine = table.c.trial_id == one
        if one is None:
            mine = table.c.trial_id.in_(sa.select(TRIALS.c.trial_id).where(of))
        columns = (table.c[name] for name in ("trial_id", *names))
        result = connection.execute(sa.select(*columns).where(mine).order_by(table.c.trial_id))
        # one by one they take twice as long, all at once twice the memory
        found = groupby(chain.from_iterable(result.partitions(ROWS_AT_ONCE)), itemgetter(0))
        return {trial_id: decode(list(rows)) for trial_id, rows in found}

    with _no_collection(), legible(KeyError):
        return _assembled(rows, by_trial)


def _assembled(rows: list[Any], by_trial: Callable[..., dict[int, Any]]) -> list[FrozenTrial]:
    params = by_trial(_params, PARAMS, "param_id", "param_value", "param_name", "distribution_json")
    values = by_trial(_values, VALUES, "objective", "value", "value_type")
    reports = by_trial(_reports, REPORTS, "step", "intermediate_value", "intermediate_value_type")
    user_attrs = by_trial(_attrs, USER_ATTRS, "key", "value_json")
    system_attrs = by_trial(_attrs, SYSTEM_ATTRS, "key", "value_json")
    trials = []
    for row in rows:
        trial_id = row.trial_id
        chosen, distributions = params.get(trial_id, ({}, {}))
        trials.append(
            FrozenTrial(
                number=row.number,
                state=row.state,
                value=None,
                values=values.get(trial_id),
                datetime_start=_local(row.datetime_start),
                datetime_complete=_local(row.datetime_complete),
                params=chosen,
                distributions=dict(distributions),  # of its own: a trial may be changed
                user_attrs=user_attrs.get(trial_id, {}),
                system_attrs=system_attrs.get(trial_id, {}),
                intermediate_values=reports.get(trial_id, {}),
                trial_id=trial_id,
            )
        )
    return trials


@contextmanager
def legible(*also: type[Exception]) -> Iterator[None]:
    """Raise StorageError for a value that neither Optuna nor nasopt would have written."""
    wrong: tuple[type[Exception], ...] = (
        ArithmeticError, AttributeError, IndexError, RecursionError, TypeError, ValueError, *also
    )  # fmt: skip
    try:
        yield
    except wrong as error:
        reason = f"{type(error).__name__}: {error}".splitlines()[0]
        raise StorageError(
            f"storage: what it has of a study or trial cannot be read ({reason[:200]}); "
            "the database was changed by hand: restore a copy, or name another"
        ) from error


@contextmanager
def _no_collection() -> Iterator[None]:
    """Pause the garbage collection: it finds no circle, and takes a third of a long reading."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


def newer_trials(study_id: int, after: int, others: Collection[int]) -> sa.ColumnElement[bool]:
    """Return the condition for a study's trials with ids above `after`, or among `others`."""
    if after < 0 or len(others) > MOST_VARIABLES:
        return sa.and_(TRIALS.c.study_id == study_id)
    # + 0: else SQLite would look at each trial of the study, since that has an index, too
    newer = (TRIALS.c.trial_id > after) | TRIALS.c.trial_id.in_(sorted(others))
    return sa.and_(newer, TRIALS.c.study_id + 0 == study_id)


def read_attrs(connection: sa.Connection, table: Any, trial_id: int) -> dict[str, Any]:
    """Return the attributes of one trial, of USER_ATTRS or SYSTEM_ATTRS.

    Raises KeyError if it does not exist.
    """
    query = (
        sa.select(TRIALS.c.trial_id, table.c.key, table.c.value_json)
        .outerjoin(table, table.c.trial_id == TRIALS.c.trial_id)
        .where(TRIALS.c.trial_id == trial_id)
    )
    rows = connection.execute(query).all()
    if not rows:
        raise KeyError(models.NOT_FOUND_MSG)
    with legible():
        return _attrs([row for row in rows if row.key is not None])


def _local(stored: datetime | None) -> datetime | None:
    """Convert naive UTC, which Optuna stores, to naive local time, which it shows."""
    return stored and stored.replace(tzinfo=UTC).astimezone().replace(tzinfo=None)


# The rows of one trial in a table, its id first -> what a `FrozenTrial` has of them.


def _attrs(rows: Sequence[Any]) -> dict[str, Any]:
    return {key: json.loads(value) for _, key, value in rows}


def _values(rows: list[Any]) -> list[float]:
    rows.sort(key=itemgetter(1))  # by objective
    return [stored_value(value, kind) for _, _, value, kind in rows]


def _reports(rows: list[Any]) -> dict[int, float]:
    return {step: stored_report(value, kind) for _, step, value, kind in rows}


def _params(rows: list[Any]) -> tuple[dict[str, Any], dict[str, BaseDistribution]]:
    """Return (params, distributions), in the order in which they were suggested."""
    rows.sort(key=itemgetter(1))  # by param_id
    _, _, values, names, spelled = (tuple(column) for column in zip(*rows, strict=True))
    distributions, decoders = _layout(names, spelled)
    params = {n: decode(v) for n, decode, v in zip(names, decoders, values, strict=True)}
    return params, distributions


@lru_cache(maxsize=1_000)
def _layout(
    names: tuple[str, ...], spelled: tuple[str, ...]
) -> tuple[dict[str, BaseDistribution], list[Callable[[float], Any]]]:
    distributions = {n: _distribution(s) for n, s in zip(names, spelled, strict=True)}
    return distributions, [each.to_external_repr for each in distributions.values()]


@lru_cache(maxsize=10_000)
def _distribution(spelled: str) -> BaseDistribution:
    return json_to_distribution(spelled)
