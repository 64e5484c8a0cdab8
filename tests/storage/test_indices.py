"""The indices of a database: what a worker asks takes no longer in a longer study."""

from collections.abc import Callable
from typing import Any

import optuna
import pytest
import sqlalchemy as sa

from nasopt.storage.attributes import FREE
from nasopt.storage.opening import open_storage
from nasopt.storage.rdb import TRIALS, USER_ATTRS, Storage
from tests.storage.studies import COMPLETE, file_storage

NAMES = {"nasopt_state", "nasopt_number", "nasopt_free"}


def indices(storage: Storage) -> set[str]:
    inspector = sa.inspect(storage.engine)
    tables = ("trials", "trial_user_attributes")
    return {each["name"] for table in tables for each in inspector.get_indexes(table)} & NAMES


@pytest.mark.filterwarnings("ignore:Skipped unsupported reflection of expression-based index")
def test_a_database_has_the_indices_when_it_is_made_and_one_of_optuna_when_it_is_written_to(
    empty_database, postgresql, tmp_path
):
    assert indices(open_storage(empty_database)) == NAMES
    url = postgresql() if "://" in empty_database else f"sqlite:///{tmp_path / 'theirs.db'}"
    optuna.create_study(storage=url, study_name="study")
    assert indices(open_storage(url, "read")) == set()
    for _ in range(2):
        assert indices(open_storage(url, "write")) == NAMES
    study = optuna.load_study(storage=url, study_name="study")
    study.optimize(lambda trial: trial.suggest_float("x", 0, 1), n_trials=2)
    assert len(study.trials) == 2


def instructions(storage: Storage, use: Callable[[], Any]) -> int:
    """How many hundreds SQLite's machine executes for it."""
    taken = [0]

    def step() -> None:
        taken[0] += 1

    def watch(connection: sa.Connection) -> None:
        connection.connection.driver_connection.set_progress_handler(step, 100)

    sa.event.listen(storage.engine, "engine_connect", watch)
    use()
    sa.event.remove(storage.engine, "engine_connect", watch)
    return taken[0]


def test_what_a_worker_asks_takes_no_longer_in_a_longer_study(tmp_path):
    """A new trial, how many there are, which are orphans: of a few trials, not of all."""
    taken = []
    for count in (100, 4_000):
        storage = file_storage(tmp_path / f"{count}.db")
        rows = [
            {"trial_id": n, "number": n - 1, "study_id": 1, "state": COMPLETE}
            for n in range(1, count + 1)
        ]
        attrs = [
            {"trial_id": n, "key": key, "value_json": "1"}
            for n in range(1, count + 1)
            for key in ("key", "epochs", *([FREE] if n < 10 else []))
        ]
        with storage.engine.begin() as connection:
            connection.execute(sa.insert(TRIALS), rows)
            connection.execute(sa.insert(USER_ATTRS), attrs)
        storage.owner = "me"
        uses = (
            lambda storage=storage: storage.next_trial(1, budget=10**6),
            lambda storage=storage: storage.unfinished(1),
            lambda storage=storage: storage.requeue_orphans(1),
        )
        taken.append([instructions(storage, use) for use in uses])
    short, long = taken
    assert all(one <= other + 3 for one, other in zip(long, short, strict=True))
