"""`Owner` with real processes, killed and stopped: who is dead is known at once, and only they."""

import errno
import multiprocessing
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from nasopt.errors import StorageError
from nasopt.storage import leases
from nasopt.storage.leases import SILENCE_SECONDS, TABLES, WORKERS, Owner, forget_dead, living
from tests.storage.workers import add, rows

Start = Callable[[Callable[..., None]], tuple[BaseProcess, Any]]


@pytest.fixture
def engine(tmp_path: Path) -> sa.Engine:
    engine = sa.create_engine(f"sqlite:///{tmp_path / 'x.db'}")
    TABLES.create_all(engine)
    return engine


@pytest.fixture
def start(engine: sa.Engine, tmp_path: Path) -> Iterator[Start]:
    """Starts a worker in a process of its own: (the process, what the worker has sent)."""
    processes = []

    def start(worker: Callable[..., None]) -> tuple[BaseProcess, Any]:
        spawn = multiprocessing.get_context("spawn")
        ours, theirs = spawn.Pipe()
        arguments = (str(engine.url), tmp_path / "leases", theirs)
        process = spawn.Process(target=worker, args=arguments, daemon=True)
        process.start()
        processes.append(process)
        assert ours.poll(60), "the worker has not begun"
        return process, ours.recv()

    yield start
    for process in processes:
        process.kill()
        process.join()


def work(url: str, leases: Path, sender: Connection) -> None:
    with Owner(sa.create_engine(url), leases) as owner:
        sender.send(owner.token)
        time.sleep(600)


def work_with_a_child(url: str, leases: Path, sender: Connection) -> None:
    with Owner(sa.create_engine(url), leases) as owner:
        child = os.fork()
        if child:
            sender.send((owner.token, child))
        time.sleep(600)


def alive(engine: sa.Engine, *tokens: Any, seen_from: str = "leases") -> set[str]:
    """Those of `tokens` that live for a process with this folder of leases."""
    folder = Path(str(engine.url.database)).parent / seen_from
    with engine.connect() as connection:
        return living(connection, folder, tokens)


def change(engine: sa.Engine, token: str, **values: Any) -> None:
    with engine.begin() as connection:
        connection.execute(WORKERS.update().where(WORKERS.c.token == token).values(**values))


def test_an_owner_lives_from_its_beginning_to_its_end(engine, tmp_path):
    owner = Owner(engine, tmp_path / "leases")
    assert alive(engine, owner.token) == set()
    with owner:
        assert alive(engine, owner.token) == {owner.token}
    assert alive(engine, owner.token) == set()


def test_an_owner_leaves_nothing_behind(engine, tmp_path):
    with Owner(engine, tmp_path / "leases") as owner:
        assert rows(engine) == {owner.token}
        assert [path.name for path in (tmp_path / "leases").iterdir()] == [f"{owner.token}.lease"]
    assert rows(engine) == set()
    assert list((tmp_path / "leases").iterdir()) == []


def test_a_token_that_nobody_knows_is_dead(engine):
    assert alive(engine, "nobody's") == set()


def test_another_process_knows_an_owner_as_alive(engine, start):
    _, token = start(work)
    assert alive(engine, token) == {token}


def test_a_killed_owner_is_dead_at_once(engine, start):
    process, token = start(work)
    process.kill()
    process.join()
    assert rows(engine) == {token}
    assert alive(engine, token) == set()


def test_a_stopped_owner_lives(engine, start):
    process, token = start(work)
    os.kill(process.pid, signal.SIGSTOP)
    os.waitpid(process.pid, os.WUNTRACED)
    assert alive(engine, token) == {token}


def test_a_killed_owner_is_dead_though_a_child_of_its_lives(engine, start):
    process, (token, child) = start(work_with_a_child)
    try:
        process.kill()
        process.join()
        os.kill(child, 0)
        assert alive(engine, token) == set()
    finally:
        os.kill(child, signal.SIGKILL)


def test_an_owner_whose_lease_is_out_of_sight_lives_while_its_row_is_fresh(engine, start, tmp_path):
    _, token = start(work)
    (tmp_path / "leases" / f"{token}.lease").unlink()
    assert alive(engine, token) == {token}
    change(engine, token, seen=time.time() - SILENCE_SECONDS)
    assert alive(engine, token) == set()


def test_the_lock_tells_whatever_host_and_row_say(engine, start):
    process, token = start(work)
    change(engine, token, host="elsewhere", seen=0.0)
    assert alive(engine, token) == {token}
    process.kill()
    process.join()
    change(engine, token, host="elsewhere", seen=time.time())
    assert alive(engine, token) == set()


def locked(lease: Path) -> bool:
    """Whether another process finds it locked."""
    attempt = f"""
import fcntl
try:
    fcntl.lockf(open({str(lease)!r}, "r+"), fcntl.LOCK_EX | fcntl.LOCK_NB)
except BlockingIOError:
    print("locked")
"""
    output = subprocess.run([sys.executable, "-c", attempt], capture_output=True, check=True).stdout
    return output == b"locked\n"


def test_looking_at_ones_own_lease_does_not_drop_it(engine, tmp_path):
    leases = tmp_path / "leases"
    with Owner(engine, leases) as first, Owner(engine, leases) as second:
        assert alive(engine, first.token, second.token) == {first.token, second.token}
        forget_dead(engine, leases)
        assert locked(first.lease)
        assert locked(second.lease)


def test_an_owner_that_ends_leaves_the_lease_of_its_neighbour(engine, tmp_path):
    with Owner(engine, tmp_path) as first:
        with Owner(engine, tmp_path):
            pass
        assert locked(first.lease)


@pytest.mark.parametrize(("age", "lives"), [(SILENCE_SECONDS - 30, True), (SILENCE_SECONDS, False)])
def test_an_owner_with_another_folder_is_known_by_the_age_of_its_row(engine, start, age, lives):
    _, token = start(work)
    change(engine, token, seen=time.time() - age)
    assert alive(engine, token, seen_from="elsewhere") == ({token} if lives else set())


@contextmanager
def another_user() -> Iterator[None]:
    """Nobody, where the tests are run by root."""
    if os.getuid():
        yield
        return
    os.setresuid(65534, 65534, 0)
    try:
        yield
    finally:
        os.setresuid(0, 0, 0)


@pytest.mark.parametrize(("age", "lives"), [(SILENCE_SECONDS - 30, True), (SILENCE_SECONDS, False)])
def test_an_owner_of_another_user_is_known_by_the_age_of_its_row(
    engine, start, tmp_path, age, lives
):
    _, token = start(work)
    (tmp_path / "leases" / f"{token}.lease").chmod(0o000)
    change(engine, token, seen=time.time() - age)
    with another_user():
        assert alive(engine, token) == ({token} if lives else set())


def test_what_dead_owners_left_is_removed(engine, start, tmp_path):
    killed, dead = start(work)
    _, alive = start(work)
    killed.kill()
    killed.join()
    change(engine, dead, host="the name of this host before")
    add(engine, token="d" * 32, seen=0.0)
    add(engine, token="e" * 32)
    forget_dead(engine, tmp_path / "leases")
    assert rows(engine) == {alive, "e" * 32}
    assert [path.name for path in (tmp_path / "leases").iterdir()] == [f"{alive}.lease"]


@pytest.mark.parametrize(
    "token", ["x", "", "../" * 9 + "thesis", "E" * 32, "e" * 31, "e" * 32 + "\n"]
)
def test_no_row_leads_to_a_file_that_is_no_lease(engine, tmp_path, token):
    thesis = tmp_path / "thesis.lease"
    thesis.write_text("years of work")
    thesis.chmod(0o444)
    add(engine, token=token, host=socket.gethostname(), lease=str(thesis), seen=0.0)
    (tmp_path / "leases").mkdir()
    assert alive(engine, token) == set()
    forget_dead(engine, tmp_path / "leases")
    assert thesis.read_text() == "years of work"
    assert rows(engine) == set()


def test_a_row_of_ones_own_making_is_not_followed_either(engine, tmp_path):
    thesis = tmp_path / "thesis"
    thesis.write_text("years of work")
    add(engine, token="e" * 32, host=socket.gethostname(), lease=str(thesis), seen=0.0)
    (tmp_path / "leases").mkdir()
    link = tmp_path / "leases" / f"{'e' * 32}.lease"
    link.symlink_to(thesis)
    assert alive(engine, "e" * 32) == set()
    forget_dead(engine, tmp_path / "leases")
    assert thesis.read_text() == "years of work"
    assert not link.is_symlink()


def test_a_pipe_in_place_of_a_lease_holds_nobody_up(engine, tmp_path):
    (tmp_path / "leases").mkdir()
    os.mkfifo(tmp_path / "leases" / f"{'e' * 32}.lease")
    add(engine, token="e" * 32, seen=0.0)
    assert alive(engine, "e" * 32) == set()


@pytest.mark.parametrize("token", [None, 7, ["e" * 32], {"e": 1}, 1.5, True])
def test_what_is_no_token_is_nobodys(engine, token):
    assert alive(engine, token) == set()


@pytest.mark.parametrize("seen", ["yesterday", b"\0\1", ""])
def test_a_row_with_nonsense_for_a_time_is_a_dead_ones(engine, seen):
    add(engine)
    with engine.begin() as connection:
        connection.exec_driver_sql("UPDATE nasopt_workers SET seen = ?", (seen,))
    assert alive(engine, "e" * 32) == set()


def seen(engine: sa.Engine, token: str) -> float:
    with engine.connect() as connection:
        mine = WORKERS.c.token == token
        return float(connection.execute(sa.select(WORKERS.c.seen).where(mine)).scalar_one())


def wait_for(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline, "it has not come"
        time.sleep(0.005)


def test_a_row_is_kept_fresh(engine, tmp_path, monkeypatch):
    monkeypatch.setattr(leases, "BEATS", 12_000)
    with Owner(engine, tmp_path) as owner:
        change(engine, owner.token, seen=0.0)
        wait_for(lambda: seen(engine, owner.token) > time.time() - 60)


def test_a_row_that_others_removed_after_a_long_silence_comes_back(engine, tmp_path, monkeypatch):
    monkeypatch.setattr(leases, "BEATS", 12_000)
    with Owner(engine, tmp_path) as owner:
        with engine.begin() as connection:
            connection.execute(WORKERS.delete())
        wait_for(lambda: owner.token in rows(engine))


def test_how_long_a_worker_may_be_silent_is_its_own_to_say(engine, tmp_path, monkeypatch):
    monkeypatch.setenv("NASOPT_TAKEOVER", "600")
    with Owner(engine, tmp_path) as owner:
        left = seen(engine, owner.token) + SILENCE_SECONDS - time.time()
    assert 540 < left <= 600
    assert owner.silence / leases.BEATS == 150


@pytest.mark.parametrize("given", ["soon", "0", "-3", "nan", "inf"])
def test_a_takeover_that_is_no_time_is_refused(engine, tmp_path, monkeypatch, given):
    monkeypatch.setenv("NASOPT_TAKEOVER", given)
    with pytest.raises(StorageError) as raised:
        Owner(engine, tmp_path)
    assert str(raised.value) == (
        f"NASOPT_TAKEOVER={given}: use a number of seconds from 1, 120 say"
    )


def test_a_row_that_cannot_be_refreshed_is_one_warning_and_tried_again(
    engine, tmp_path, monkeypatch, caplog
):
    monkeypatch.setattr(leases, "BEATS", 12_000)
    with Owner(engine, tmp_path) as owner:
        TABLES.drop_all(engine)
        wait_for(lambda: len(caplog.records) >= 1)
        with pytest.raises(sa.exc.OperationalError):
            owner.renew()  # as the next beats do
        TABLES.create_all(engine)
        wait_for(lambda: owner.token in rows(engine))
    assert len(caplog.records) == 1
    assert re.match(
        r"the worker's row could not be refreshed \(.*no such table: nasopt_workers",
        caplog.records[0].getMessage(),
    )


def fail_in(owner: Owner, error: Exception | None) -> None:
    """End `owner` with a database that fails, and with `error`."""
    with owner:
        TABLES.drop_all(owner.engine)
        if error:
            raise error


def test_what_ended_an_owner_is_not_hidden_by_a_database_that_fails_too(engine, tmp_path):
    owner = Owner(engine, tmp_path)
    with pytest.raises(ValueError, match="what the user must read"):
        fail_in(owner, ValueError("what the user must read"))
    assert not owner.lease.exists()


def test_a_database_that_fails_at_the_end_is_told(engine, tmp_path):
    owner = Owner(engine, tmp_path)
    with pytest.raises(sa.exc.OperationalError):
        fail_in(owner, None)
    assert not owner.lease.exists()


def test_leases_lie_beside_a_database_file_or_in_a_folder_of_the_user(monkeypatch, tmp_path):
    assert leases.default_folder(tmp_path / "x.db") == tmp_path / "x.db.leases"
    monkeypatch.setenv("XDG_STATE_HOME", "/state")
    assert leases.default_folder(None) == Path("/state/nasopt/leases")
    monkeypatch.setenv("HOME", "/home/me")
    for ignored in ("", "relative/state"):
        monkeypatch.setenv("XDG_STATE_HOME", ignored)
        assert leases.default_folder(None) == Path("/home/me/.local/state/nasopt/leases")


def test_a_folder_that_takes_no_lease_is_named(engine, tmp_path):
    (tmp_path / "leases").write_text("no folder")
    with pytest.raises(StorageError, match=r"leases=.*/leases: cannot be written \("):
        Owner(engine, tmp_path / "leases").__enter__()


def test_a_file_system_without_locks_is_a_line_and_leaves_no_lease(engine, tmp_path, monkeypatch):
    def refuse(*_: object) -> None:
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr("fcntl.lockf", refuse)
    with (
        pytest.raises(StorageError, match=r"cannot be written \(No locks available\)"),
        Owner(engine, tmp_path / "leases"),
    ):
        pass
    assert list((tmp_path / "leases").iterdir()) == []


def test_a_user_without_a_home_is_told(monkeypatch):
    for name in ("XDG_STATE_HOME", "HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("os.getuid", lambda: 2**31 - 9)  # who is in no list of users
    with pytest.raises(StorageError, match=r"^leases: .*; set XDG_STATE_HOME to a folder"):
        leases.default_folder(None)
