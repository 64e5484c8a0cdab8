"""`Owner` with real processes, killed and stopped: who is dead is known at once, and only they."""

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

from nasopt import owners
from nasopt.errors import StorageError
from nasopt.owners import SILENCE_SECONDS, TABLES, WORKERS, Owner, forget_dead, living

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


def alive(engine: sa.Engine, *tokens: str) -> set[str]:
    with engine.connect() as connection:
        return living(connection, tokens)


def rows(engine: sa.Engine) -> set[str]:
    with engine.connect() as connection:
        return set(connection.execute(sa.select(WORKERS.c.token)).scalars())


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


def test_a_lease_that_was_removed_is_that_of_a_dead_owner(engine, start, tmp_path):
    _, token = start(work)
    (tmp_path / "leases" / f"{token}.lease").unlink()
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
    with Owner(engine, tmp_path) as first, Owner(engine, tmp_path) as second:
        assert alive(engine, first.token, second.token) == {first.token, second.token}
        forget_dead(engine)
        assert locked(first.lease)
        assert locked(second.lease)


def test_an_owner_that_ends_leaves_the_lease_of_its_neighbour(engine, tmp_path):
    with Owner(engine, tmp_path) as first:
        with Owner(engine, tmp_path):
            pass
        assert locked(first.lease)


@pytest.mark.parametrize(("age", "lives"), [(SILENCE_SECONDS - 60, True), (SILENCE_SECONDS, False)])
def test_an_owner_on_another_host_is_known_by_the_age_of_its_row(engine, tmp_path, age, lives):
    with Owner(engine, tmp_path) as owner:
        change(engine, owner.token, host="elsewhere", seen=time.time() - age)
        assert alive(engine, owner.token) == ({owner.token} if lives else set())


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


@pytest.mark.parametrize(("age", "lives"), [(SILENCE_SECONDS - 60, True), (SILENCE_SECONDS, False)])
def test_an_owner_of_another_user_is_known_by_the_age_of_its_row(engine, tmp_path, age, lives):
    lease = tmp_path / "theirs.lease"
    lease.touch(mode=0o000)
    row = {"token": "theirs", "host": socket.gethostname(), "lease": str(lease)}
    with engine.begin() as connection:
        connection.execute(WORKERS.insert().values(**row, seen=time.time() - age))
    with engine.connect() as connection, another_user():
        assert living(connection, ["theirs"]) == ({"theirs"} if lives else set())


def test_what_killed_owners_of_this_host_left_is_removed(engine, start, tmp_path):
    killed, dead = start(work)
    _, alive = start(work)
    killed.kill()
    killed.join()
    with engine.begin() as connection:
        elsewhere = {"token": "elsewhere", "host": "elsewhere", "lease": "/x", "seen": 0.0}
        connection.execute(WORKERS.insert().values(**elsewhere))
    forget_dead(engine)
    assert rows(engine) == {alive, "elsewhere"}
    assert [path.name for path in (tmp_path / "leases").iterdir()] == [f"{alive}.lease"]
    assert dead not in rows(engine)


def wait_for(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline, "it has not come"
        time.sleep(0.005)


def test_a_row_is_kept_fresh(engine, tmp_path, monkeypatch):
    monkeypatch.setattr(owners, "BEAT_SECONDS", 0.01)
    with Owner(engine, tmp_path) as owner:
        change(engine, owner.token, host="elsewhere", seen=0.0)
        wait_for(lambda: bool(alive(engine, owner.token)))


def test_a_row_that_cannot_be_refreshed_is_a_warning_and_tried_again(
    engine, tmp_path, monkeypatch, caplog
):
    monkeypatch.setattr(owners, "BEAT_SECONDS", 0.01)
    with Owner(engine, tmp_path) as owner:
        TABLES.drop_all(engine)
        wait_for(lambda: len(caplog.records) >= 2)
        TABLES.create_all(engine)
        row = {"token": owner.token, "host": "elsewhere", "lease": str(owner.lease)}
        with engine.begin() as connection:
            connection.execute(WORKERS.insert().values(**row, seen=0.0))
        wait_for(lambda: bool(alive(engine, owner.token)))
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


def test_leases_lie_beside_a_database_file_or_in_a_folder_of_the_host():
    assert owners.default_folder(Path("runs/x.db")) == Path("runs/x.db.leases")
    folder = owners.default_folder(None)
    assert folder.is_absolute()
    assert folder.name == f"nasopt-leases-{os.getuid()}"


def test_a_folder_that_takes_no_lease_is_named(engine, tmp_path):
    (tmp_path / "leases").write_text("no folder")
    with pytest.raises(StorageError, match=r"leases=.*/leases: cannot be written \("):
        Owner(engine, tmp_path / "leases").__enter__()
