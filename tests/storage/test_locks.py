"""Names of which one thread of one process at a time holds each, by a file or by a server."""

import errno
import os
import select
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TypeVar

import psycopg
import pytest

from nasopt.errors import StorageError
from nasopt.storage.locks import FileLocks, Locks, file_locks
from nasopt.storage.opening import locks_of, open_storage

T = TypeVar("T")
HOLDER = """
import sys
from nasopt.storage.opening import locks_of, open_storage
locks = locks_of(open_storage(sys.argv[1]))
print(locks.take("a"), locks.take("b"), flush=True)
for line in sys.stdin:
    what, name = line.split()
    print(getattr(locks, what)(name), flush=True)
"""


@pytest.fixture
def locks(empty_database: str) -> Locks:
    return locks_of(open_storage(empty_database))


@contextmanager
def holder(location: str) -> Iterator[subprocess.Popen[str]]:
    """Another process that holds "a" and "b"."""
    with subprocess.Popen(
        [sys.executable, "-c", HOLDER, location],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "True True\n"
        try:
            yield process
        finally:
            process.kill()


def ask(process: subprocess.Popen[str], what: str, name: str) -> str:
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(f"{what} {name}\n")
    process.stdin.flush()
    return process.stdout.readline().strip()


def test_a_name_is_held_by_one_process_until_it_lets_go(empty_database, locks):
    with holder(empty_database) as other:
        assert not locks.take("a")
        assert locks.take("c")  # names do not disturb each other
        ask(other, "release", "a")
        assert locks.take("a")
        assert not locks.take("b")
        assert ask(other, "take", "a") == "False"


def test_a_name_is_free_when_its_process_was_killed(empty_database, locks):
    with holder(empty_database) as other:
        assert not locks.take("b")
        other.kill()
        other.wait()
        taken = locks.take("b")
        while not taken and "://" in empty_database:  # the server is about to see it
            taken = locks.take("b")
        assert taken


def test_what_is_held_outlives_another_user_of_the_same_database(empty_database, locks):
    assert locks.take("mine")
    passing: Locks | None = locks_of(open_storage(empty_database))
    assert passing is locks
    del passing
    with holder(empty_database) as other:
        assert ask(other, "take", "mine") == "False"


def in_a_thread(function: Callable[..., T], *args: object) -> T:
    with ThreadPoolExecutor() as threads:
        return threads.submit(function, *args).result()


def test_a_name_is_held_by_one_thread_as_often_as_it_took_it(empty_database, locks):
    assert locks.take("mine")
    assert locks.take("mine")
    assert not in_a_thread(locks.take, "mine")
    assert in_a_thread(locks.take, "other")
    locks.release("mine")
    assert not in_a_thread(locks.take, "mine")
    locks.release("mine")
    with holder(empty_database) as other:
        assert ask(other, "take", "mine") == "True"
        assert ask(other, "take", "other") == "False"
        assert not locks.take("mine")
        ask(other, "release", "mine")
        assert in_a_thread(locks.take, "mine")
        assert not locks.take("mine")
        in_a_thread(locks.release, "mine")  # a generator may be closed by another thread
        assert locks.take("mine")


def test_threads_that_open_the_locks_of_one_database_at_once_have_the_same(tmp_path):
    with ThreadPoolExecutor(8) as threads:
        found = list(threads.map(lambda _: file_locks(tmp_path / "locks"), range(50)))
    assert len(set(map(id, found))) == 1


# files


def test_the_file_is_made_when_first_needed(tmp_path):
    path = tmp_path / "x.db.leases" / "locks"
    locks = file_locks(path)
    assert not path.exists()
    locks.take("a")
    assert path.exists()


def test_a_place_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "x.db.leases").write_text("no folder")
    with pytest.raises(StorageError, match=r"leases=.*x.db.leases/locks: cannot be written \("):
        FileLocks(tmp_path / "x.db.leases" / "locks").take("a")


def test_a_link_in_place_of_the_file_is_not_followed(tmp_path):
    (tmp_path / "locks").symlink_to(tmp_path / "made")
    with pytest.raises(StorageError, match=r"leases=.*/locks: cannot be written \("):
        FileLocks(tmp_path / "locks").take("a")
    assert not (tmp_path / "made").exists()


# servers


def sessions(url: str) -> list[tuple[int, str]]:
    """Process id and state of those that hold advisory locks of a database."""
    with psycopg.connect(url) as connection:
        return connection.execute(
            "SELECT DISTINCT pid, state FROM pg_locks JOIN pg_stat_activity USING (pid) "
            "WHERE locktype = 'advisory' AND datname = current_database()"
        ).fetchall()


def test_a_file_system_without_locks_is_a_line(tmp_path, monkeypatch):
    def refuse(*_: object) -> None:
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr("fcntl.lockf", refuse)
    with pytest.raises(StorageError, match=r"locks: cannot be written \(No locks available\)"):
        FileLocks(tmp_path / "locks").take("a")


def test_one_connection_holds_all_and_stays_in_no_transaction(postgresql):
    url = postgresql()
    first, second = locks_of(open_storage(url)), locks_of(open_storage(url))
    assert first.take("a")
    assert second.take("b")
    ((_, state),) = sessions(url)
    assert state == "idle"


def test_what_is_lost_with_the_connection_is_told_and_free_for_others(postgresql):
    url = postgresql()
    locks = locks_of(open_storage(url))
    assert locks.take("mine")
    with psycopg.connect(url) as connection:
        ((pid, _),) = sessions(url)
        connection.execute("SELECT pg_terminate_backend(%s, 60000)", (pid,))
    with holder(url) as other:
        assert ask(other, "take", "mine") == "True"
        with pytest.raises(StorageError, match=r"^storage: .*; see to the server and run"):
            locks.take("another")
        assert not locks.take("mine")
        locks.release("mine")  # which it has not: the other keeps it
        assert not locks.take("mine")
        assert locks.take("another")


def test_a_connection_that_waits_for_long_is_not_ended_for_it(postgresql):
    url = postgresql()
    locks = locks_of(open_storage(url))
    with psycopg.connect(url, autocommit=True) as connection:
        name = connection.info.dbname
        connection.execute(f"ALTER DATABASE {name} SET idle_session_timeout = '50ms'")
    assert locks.take("mine")
    with psycopg.connect(url) as witness:  # which is ended, and that is long enough
        select.select([witness.fileno()], [], [])
        with pytest.raises(psycopg.errors.IdleSessionTimeout):
            witness.execute("SELECT 1")
    assert locks.take("another")
