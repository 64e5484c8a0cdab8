"""Who works on a trial, and whether they still live.

A worker holds a locked file for those on its host, and keeps a row fresh for those on others. The
kernel drops a POSIX lock (`lockf`) with the process, however that ends, keeps it while the process
is paused, and does not hand it to forked children as it would one of `flock`.
"""

import fcntl
import logging
import os
import socket
import tempfile
import threading
import time
import uuid
from collections.abc import Iterable
from pathlib import Path
from types import TracebackType
from typing import Self

import sqlalchemy as sa

from nasopt.locks import unwritable

logger = logging.getLogger("nasopt")

SILENCE_SECONDS = 600.0  # after which a worker of another host is taken for dead
BEAT_SECONDS = 30.0  # between two updates of a worker's row

TABLES = sa.MetaData()
WORKERS = sa.Table(
    "nasopt_workers",
    TABLES,
    sa.Column("token", sa.String(64), primary_key=True),
    sa.Column("host", sa.Text, nullable=False),
    sa.Column("lease", sa.Text, nullable=False),  # the locked file
    sa.Column("seen", sa.Double, nullable=False),  # seconds since 1970, by the worker's clock
)

_held: set[str] = set()  # by this process: to open a lease twice and close it would drop the lock


class Owner:
    """One worker, alive from `__enter__` to `__exit__` or to the end of its process.

    `folder` takes the lease file; all workers of a database on one host must share it.
    """

    def __init__(self, engine: sa.Engine, folder: Path) -> None:
        self.engine = engine
        self.token = uuid.uuid4().hex
        self.lease = folder.absolute() / f"{self.token}.lease"
        self.gone = threading.Event()

    def __enter__(self) -> Self:
        try:
            self.lease.parent.mkdir(parents=True, exist_ok=True)
            self.file = self.lease.open("w")
        except OSError as error:
            raise unwritable(self.lease.parent, error) from error
        fcntl.lockf(self.file, fcntl.LOCK_EX)
        _held.add(str(self.lease))
        row = {"token": self.token, "host": socket.gethostname(), "lease": str(self.lease)}
        with self.engine.begin() as connection:
            connection.execute(WORKERS.insert().values(**row, seen=time.time()))
        self.thread = threading.Thread(target=self._beat, name="nasopt-owner", daemon=True)
        self.thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None
    ) -> None:
        self.gone.set()
        self.thread.join()
        try:
            with self.engine.begin() as connection:
                connection.execute(WORKERS.delete().where(WORKERS.c.token == self.token))
        except Exception:
            if error is None:  # else that one is what the user must read, a full disk say
                raise
        finally:
            self.lease.unlink(missing_ok=True)
            self.file.close()
            _held.discard(str(self.lease))

    def _beat(self) -> None:
        while not self.gone.wait(BEAT_SECONDS):
            try:
                with self.engine.begin() as connection:
                    mine = WORKERS.c.token == self.token
                    connection.execute(WORKERS.update().where(mine).values(seen=time.time()))
            except Exception as error:  # the training goes on; the next beat may get through
                reason = str(error).splitlines()[0]
                logger.warning("the worker's row could not be refreshed (%s)", reason)


def living(connection: sa.Connection, tokens: Iterable[str]) -> set[str]:
    """Those of `tokens` whose workers must be taken for alive."""
    rows = connection.execute(sa.select(WORKERS).where(WORKERS.c.token.in_(list(tokens))))
    return {row.token for row in rows if _lives(row.host, Path(row.lease), row.seen)}


def forget_dead(engine: sa.Engine) -> None:
    """Remove the rows and lease files that killed workers of this host left behind."""
    with engine.begin() as connection:
        rows = connection.execute(sa.select(WORKERS)).all()
        for row in rows:
            if row.host == socket.gethostname() and not _lives(row.host, Path(row.lease), row.seen):
                Path(row.lease).unlink(missing_ok=True)
                connection.execute(WORKERS.delete().where(WORKERS.c.token == row.token))


def _lives(host: str, lease: Path, seen: float) -> bool:
    if host != socket.gethostname():
        return time.time() - seen < SILENCE_SECONDS
    if str(lease) in _held:
        return True
    try:
        with lease.open("r+") as file:
            fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except FileNotFoundError:
        return False
    except BlockingIOError:
        return True
    except PermissionError:  # another user's: the row is all that can be read
        return time.time() - seen < SILENCE_SECONDS
    return False


def default_folder(database: Path | None) -> Path:
    """Where leases go: beside a database file, else in this host's folder for such things."""
    if database is not None:
        return database.with_name(f"{database.name}.leases")
    return Path(tempfile.gettempdir()) / f"nasopt-leases-{os.getuid()}"
