"""What a database must be to be opened: nothing is changed in finding out, and errors are lines."""

import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import optuna
import psycopg
import pytest
import sqlalchemy as sa

from nasopt.errors import StorageError
from nasopt.storage.database import (
    SCHEMA,
    inspect,
    other_schema,
)
from nasopt.storage.opening import open_storage
from nasopt.storage.rdb import Storage

PAGE = 4096  # bytes
MOVE = "move it away, or name another with --storage"


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """The content of a database with a study of three trials."""
    path = tmp_path_factory.mktemp("sound") / "x.db"
    storage = open_storage(path)
    study = optuna.create_study(storage=storage, study_name="study")
    study.optimize(lambda trial: trial.suggest_float("x", 0, 1), n_trials=3)
    storage.remove_session()
    storage.engine.dispose()
    assert [each.name for each in path.parent.iterdir()] == ["x.db"]
    return path.read_bytes()


@pytest.fixture
def path(tmp_path: Path, sound: bytes) -> Path:
    path = tmp_path / "x.db"
    path.write_bytes(sound)
    return path


def contents(folder: Path) -> dict[str, bytes | None]:
    return {each.name: each.read_bytes() if each.is_file() else None for each in folder.iterdir()}


# files


def test_a_sound_database_passes_and_is_not_touched(path):
    before = contents(path.parent)
    inspect(path)
    assert contents(path.parent) == before


@pytest.mark.parametrize("name", ["a folder.db", "ünï.db", "50%.db", "50%20.db", "a#b.db", "w?.db"])
def test_a_sound_database_passes_whatever_its_name(path, name):
    renamed = path.rename(path.with_name(name))
    before = contents(path.parent)
    inspect(renamed)
    assert contents(path.parent) == before


def test_a_database_of_plain_optuna_passes(tmp_path):
    optuna.create_study(storage=f"sqlite:///{tmp_path / 'x.db'}")
    inspect(tmp_path / "x.db")


def test_a_database_that_is_being_written_to_passes(path):
    with closing(sqlite3.connect(path)) as writer:
        writer.execute("PRAGMA journal_mode=WAL")
        writer.execute("UPDATE trials SET number = number")  # an open transaction
        writer.execute("CREATE TABLE large (x)")
        writer.executemany("INSERT INTO large VALUES (?)", [(bytes(PAGE),)] * 100)
        inspect(path)
        writer.commit()
        inspect(path)  # its new pages are not in the file yet


def write(content: bytes) -> Callable[[Path], None]:
    return lambda path: path.write_bytes(content) and None


def cut(share: float) -> Callable[[Path], None]:
    return lambda path: path.write_bytes(path.read_bytes()[: int(share * path.stat().st_size)])


def overwrite(table: str, content: bytes) -> Callable[[Path], None]:
    """Put `content` in place of the root page of `table`."""

    def change(path: Path) -> None:
        with closing(sqlite3.connect(path)) as connection:
            query = "SELECT rootpage FROM sqlite_master WHERE name = ?"
            ((page,),) = connection.execute(query, (table,))
        with path.open("r+b") as file:
            file.seek((page - 1) * PAGE)
            file.write((content * PAGE)[:PAGE])

    return change


def execute(*statements: str) -> Callable[[Path], None]:
    def change(path: Path) -> None:
        with closing(sqlite3.connect(path)) as connection:
            for statement in statements:
                connection.execute(statement)
            connection.commit()

    return change


def replace_by_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


def replace_by_another_programs(path: Path) -> None:
    path.unlink()
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("CREATE TABLE recipes (name)")
        connection.commit()


CONTRADICTS = f"damaged (its pages contradict each other); restore a copy, or {MOVE}"
BROKEN = {
    "empty": (write(b""), f"an empty file; {MOVE}"),
    "text": (write(b"a text of mine\n" * 1000), f"no SQLite database; {MOVE}"),
    "cut by a byte": (cut(0.99999), f"truncated; restore a copy, or {MOVE}"),
    "a page of noise": (overwrite("trials", b"\xff"), CONTRADICTS),
    "a page of zeros": (overwrite("trial_values", b"\0"), CONTRADICTS),
    "another program's": (replace_by_another_programs, f"another program's database; {MOVE}"),
    "an older Optuna's": (
        execute("UPDATE alembic_version SET version_num = 'v2.6.0.a'"),
        "made by another version of Optuna; run: optuna storage upgrade --storage sqlite:///{path}",
    ),
    "without a version": (
        execute("DELETE FROM alembic_version"),
        f"damaged (it has no schema version); restore a copy, or {MOVE}",
    ),
    "a folder": (replace_by_folder, "a folder; name a file in it, as in {path}/x.db"),
}


@pytest.mark.parametrize("kind", BROKEN)
def test_what_is_no_sound_database_is_refused_and_left_byte_for_byte(path, kind):
    change, reason = BROKEN[kind]
    change(path)
    before = contents(path.parent)
    with pytest.raises(StorageError) as raised:
        inspect(path)
    assert str(raised.value) == f"storage={path}: {reason.format(path=path)}"
    assert contents(path.parent) == before


@pytest.mark.parametrize("size", [16, 100, PAGE, 10 * PAGE])
def test_a_file_that_was_cut_short_is_refused_and_left_byte_for_byte(path, size):
    path.write_bytes(path.read_bytes()[:size])
    before = contents(path.parent)
    with pytest.raises(StorageError) as raised:
        inspect(path)
    assert str(raised.value).startswith(f"storage={path}: ")
    assert str(raised.value).endswith(f"; {MOVE}") or str(raised.value).endswith(f" or {MOVE}")
    assert contents(path.parent) == before


def test_looking_at_a_database_does_not_drop_the_locks_of_this_process(path):
    """The lock is SQLite's own: with it another process would remove the -wal at its end."""
    with closing(sqlite3.connect(path)) as holder:
        holder.execute("PRAGMA journal_mode=WAL")
        holder.execute("UPDATE trials SET number = number")
        holder.commit()
        inspect(path)
        another = f"""
import sqlite3
connection = sqlite3.connect({str(path)!r})
connection.execute("UPDATE trials SET number = number")
connection.commit()
connection.close()
"""
        subprocess.run([sys.executable, "-c", another], check=True)
        assert path.with_name(f"{path.name}-wal").exists()


def test_the_remedy_for_an_older_schema_is_a_command_that_works(path):
    execute("UPDATE alembic_version SET version_num = 'v3.0.0.d'")(path)
    with pytest.raises(StorageError) as raised:
        inspect(path)
    url = str(raised.value).partition("run: optuna storage upgrade --storage ")[2]
    optuna.storages.RDBStorage(url, skip_compatibility_check=True).upgrade()
    inspect(path)


def test_another_schema_on_a_server_is_named_by_its_url():
    assert str(other_schema("postgresql://host/x")) == (
        "storage=postgresql://host/x: made by another version of Optuna; "
        "run: optuna storage upgrade --storage postgresql://host/x"
    )


def test_the_schema_is_that_of_the_optuna_that_is_installed(path):
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("SELECT version_num FROM alembic_version").fetchall() == [
            (SCHEMA,)
        ]


# errors at run time


@pytest.fixture
def storage(path: Path) -> Storage:
    return open_storage(path)


def pragma(storage: Storage, statement: str) -> None:
    """Have every transaction of `storage` begin with it."""
    sa.event.listen(storage.engine, "begin", lambda begun: begun.exec_driver_sql(statement))


def error_of(storage: Storage) -> str:
    """What a user reads when plain Optuna writes, and when we do: they are the same."""
    study = optuna.load_study(storage=storage, study_name="study")
    with pytest.raises(StorageError) as plain:
        study.set_user_attr("much", "x" * 100 * PAGE)
    with pytest.raises(StorageError) as ours:
        storage.next_trial(study._study_id, budget=1_000_000)
    assert str(plain.value) == str(ours.value)
    return str(ours.value)


def test_a_read_only_database_is_a_line(storage):
    pragma(storage, "PRAGMA query_only=1")
    assert error_of(storage) == (
        "storage: attempt to write a readonly database; "
        "make it writable and run the same command again"
    )


def test_a_full_disk_is_a_line(storage):
    pragma(storage, "PRAGMA max_page_count=1")
    study = optuna.load_study(storage=storage, study_name="study")
    with pytest.raises(StorageError) as raised:
        study.set_user_attr("much", "x" * 100 * PAGE)
    assert str(raised.value) == (
        "storage: database or disk is full; "
        "make room and run the same command again; what was recorded is kept"
    )


def test_a_database_that_another_program_holds_is_a_line(storage, path):
    pragma(storage, "PRAGMA busy_timeout=0")
    study = optuna.load_study(storage=storage, study_name="study")
    with closing(sqlite3.connect(path)) as holder:
        holder.execute("BEGIN IMMEDIATE")
        with pytest.raises(StorageError) as raised:
            storage.next_trial(study._study_id, budget=9)
    assert str(raised.value) == (
        "storage: database is locked; another program has held it for 120 s; close that"
    )


def test_a_folder_that_was_removed_is_a_line(storage, path):
    study = optuna.load_study(storage=storage, study_name="study")
    storage.remove_session()
    storage.engine.dispose()
    shutil.rmtree(path.parent)
    with pytest.raises(StorageError) as raised:
        study.ask()
    assert str(raised.value) == (
        "storage: unable to open database file; was its folder removed? run the same command again"
    )


def test_a_file_that_is_damaged_meanwhile_is_a_line(storage, path):
    storage.remove_session()
    storage.engine.dispose()
    overwrite("trials", b"\xff")(path)
    with pytest.raises(StorageError) as raised:
        storage.next_trial(1, budget=9)
    assert str(raised.value) == (
        "storage: database disk image is malformed; "
        "the file is damaged; restore a copy, or begin anew with another --storage"
    )


def test_a_server_that_goes_away_is_a_line(postgresql):
    url = postgresql()
    storage = open_storage(url)
    study = optuna.create_study(storage=storage)
    with psycopg.connect(url) as other:
        other.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            "WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
    with pytest.raises(StorageError) as raised:
        study.set_user_attr("key", 1)
    assert str(raised.value).startswith("storage: ")
    assert str(raised.value).endswith("; see to the server and run the same command again")
    study.set_user_attr("key", 1)  # the server was never away: the next connection is sound


def test_a_mistake_of_ours_keeps_its_traceback(storage):
    with storage.engine.connect() as connection, pytest.raises(sa.exc.OperationalError):
        connection.exec_driver_sql("SELECT nonsense")
