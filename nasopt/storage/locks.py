"""`Locks`: names, each of which one thread at a time holds, until it releases it or is killed."""

import fcntl
import hashlib
import os
import threading
import weakref
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Protocol

import sqlalchemy as sa

from nasopt.errors import StorageError, Unavailable
from nasopt.storage.patience import patient, renew_when_back


class Locks(Protocol):
    """The names, each held by one thread of one process at a time.

    A thread that takes what it holds already has to release it as often.
    """

    def take(self, name: str) -> bool:
        """Hold `name` from here on, unless another does; return True if that worked."""
        ...

    def release(self, name: str) -> None: ...


class ThreadLocks:
    """The names of `among`, which knows processes alone, held by one of their threads at a time."""

    def __init__(self, among: Locks) -> None:
        self._among = among
        self._held: dict[str, tuple[threading.Thread, int]] = {}  # by which, and how often taken
        self._mutex = threading.Lock()  # not kept while a server is asked, which may be away

    def take(self, name: str) -> bool:
        me = threading.current_thread()
        with self._mutex:
            holder, times = self._held.get(name, (me, 0))
            if holder is not me:
                return False
            self._held[name] = me, times + 1
        taken = False
        try:
            taken = self._among.take(name)  # each time: it may have been lost with a connection
        finally:
            if not taken:
                self._once_less(name)
        return taken

    def release(self, name: str) -> None:
        with self._mutex:
            is_last = self._held.get(name, (None, 1))[1] == 1
        if is_last:
            self._among.release(name)
        self._once_less(name)

    def _once_less(self, name: str) -> None:
        with self._mutex:
            holder, times = self._held.pop(name, (None, 1))
            if holder is not None and times > 1:
                self._held[name] = holder, times - 1


class FileLocks:
    """The names held by processes that lock the same file, as bytes of it.

    The kernel drops them with the process, however that ends. They are unknown to other hosts,
    unless the file system locks across them. `path` is made when first needed; StorageError if
    that cannot be.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file: int | None = None
        self._mutex = threading.Lock()  # closing a second one would drop the locks of the first

    def take(self, name: str) -> bool:
        try:
            fcntl.lockf(self._opened, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, _place(name, 7))
        except BlockingIOError:
            return False
        except OSError as error:  # a file system without locks
            raise unwritable(self.path, error) from error
        return True

    def release(self, name: str) -> None:
        fcntl.lockf(self._opened, fcntl.LOCK_UN, 1, _place(name, 7))

    @property
    def _opened(self) -> int:
        with self._mutex:
            if self._file is None:
                try:
                    self.path.parent.mkdir(parents=True, exist_ok=True)
                    self._file = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o644)
                except OSError as error:
                    raise unwritable(self.path, error) from error
                weakref.finalize(self, os.close, self._file)
            return self._file


# A connection that waits is not ended for it, and one whose host has died is ended within a minute.
SESSION = """
SELECT set_config(name, wanted.value, false) FROM pg_settings JOIN (VALUES
    ('idle_session_timeout', '0'), ('tcp_keepalives_idle', '30'),
    ('tcp_keepalives_interval', '10'), ('tcp_keepalives_count', '3')
) AS wanted (name, value) USING (name)
"""


class ServerLocks:
    """The names held by processes of all hosts, as advisory locks of a PostgreSQL server.

    They are those of one connection, which is kept until the process ends. With it they are lost;
    whoever then asks for one more gets the error of that, or waits for the server. With the next
    connection those that nobody else has taken meanwhile are taken again. A pooler in front of the
    server has to give each client a connection of its own. `engine` is in autocommit, so that
    nothing stays open in a transaction.
    """

    def __init__(self, engine: sa.Engine) -> None:
        self._engine = engine
        self._connection: sa.Connection | None = None
        self._held: set[str] = set()
        self._lost: set[str] = set()  # with a connection, and not taken again yet
        self._mutex = threading.Lock()
        renew_when_back(self)

    @patient
    def take(self, name: str) -> bool:
        with self._mutex, self._connected():
            if name not in self._held and self._ask(sa.func.pg_try_advisory_lock, name):
                self._held.add(name)
            return name in self._held

    def release(self, name: str) -> None:
        with self._mutex, suppress(Unavailable):  # with the connection it is released as well
            self._lost.discard(name)
            if name in self._held:
                self._held.discard(name)
                with self._connected():
                    self._ask(sa.func.pg_advisory_unlock, name)

    def renew(self) -> None:
        """Take again what was lost with a connection, as far as it is free."""
        with self._mutex:
            if self._held or self._lost:
                with self._connected():
                    self._ask(lambda place: sa.literal(True), "")

    @contextmanager
    def _connected(self) -> Iterator[None]:
        try:
            if self._connection is None:
                self._connection = self._engine.connect()
                weakref.finalize(self, self._connection.close).atexit = False
                self._connection.exec_driver_sql(SESSION)
                for name in sorted(self._lost):
                    if self._ask(sa.func.pg_try_advisory_lock, name):
                        self._held.add(name)
                self._lost.clear()
            yield
        except BaseException:
            self._forget_connection()
            raise

    def _ask(self, function: Any, name: str) -> bool:
        assert self._connection is not None
        query = sa.select(function(_place(name, 8) - 2**63))
        return bool(self._connection.execute(query).scalar())

    def _forget_connection(self) -> None:
        self._lost |= self._held
        self._held.clear()
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.invalidate()
            connection.close()


def file_locks(path: Path) -> Locks:
    """Return the same object for the same file: closing a second one drops the first's locks."""
    with _finding:
        return _of_files.setdefault(path.absolute(), ThreadLocks(FileLocks(path)))


def server_locks(engine: sa.Engine) -> Locks:
    """Return the same object for the same database: a second connection would be a stranger."""
    url = engine.url.render_as_string(hide_password=False)
    with _finding:
        return _of_servers.setdefault(url, ThreadLocks(ServerLocks(engine)))


_finding = threading.Lock()
_of_files: weakref.WeakValueDictionary[Path, ThreadLocks] = weakref.WeakValueDictionary()
_of_servers: weakref.WeakValueDictionary[str, ThreadLocks] = weakref.WeakValueDictionary()


def unwritable(path: Path, error: OSError) -> StorageError:
    return StorageError(
        f"leases={path}: cannot be written ({error.strerror}); workers tell each other there what "
        "they have in hand: fix its folder, or choose another --storage"
    )


def _place(name: str, size: int) -> int:
    """Return a number of `size` bytes for `name`: so many that two names do not meet."""
    return int.from_bytes(hashlib.blake2b(name.encode(), digest_size=size).digest())
