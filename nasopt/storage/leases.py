"""The leases that tell which worker is on a trial, and whether it still lives.

A worker holds a locked file, its lease, for those who see the same folder, and keeps a row fresh
for all others. The kernel drops a POSIX lock (`lockf`) with the process, however that ends, keeps
it while the process is paused, and does not hand it to forked children as it would one of `flock`.

The row tells where the lease is out of sight: other hosts of a server, a container with folders of
its own. A worker that has not refreshed it for NASOPT_TAKEOVER seconds (default: 120), by the clock
of the server, is taken for dead. The variable is the worker's own: others go by what it has set.
While a server is away nobody can refresh a row: once it is back, all have a moment for that.
"""

import fcntl
import logging
import os
import re
import socket
import stat
import threading
import time
import uuid
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import sqlalchemy as sa

from nasopt.errors import StorageError
from nasopt.storage.locks import unwritable
from nasopt.storage.patience import patient, renew_when_back, seconds_since_back

logger = logging.getLogger("nasopt")

SILENCE_SECONDS = 120.0  # after `seen`, until a worker is taken for dead
BEATS = 4  # updates of a worker's row in the time that it may be silent
TOKEN = re.compile(r"[0-9a-f]{32}")

TABLES = sa.MetaData()
WORKERS = sa.Table(
    "nasopt_workers",
    TABLES,
    sa.Column("token", sa.String(64), primary_key=True),
    sa.Column("host", sa.Text, nullable=False),
    sa.Column("lease", sa.Text, nullable=False),  # for people: no file is ever looked for by it
    sa.Column("seen", sa.Double, nullable=False),  # seconds since 1970, by the server's clock
)

_held: set[str] = set()  # by this process: to open a lease twice and close it would drop the lock


class Owner:
    """One worker, alive from `__enter__` to `__exit__` or to the end of its process.

    `folder` takes the lease file; workers of a database who share it know at once of each other's
    death. With a server it is closed to other users. Raises StorageError if it cannot be used.
    """

    def __init__(self, engine: sa.Engine, folder: Path) -> None:
        self.engine = engine
        self.token = uuid.uuid4().hex
        self.lease = _lease(folder.absolute(), self.token)
        self.silence = takeover_seconds()
        self.gone = threading.Event()

    def __enter__(self) -> Self:
        _make_folder(self.lease.parent, private=self.engine.dialect.name != "sqlite")
        self._take_lease()
        try:
            patient(self._refresh)()
        except BaseException:
            self._drop_lease()
            raise
        self.thread = threading.Thread(target=self._beat, name="nasopt-owner", daemon=True)
        self.thread.start()
        renew_when_back(self)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None
    ) -> None:
        self.gone.set()
        self.thread.join()
        try:
            self._remove_row()
        except Exception:
            if error is None:  # else that one is what the user must read, a full disk say
                raise
        finally:
            self._drop_lease()

    def _take_lease(self) -> None:
        try:
            self.file = os.open(self.lease, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644)
        except OSError as error:
            raise unwritable(self.lease.parent, error) from error
        try:
            fcntl.lockf(self.file, fcntl.LOCK_EX)
        except OSError as error:  # a file system without locks
            self._drop_lease()
            raise unwritable(self.lease.parent, error) from error
        _held.add(self.token)

    def _drop_lease(self) -> None:
        self.lease.unlink(missing_ok=True)
        os.close(self.file)
        _held.discard(self.token)

    def renew(self) -> None:
        if not self.gone.is_set():
            self._refresh()

    @patient
    def _remove_row(self) -> None:
        with self.engine.begin() as connection:
            connection.execute(WORKERS.delete().where(WORKERS.c.token == self.token))

    def _beat(self) -> None:
        is_told = False
        while not self.gone.wait(self.silence / BEATS):
            try:
                self._refresh()
            except Exception as error:  # the training goes on; the next beat may get through
                reason = str(error).splitlines()[0]
                if not is_told:
                    logger.warning("the worker's row could not be refreshed (%s)", reason)
                is_told = True
            else:
                is_told = False

    def _refresh(self) -> None:
        """Write the row anew; it is gone if a worker was silent for too long."""
        with self.engine.begin() as connection:
            row: dict[str, Any] = {
                "host": socket.gethostname(),
                "lease": str(self.lease),
                "seen": _now(connection) + (self.silence - SILENCE_SECONDS),
            }
            mine = WORKERS.c.token == self.token
            if not connection.execute(WORKERS.update().where(mine).values(row)).rowcount:
                connection.execute(WORKERS.insert().values(token=self.token, **row))


def living(connection: sa.Connection, folder: Path, tokens: Iterable[Any]) -> set[str]:
    """Return those of `tokens` whose workers must be taken for alive, by the leases in `folder`.

    It writes nothing.
    """
    known = [token for token in tokens if _is_token(token)]
    if not known:
        return set()
    fresh = (_now(connection) - WORKERS.c.seen < SILENCE_SECONDS) | _is_back_just_now(connection)
    query = sa.select(WORKERS.c.token, WORKERS.c.host, fresh).where(WORKERS.c.token.in_(known))
    rows = {}
    if sa.inspect(connection).has_table(WORKERS.name):  # not in a copy that was never written to
        rows = {token: (host, fresh) for token, host, fresh in connection.execute(query)}
    alive = set()
    for token in known:
        host, is_fresh = rows.get(token, (None, False))
        held = _is_held(_lease(folder, token))
        if not held and connection.dialect.name != "sqlite" and host != socket.gethostname():
            held = None  # what network file systems lock may be locked on one host alone
        if is_fresh if held is None else held:
            alive.add(token)
    return alive


@patient
def forget_dead(engine: sa.Engine, folder: Path) -> None:
    """Remove the rows that dead workers left behind, and their leases in `folder`."""
    with engine.begin() as connection:
        tokens = set(connection.execute(sa.select(WORKERS.c.token)).scalars())
        dead = tokens - living(connection, folder, tokens)
        if dead:
            connection.execute(WORKERS.delete().where(WORKERS.c.token.in_(dead)))
    for token in filter(_is_token, dead):
        with suppress(OSError):  # another user's
            _lease(folder, token).unlink(missing_ok=True)


def _is_back_just_now(connection: sa.Connection) -> sa.ColumnElement[bool]:
    """Return whether a server is back for so short a time that silence says nothing yet."""
    if connection.dialect.name == "sqlite":
        return sa.false()
    moment = takeover_seconds() / BEATS
    if seconds_since_back() < moment:
        return sa.true()
    started = sa.cast(sa.extract("epoch", sa.func.pg_postmaster_start_time()), sa.Double)
    return _now(connection) - started < moment


def takeover_seconds() -> float:
    """Return the seconds of silence after which this process is taken for dead.

    Raises StorageError if that is no time.
    """
    given = os.environ.get("NASOPT_TAKEOVER", "")
    with suppress(ValueError):
        seconds = float(given or SILENCE_SECONDS)
        if 1 <= seconds < float("inf"):
            return seconds
    raise StorageError(f"NASOPT_TAKEOVER={given}: use a number of seconds from 1, 120 say")


def default_folder(database: Path | None) -> Path:
    """Return the folder of leases: beside a database file, else in the user's folder for them.

    One file has one of them, under whatever links it is reached.
    """
    if database is not None:
        file = database.resolve()
        return file.with_name(f"{file.name}.leases")
    state = Path(os.environ.get("XDG_STATE_HOME", ""))
    if not state.is_absolute():  # such a one is to be ignored
        try:
            state = Path("~/.local/state").expanduser()
        except RuntimeError as error:
            raise StorageError(
                "leases: this user has no home folder; set XDG_STATE_HOME to a folder of your own"
            ) from error
    return state / "nasopt" / "leases"


def _make_folder(folder: Path, private: bool) -> None:
    try:
        folder.mkdir(0o700 if private else 0o777, parents=True, exist_ok=True)
        found = folder.lstat()
    except OSError as error:
        raise unwritable(folder, error) from error
    if not private:
        return
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid():
        raise StorageError(
            f"leases={folder}: a link or another user's; remove it, or set XDG_STATE_HOME to a "
            "folder of your own"
        )
    if found.st_mode & 0o077:
        raise StorageError(f"leases={folder}: open to other users; run: chmod 700 {folder}")


def _is_token(token: Any) -> bool:
    return isinstance(token, str) and TOKEN.fullmatch(token) is not None


def _lease(folder: Path, token: str) -> Path:
    return folder / f"{token}.lease"


def _is_held(lease: Path) -> bool | None:
    """Return True if a process has it locked; None if that cannot be told."""
    if lease.stem in _held:
        return True
    try:
        file = os.open(lease, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError:  # out of sight, or another user's
        return None
    try:
        fcntl.lockf(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:  # a file system without locks
        return None
    finally:
        os.close(file)
    return False


def _now(connection: sa.Connection) -> sa.ColumnElement[float]:
    """Return seconds since 1970 by the server's clock, or this host's for a file."""
    if connection.dialect.name == "sqlite":
        return sa.literal(time.time(), sa.Double)
    return sa.cast(sa.extract("epoch", sa.func.clock_timestamp()), sa.Double)
