"""Whatever a database has in its rows, each look at it ends in an answer or in a line."""

import os
import sqlite3
from contextlib import closing, suppress
from itertools import count
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from nasopt.cli.main import main
from nasopt.errors import Error
from nasopt.reporting.dashboard.filling import Filling
from nasopt.reporting.dashboard.view import View
from nasopt.reporting.dashboard.words import InWords
from nasopt.storage.opening import open_storage
from tests.crafted import CASES, LOOKS, TEXTS, VALUES, Change, changed, make

EXAMPLES = int(os.environ.get("NASOPT_EXAMPLES", "15"))
QUICK = [
    *sorted(CASES)[::40],
    "a billion layers",
    "no input_shape",
    "studies of the same name",
    "studies.study_name is a megabyte",
    "trials is a view without end",
]


@pytest.fixture(scope="module")
def sound(tmp_path_factory) -> Path:
    return make(tmp_path_factory.mktemp("crafted"))


def columns(path: Path) -> list[tuple[str, str]]:
    """All (table, column) that have a row."""
    with closing(sqlite3.connect(path)) as database:
        tables = [
            n for (n,) in database.execute("SELECT name FROM sqlite_master WHERE type='table'")
        ]
        return [
            (table, row[1])
            for table in tables
            if database.execute(f'SELECT 1 FROM "{table}"').fetchone()
            for row in database.execute(f'PRAGMA table_info("{table}")')
        ]


def looked_at(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each reader, in this process: anything but success or a line is raised."""
    monkeypatch.chdir(path.parent)
    for name, words in LOOKS.items():
        assert main(words) in (0, 2), name
    with suppress(Error):  # as the dashboard does, and its pages
        storage = View(open_storage(path, "read"))
        try:
            Filling(storage, str(path)).refresh()
            for study in InWords(storage).get_all_studies():
                InWords(storage).get_all_trials(study._study_id)
        finally:
            storage.remove_session()
            storage.engine.dispose()


def ready(sound: Path, folder: Path, change: Change) -> Path:
    (folder / "study.py").write_bytes((sound.parent / "study.py").read_bytes())
    return changed(sound, folder / "x.db", change)


def test_the_sound_database_is_shown_by_every_look(sound, tmp_path, monkeypatch):
    ready(sound, tmp_path, lambda _: None)
    monkeypatch.chdir(tmp_path)
    assert {name: main(words) for name, words in LOOKS.items()} == dict.fromkeys(LOOKS, 0)


@pytest.mark.parametrize("case", QUICK)
def test_a_crafted_database_is_shown_or_told_in_a_line(sound, tmp_path, monkeypatch, case):
    looked_at(ready(sound, tmp_path, CASES[case]), monkeypatch)


def test_whatever_a_column_has_is_shown_or_told_in_a_line(sound, tmp_path, monkeypatch):
    places = st.sampled_from(columns(sound))
    folders = (tmp_path / str(number) for number in count())
    values = st.sampled_from([*VALUES.values(), *TEXTS.values()]) | st.text() | st.integers(-5, 5)

    @settings(
        max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck),
        derandomize=True, database=None,
    )  # fmt: skip
    @given(place=places, row=st.integers(0, 20), value=values)
    def holds(place: tuple[str, str], row: int, value: object) -> None:
        table, column = place

        def change(database: sqlite3.Connection) -> None:
            with suppress(sqlite3.IntegrityError, UnicodeEncodeError, OverflowError):
                database.execute(
                    f'UPDATE OR IGNORE "{table}" SET "{column}" = ? WHERE rowid IN '
                    f'(SELECT rowid FROM "{table}" ORDER BY rowid LIMIT 1 OFFSET ?)',
                    (value, row),
                )

        folder = next(folders)  # SQLite would take a new file for the old, which may be open
        folder.mkdir()
        looked_at(ready(sound, folder, change), monkeypatch)

    holds()
