"""A part of a study, read without Optuna's ORM: its newer trials, the attributes of one."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import optuna
import pytest
import sqlalchemy as sa
from optuna.storages import RDBStorage

from nasopt.storage.reading import (
    MOST_VARIABLES,
    PARAMS,
    SYSTEM_ATTRS,
    TRIALS,
    USER_ATTRS,
    newer_trials,
    read_attrs,
    read_trials,
)
from tests.storage.stock import ATTRS, file_storage, read


@pytest.fixture(scope="module")
def two_studies(stock: RDBStorage) -> list[list[int]]:
    """Trial ids of two studies, whose trials take turns."""
    studies = [optuna.create_study(storage=stock)._study_id for _ in range(2)]
    trial_ids = [[stock.create_new_trial(study_id) for study_id in studies] for _ in range(5)]
    return [studies, *trial_ids]


def test_newer_trials_and_the_others_are_those_that_optuna_takes(stock, two_studies):
    studies, *rows = two_studies
    own, foreign = zip(*rows, strict=True)
    choices = [(), own[:1], own[:3], (own[3], own[0], 10**6), own[4:], foreign[:2]]
    for after in (-1, 0, own[0], foreign[1], own[4], foreign[4], 10**6):
        for others in choices:
            for study_id in studies:
                found = read(stock, newer_trials(study_id, after, others))
                theirs = stock._get_trials(study_id, None, set(others), after)
                assert [each._trial_id for each in found] == [each._trial_id for each in theirs]


@pytest.mark.parametrize("many", [MOST_VARIABLES, MOST_VARIABLES + 1, 100_000])
def test_there_may_be_more_others_than_a_statement_takes(stock, two_studies, many):
    """Then all trials of the study come, which is more than was asked for, but never less."""
    (study_id, _), *rows = two_studies
    own = [row[0] for row in rows]
    others = range(own[-1], own[-1] + many)
    found = [each._trial_id for each in read(stock, newer_trials(study_id, own[-1], others))]
    assert found == (own[-1:] if many == MOST_VARIABLES else own)


def steps(storage: RDBStorage, use: Callable[[sa.Connection], Any]) -> int:
    """How many hundreds of instructions SQLite's machine executes for it."""
    taken = [0]

    def step() -> None:
        taken[0] += 1

    with storage.engine.connect() as connection:
        driver = connection.connection.driver_connection
        driver.set_progress_handler(step, 100)
        use(connection)
        driver.set_progress_handler(None, 0)
    return taken[0]


def filled(path: Path, count: int) -> RDBStorage:
    storage = file_storage(path)
    study = optuna.create_study(storage=storage)
    ids = range(1, count + 1)
    with storage.engine.begin() as connection:
        connection.execute(
            sa.insert(TRIALS),
            [
                {"trial_id": n, "number": n - 1, "study_id": study._study_id, "state": "COMPLETE"}
                for n in ids
            ],
        )
        connection.execute(
            sa.insert(PARAMS),
            [
                {"trial_id": n, "param_name": name, "param_value": 1.0}
                | {"distribution_json": '{"type": "int", "low": 0, "high": 9}'}
                for n in ids
                for name in "abcdef"
            ],
        )
    return storage


@pytest.mark.parametrize("others", [[], [3], [3, 4, 5]])
def test_to_read_the_newest_takes_no_longer_in_a_longer_study(tmp_path, others):
    def taken(count: int) -> int:
        storage = filled(tmp_path / f"{count}.db", count)
        of = newer_trials(1, count - 1, others)
        assert len(read(storage, of)) == 1 + len(others)
        return steps(storage, lambda connection: read_trials(connection, of))

    assert taken(2_000) <= taken(100) + 2


def test_attributes_of_a_trial_are_those_that_optuna_reads(stock):
    study = optuna.create_study(storage=stock)
    study.add_trial(optuna.create_trial(value=1, user_attrs={"other": 1}))
    trial = study.ask()
    with stock.engine.connect() as connection:
        assert read_attrs(connection, USER_ATTRS, trial._trial_id) == {}
    for name, value in ATTRS.items():
        trial.set_user_attr(name, value)
        stock.set_trial_system_attr(trial._trial_id, f"{name}2", value)
    with stock.engine.connect() as connection:
        user = read_attrs(connection, USER_ATTRS, trial._trial_id)
        system = read_attrs(connection, SYSTEM_ATTRS, trial._trial_id)
    assert repr(sorted(user.items())) == repr(sorted(ATTRS.items()))
    theirs = stock.get_trial_system_attrs(trial._trial_id)
    assert repr(sorted(system.items())) == repr(sorted(theirs.items()))


def test_attributes_of_a_trial_that_is_not_there_are_the_error_that_optuna_has(stock):
    with pytest.raises(KeyError) as theirs:
        stock.get_trial_user_attrs(10**6)
    for table in (USER_ATTRS, SYSTEM_ATTRS):
        with stock.engine.connect() as connection, pytest.raises(KeyError) as ours:
            read_attrs(connection, table, 10**6)
        assert ours.value.args == theirs.value.args
