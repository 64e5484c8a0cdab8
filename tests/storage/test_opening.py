"""`open_storage` on SQLite and on a real PostgreSQL: what is made, refused, and left as it was."""

import errno
import multiprocessing
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from multiprocessing.synchronize import Barrier
from pathlib import Path

import optuna
import pytest
import sqlalchemy as sa
from optuna.storages import RDBStorage
from optuna.study import StudyDirection

from nasopt.errors import StorageError
from nasopt.storage.database import storage_url
from nasopt.storage.leases import Owner
from nasopt.storage.ledger import Ledger
from nasopt.storage.opening import folders, open_storage
from nasopt.storage.rdb import Storage
from tests.storage.studies import COMPLETE, PRUNED, close, file_storage

MODES = ("create", "write", "read")


def contents(folder: Path) -> dict[str, bytes]:
    return {each.name: each.read_bytes() for each in folder.iterdir()}


def opening(path: Path, *modes: str) -> list[str]:
    """What another process gets in each mode: the names of the studies, or the error."""
    script = """
import sys, optuna
from nasopt.storage.database import storage_url
from nasopt.errors import StorageError
from nasopt.storage.opening import open_storage
for mode in sys.argv[2:]:
    try:
        storage = open_storage(sys.argv[1], mode)
        print([study.study_name for study in storage.get_all_studies()], storage.path)
    except StorageError as error:
        print(error)
"""
    command = [sys.executable, "-c", script, str(path), *modes]
    if os.getuid() == 0:  # root may read and write everywhere, unless it gives that up
        command = ["setpriv", "--bounding-set=-dac_override,-dac_read_search", *command]
    output = subprocess.run(command, capture_output=True, check=True, text=True).stdout
    return output.splitlines()


def test_a_database_is_made_where_there_is_none_and_plain_optuna_opens_it(tmp_path):
    path = tmp_path / "runs" / "new" / "x.db"
    storage = open_storage(path)
    optuna.create_study(storage=storage, study_name="study").add_trial(
        optuna.create_trial(value=0.5)
    )
    assert [each.name for each in path.parent.iterdir() if "-" not in each.name] == ["x.db"]
    plain = optuna.load_study(storage=f"sqlite:///{path}", study_name="study")
    assert plain.best_value == 0.5


def test_a_database_is_made_and_worked_on_where_no_file_has_two_names(tmp_path, monkeypatch):
    """As on exFAT, and on many file systems of a network."""

    def link(*_: object, **__: object) -> None:
        raise PermissionError(errno.EPERM, os.strerror(errno.EPERM))

    monkeypatch.setattr(os, "link", link)  # what Path.hardlink_to and shutil call as well
    storage = open_storage(tmp_path / "x.db")
    study = optuna.create_study(storage=storage)
    with Owner(storage.engine, storage.leases) as owner:
        storage.owner = owner.token
        assert storage.next_trial(study._study_id, budget=1) is not None


def test_a_database_of_plain_optuna_is_opened(tmp_path):
    url = f"sqlite:///{tmp_path / 'x.db'}"
    optuna.create_study(storage=url, study_name="study")
    for location in (tmp_path / "x.db", url):
        study = optuna.load_study(storage=open_storage(location, "write"), study_name="study")
        study.optimize(lambda trial: trial.suggest_float("x", 0, 1), n_trials=2)
    assert len(study.trials) == 4
    with Owner(open_storage(url).engine, tmp_path / "leases"):
        pass


@pytest.mark.parametrize("mode", ["write", "read"])
def test_a_database_that_should_be_there_is_not_made(tmp_path, mode):
    path = tmp_path / "x.db"
    with pytest.raises(StorageError) as raised:
        open_storage(path, mode)
    assert str(raised.value) == (
        f"storage={path}: no such file; look for the path that a run printed"
    )
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("mode", MODES)
def test_what_is_no_database_is_left_byte_for_byte_in_every_mode(tmp_path, mode):
    (tmp_path / "x.db").write_bytes(b"a text of mine")
    with pytest.raises(StorageError, match=r"x\.db: no SQLite database; move it away"):
        open_storage(tmp_path / "x.db", mode)
    assert contents(tmp_path) == {"x.db": b"a text of mine"}


def test_reading_writes_nothing(tmp_path):
    close(file_storage(tmp_path / "x.db"))
    before = contents(tmp_path)
    storage = open_storage(tmp_path / "x.db", "read")
    assert [study.study_name for study in storage.get_all_studies()] == ["study"]
    close(storage)
    assert contents(tmp_path) == before


def test_readers_and_a_writer_do_not_wait_for_each_other(tmp_path):
    with open_storage(tmp_path / "x.db").engine.connect() as connection:
        names = ("journal_mode", "synchronous", "busy_timeout")
        settings = [connection.exec_driver_sql(f"PRAGMA {name}").scalar() for name in names]
    assert settings == ["wal", 1, 120_000]  # 1 is NORMAL; milliseconds


def test_a_name_may_have_any_characters(tmp_path):
    for name in ("a folder.db", "ünï.db", "50%20.db", "a#b.db", "w?.db"):
        close(file_storage(tmp_path / name))
        storage = open_storage(tmp_path / name, "read")
        assert [study.study_name for study in storage.get_all_studies()] == ["study"]
        assert storage.path == tmp_path / name
        close(storage)
    assert len(list(tmp_path.iterdir())) == 5


def test_what_cannot_be_written_to_is_refused_and_can_be_read(tmp_path):
    """A file, its folder, or both are read-only."""
    path = tmp_path / "x.db"
    close(file_storage(path))
    path.chmod(0o444)
    create, write = (
        f"storage={path}: read-only; change its permissions, or {remedy}"
        for remedy in ("name another with --storage", "look on with --read-only")
    )
    studies = f"['study'] {path}"
    assert opening(path, *MODES) == [create, write, studies]
    tmp_path.chmod(0o555)
    try:
        before = contents(tmp_path)
        assert opening(path, *MODES) == [create, write, studies]
        path.chmod(0o644)
        assert opening(path, *MODES) == [create, write, studies]
        assert contents(tmp_path) == before
    finally:
        tmp_path.chmod(0o755)


def test_a_read_only_database_that_is_being_written_to_can_be_read(tmp_path):
    path = tmp_path / "x.db"
    storage = file_storage(path)
    storage.create_new_study([StudyDirection.MAXIMIZE], "newer")  # not in the file yet
    path.chmod(0o444)
    tmp_path.chmod(0o555)
    try:
        assert opening(path, "read") == [f"['study', 'newer'] {path}"]
    finally:
        tmp_path.chmod(0o755)


def test_what_cannot_be_read_is_refused(tmp_path):
    path = tmp_path / "x.db"
    close(file_storage(path))
    for part in (path, tmp_path):
        part.chmod(0o000)
        try:
            for message in opening(path, *MODES):
                assert message.startswith(f"storage={path}: cannot be read (Permission denied)")
        finally:
            part.chmod(0o755)


def test_what_cannot_be_made_is_refused(tmp_path):
    tmp_path.chmod(0o555)
    try:
        path = tmp_path / "runs" / "x.db"
        assert opening(path, "create") == [
            f"storage={path}: cannot be made (Permission denied); choose another --storage"
        ]
    finally:
        tmp_path.chmod(0o755)
    (tmp_path / "file").touch()
    with pytest.raises(StorageError, match=r"cannot be made .*; choose another --storage"):
        open_storage(tmp_path / "file" / "x.db")


@pytest.mark.parametrize("mode", MODES)
def test_a_server_that_refuses_is_named_without_its_password(mode):
    with socket.socket() as taken:  # bound, and nobody listens
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
        with pytest.raises(StorageError) as raised:
            open_storage(f"postgresql+psycopg://me:secret@127.0.0.1:{port}/x", mode)
    message = str(raised.value)
    assert message.startswith(f"storage=postgresql+psycopg://me@127.0.0.1:{port}/x: ")
    assert "Connection refused" in message
    assert "secret" not in message
    assert "\n" not in message


@pytest.mark.parametrize("mode", ["write", "read"])
def test_a_server_without_studies_is_refused_and_left_empty(postgresql, mode):
    url = postgresql()
    with pytest.raises(StorageError, match=r"^storage=postgresql"):
        open_storage(url, mode)
    assert sa.inspect(sa.create_engine(url)).get_table_names() == []


def test_a_server_of_another_schema_is_refused(postgresql):
    url = postgresql()
    with open_storage(url).engine.begin() as connection:
        connection.execute(sa.text("UPDATE alembic_version SET version_num = 'v2.6.0.a'"))
    for mode in MODES:
        with pytest.raises(StorageError) as raised:
            open_storage(url, mode)
        assert str(raised.value) == (
            f"storage={url}: made by another version of Optuna; "
            f"run: optuna storage upgrade --storage {url}"
        )


def test_an_optuna_of_another_schema_does_not_touch_a_database(tmp_path, monkeypatch):
    path = tmp_path / "x.db"
    open_storage(path).engine.dispose()
    before = path.read_bytes()
    monkeypatch.setattr(Storage, "_head_version", None)
    monkeypatch.setattr(RDBStorage, "get_head_version", lambda self: "v9.0.0.a")
    for mode in MODES:
        with pytest.raises(StorageError, match="made by another version of Optuna; run: optuna"):
            open_storage(path, mode)
        assert path.read_bytes() == before


def test_a_driver_that_is_missing_is_named_with_the_command_that_installs_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "psycopg", None)
    with pytest.raises(StorageError) as raised:
        open_storage("postgresql+psycopg://host/x")
    assert str(raised.value) == (
        "storage=postgresql+psycopg://host/x: psycopg is not installed; "
        'run: pip install "nasopt[postgresql]"'
    )


@pytest.mark.parametrize("location", ["mysql://host/x", ":memory:"])
def test_another_kind_of_database_is_refused(location):
    with pytest.raises(StorageError, match=f"^storage='?{location}"):
        open_storage(location)


def make(location: str, barrier: Barrier, name: str) -> None:
    barrier.wait()
    storage = open_storage(location)
    barrier.wait()
    Ledger(storage.engine, Path(f"{name}.checkpoints"))
    storage.create_new_study([StudyDirection.MAXIMIZE], name)
    close(storage)


def test_workers_that_make_one_database_at_once_all_get_it(empty_database, tmp_path):
    spawn = multiprocessing.get_context("spawn")
    names = ["a", "b"]
    barrier = spawn.Barrier(len(names), timeout=20)  # should one of them fail
    workers = [spawn.Process(target=make, args=(empty_database, barrier, name)) for name in names]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert [worker.exitcode for worker in workers] == [0, 0]
    storage = open_storage(empty_database)
    assert sorted(study.study_name for study in storage.get_all_studies()) == names
    close(storage)
    assert [path.name for path in tmp_path.iterdir()] in (["x.db"], [])  # no drafts


def test_workers_that_begin_at_once_on_a_database_of_plain_optuna_all_get_it(postgresql):
    for _ in range(4):  # it is a race: without the lock most of them are lost
        url = postgresql()
        plain = RDBStorage(storage_url(url))
        plain.remove_session()
        plain.engine.dispose()
        barrier = threading.Barrier(3)

        def begin(url: str = url, barrier: threading.Barrier = barrier) -> None:
            barrier.wait(timeout=20)
            close(open_storage(url))

        with ThreadPoolExecutor(3) as threads:
            for begun in [threads.submit(begin) for _ in range(3)]:
                begun.result()


def add_study(path: Path, name: str) -> None:
    storage = open_storage(path)
    storage.create_new_study([StudyDirection.MAXIMIZE], name)
    close(storage)


def test_opening_a_database_again_loses_nothing(tmp_path):
    path = tmp_path / "x.db"
    storage = file_storage(path)
    open_storage(path)
    spawn = multiprocessing.get_context("spawn")
    another = spawn.Process(target=add_study, args=(path, "theirs"))
    another.start()
    another.join()
    storage.create_new_study([StudyDirection.MAXIMIZE], "ours")
    assert opening(path, "read") == [f"['study', 'theirs', 'ours'] {path}"]


def test_a_file_has_one_folder_under_whatever_link(tmp_path):
    open_storage(tmp_path / "x.db")
    (tmp_path / "link.db").symlink_to(tmp_path / "x.db")
    assert folders(open_storage(tmp_path / "link.db")) == folders(open_storage(tmp_path / "x.db"))


def test_what_was_last_written_is_looked_for_beside_the_file_that_a_link_leads_to(tmp_path):
    file, link = tmp_path / "data" / "x.db", tmp_path / "x.db"
    file.parent.mkdir()
    add_study(file, "one")
    link.symlink_to(file)
    command = [sys.executable, "-c", KILLED, str(file)]
    assert subprocess.run(command).returncode == -signal.SIGKILL
    before = contents(file.parent)
    assert before["x.db-wal"]
    file.rename(tmp_path / "moved.db")
    wal = file.with_name("x.db-wal")
    for mode in MODES:
        with pytest.raises(StorageError) as raised:
            open_storage(link, mode)
        assert str(raised.value) == (
            f"storage={link}: no such file, but {wal} has what was last written to it; restore "
            f"{link} beside it, or remove {wal} and {file}-shm"
        )
    (tmp_path / "moved.db").rename(file)
    assert contents(file.parent) == before
    assert opening(link, "read") == [f"['one', 'two'] {link}"]


def test_a_link_is_as_writable_as_the_folder_of_its_file(tmp_path):
    folder = tmp_path / "links"
    folder.mkdir()
    add_study(tmp_path / "x.db", "one")
    (folder / "x.db").symlink_to(tmp_path / "x.db")
    folder.chmod(0o500)
    assert opening(folder / "x.db", "write") == [f"['one'] {folder / 'x.db'}"]


KILLED = """
import os, signal, sys
from optuna.study import StudyDirection
from nasopt.storage.opening import open_storage
open_storage(sys.argv[1]).create_new_study([StudyDirection.MAXIMIZE], "two")
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_a_path_that_cannot_be_is_one_line(tmp_path):
    (tmp_path / "loop.db").symlink_to(tmp_path / "loop.db")
    for name, why in (
        ("a" * 300, "File name too long"),
        ("loop.db", "Too many levels of symbolic links"),
    ):
        with pytest.raises(StorageError) as raised:
            open_storage(tmp_path / name)
        assert str(raised.value) == (
            f"storage={tmp_path / name}: cannot be used ({why}); choose another --storage"
        )
    with pytest.raises(StorageError) as raised:
        open_storage("Th\udce8se.db")
    assert str(raised.value) == (
        "storage=Th\\udce8se.db: its name is no UTF-8; rename it, or choose another --storage"
    )


def test_a_path_may_begin_with_two_slashes_and_a_folder_have_any_name(tmp_path, monkeypatch):
    add_study(Path(f"/{tmp_path}/x.db"), "one")
    assert opening(Path(f"/{tmp_path}/x.db"), *MODES) == [f"['one'] /{tmp_path}/x.db"] * 3
    folder = tmp_path / "Th\udce8se"
    folder.mkdir()
    monkeypatch.chdir(folder)
    add_study(Path("x.db"), "two")
    assert opening(Path("x.db"), *MODES) == ["['two'] x.db"] * 3


def test_to_make_a_database_touches_no_other_file(tmp_path):
    for name in ("x.db.new", "x.db.old", "x.db.copy"):
        (tmp_path / name).write_text("a copy")
    before = contents(tmp_path)
    open_storage(tmp_path / "x.db")
    after = contents(tmp_path)
    assert {name: after[name] for name in before} == before


def test_what_lies_beside_a_database(tmp_path, postgresql):
    beside = folders(open_storage(tmp_path / "x.db"))
    assert beside.checkpoints == tmp_path / "x.db.checkpoints"
    assert beside.leases == tmp_path / "x.db.leases"
    url = postgresql()
    beside = folders(open_storage(url))
    assert beside.checkpoints == Path(f"{sa.make_url(url).database}.checkpoints")
    assert beside.leases == Path(os.environ["XDG_STATE_HOME"]) / "nasopt" / "leases"


def test_checkpoints_are_where_all_hosts_see_them_if_so_set(tmp_path, postgresql, monkeypatch):
    monkeypatch.setenv("NASOPT_CHECKPOINTS", str(tmp_path / "shared"))
    url = postgresql()
    for location, name in ((tmp_path / "x.db", "x.db"), (url, sa.make_url(url).database)):
        found = folders(open_storage(location))
        assert found.checkpoints == tmp_path / "shared" / f"{name}.checkpoints"
        assert found.weights == tmp_path / "shared" / f"{name}.weights"
        assert found.leases == open_storage(location).leases


def test_the_database_is_the_file_or_none(tmp_path, postgresql):
    assert open_storage(tmp_path / "x.db").path == tmp_path / "x.db"
    assert open_storage(f"sqlite:///{tmp_path / 'x.db'}").path == tmp_path / "x.db"
    assert open_storage(postgresql()).path is None


def test_without_an_owner_it_is_optunas_own_storage(location):
    study = optuna.create_study(storage=open_storage(location), direction="maximize")

    def objective(trial: optuna.Trial) -> float:
        trial.report(0.25, step=1)
        trial.set_user_attr("note", [1, 2])
        if trial.number == 1:
            raise optuna.TrialPruned
        return trial.suggest_float("x", 0, 1)

    study.enqueue_trial({"x": 1.0})
    study.optimize(objective, n_trials=3)
    assert [trial.state for trial in study.trials] == [COMPLETE, PRUNED, COMPLETE]
    assert study.best_trial.number == 0
    assert study.best_trial.user_attrs == {"note": [1, 2]}


def left_by_a_kill(database: Path, name: str) -> None:
    """Make a database of one study whose last writes are in its -wal alone, as a kill leaves it."""
    making = database.with_name("making.db")
    storage = open_storage(making)
    optuna.create_study(study_name=name, storage=storage)
    for end in ("", "-wal"):
        shutil.copy(f"{making}{end}", f"{database}{end}")
    assert Path(f"{database}-wal").stat().st_size
    storage.engine.dispose()
    making.unlink()


@pytest.mark.parametrize("mode", ["create", "write", "read"])
def test_a_database_put_beside_the_wal_of_another_is_not_added_to_it(tmp_path, mode):
    left_by_a_kill(tmp_path / "x.db", "old")
    other = open_storage(tmp_path / "other.db")
    optuna.create_study(study_name="mine", storage=other)
    other.engine.dispose()
    wal = (tmp_path / "x.db-wal").read_bytes()
    shutil.copy(tmp_path / "other.db", tmp_path / "x.db")
    with pytest.raises(StorageError, match=r"x\.db-wal beside it was left by another database"):
        open_storage(tmp_path / "x.db", mode)
    assert (tmp_path / "x.db-wal").read_bytes() == wal
    (tmp_path / "x.db-wal").unlink()
    (tmp_path / "x.db-shm").unlink(missing_ok=True)
    assert optuna.get_all_study_names(open_storage(tmp_path / "x.db", mode)) == ["mine"]


@pytest.mark.parametrize("mode", ["create", "write", "read"])
def test_a_database_beside_its_own_wal_has_all_that_was_written(tmp_path, mode):
    left_by_a_kill(tmp_path / "x.db", "old")
    assert optuna.get_all_study_names(open_storage(tmp_path / "x.db", mode)) == ["old"]
