"""`open_storage`: the one place where a database is opened."""

import fcntl
import os
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import sqlalchemy as sa
from optuna.exceptions import StorageInternalError
from optuna.storages._rdb import models

from nasopt.errors import StorageError
from nasopt.storage import latencies, leases, ledger, looks
from nasopt.storage.attributes import FREE
from nasopt.storage.database import (
    BUSY_SECONDS,
    LONGEST,
    TABLES,
    beside,
    explained,
    file_of,
    file_uri,
    has_wal,
    has_writable_folder,
    inspect,
    is_writable,
    mark,
    name_error,
    other_schema,
    shown_url,
    storage_url,
)
from nasopt.storage.locks import Locks, file_locks, server_locks
from nasopt.storage.patience import patience_seconds
from nasopt.storage.rdb import Storage
from nasopt.storage.reading import STUDIES, TRIALS
from nasopt.text import RUN_AGAIN, installing

CONNECT_SECONDS = 10  # until a server that does not answer is given up
SILENT_SECONDS = 60  # until one that no longer acknowledges what it is sent is

# What a worker asks of every trial must not take longer as the study grows.
INDICES = (
    "CREATE INDEX IF NOT EXISTS nasopt_state ON trials (study_id, state)",
    "CREATE INDEX IF NOT EXISTS nasopt_number ON trials (study_id, number)",
    "CREATE INDEX IF NOT EXISTS nasopt_free ON trial_user_attributes (trial_id) "
    f"WHERE key = '{FREE}'",
)

_making = threading.Lock()  # the lock of a file is one for all threads of a process


class _Limited(sqlite3.Connection):
    """A connection without texts that take all memory, and without code of a stranger's schema."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, LONGEST)
        self.execute("PRAGMA trusted_schema=OFF")


class _Existing(_Limited):
    """A connection to a file that is there.

    SQLite's own would make one in the place of a file that was moved, and an empty file beside a
    -wal spoils both.
    """

    def __init__(self, database: str, **kwargs: Any) -> None:
        super().__init__(f"{file_uri(Path(database))}?mode=rw", uri=True, **kwargs)


class _Connection(_Existing):
    """A connection in WAL mode: readers and the one writer do not wait for each other.

    That is 1.7x the throughput; with NORMAL a power cut may cost the last commits, a kill none.
    """

    def __init__(self, database: str, **kwargs: Any) -> None:
        super().__init__(database, **kwargs)
        self.execute("PRAGMA journal_mode=WAL")
        self.execute("PRAGMA synchronous=NORMAL")


def open_storage(
    location: str | Path, mode: Literal["create", "write", "read"] = "create"
) -> Storage:
    """Open the database at a path or SQLAlchemy URL (SQLite or PostgreSQL).

    "create" makes a file that is not there, "write" and "read" need an existing one; "read" neither
    writes nor makes anything. A database that cannot be used is left as it was, byte for byte.

    Raises StorageError: missing, empty, damaged, another program's, of another Optuna's schema,
    read-only, a server that refuses, a driver that is not installed. Any later use raises
    one, too, once the file was moved, removed or replaced.
    """
    url = storage_url(location)
    path = file_of(url)
    if path is None:
        patience_seconds()  # a wrong one is told before anything is begun
        return _connect(url, _patience(url), str(location), mode)
    name = str(path)
    if _is_there(path):
        inspect(path)
    else:
        _refuse_left_over(path)
        if mode != "create":
            remedy = "look for the path that a run printed"
            raise StorageError(f"storage={name}: no such file; {remedy}")
        _make(path)
    if mode == "read":
        writable = is_writable(path) and has_writable_folder(path)
        if not writable and not has_wal(path):
            url = sa.URL.create(
                "sqlite", database=file_uri(path), query={"immutable": "1", "uri": "true"}
            ).render_as_string()
            return _connect(url, {"timeout": BUSY_SECONDS, "factory": _Limited}, name, mode)
        return _connect(url, {"timeout": BUSY_SECONDS, "factory": _Existing}, name, mode)
    if not is_writable(path) or not has_writable_folder(path):
        other = "look on with --read-only" if mode == "write" else "name another with --storage"
        raise StorageError(f"storage={name}: read-only; change its permissions, or {other}")
    return _connect(url, {"timeout": BUSY_SECONDS, "factory": _Connection}, name, mode)


def _is_there(path: Path) -> bool:
    try:
        path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return False
    except PermissionError:  # of its folder
        pass
    except OSError as error:  # a name that is too long, a link to itself
        raise StorageError(
            f"storage={path}: cannot be used ({error.strerror}); choose another --storage"
        ) from error
    return True


def _refuse_left_over(path: Path) -> None:
    """Raise StorageError if SQLite would add the left-over writes of a file that is gone.

    It takes a -wal or -journal for that of the next file of the name: the new database is malformed
    or holds the old studies.
    """
    for end in ("-wal", "-journal"):
        left = beside(path, end)
        if _is_there(left) and left.stat().st_size and not _is_there(path):
            others = f"{left} and {beside(path, '-shm')}" if end == "-wal" else left
            raise StorageError(
                f"storage={path}: no such file, but {left} has what was last written to it; "
                f"restore {path} beside it, or remove {others}"
            )


def _connect(url: str, connect_args: dict[str, Any], name: str, mode: str) -> Storage:
    shown = shown_url(name)
    try:
        if "://" in name:
            if mode == "create":
                _make_on_server(url)
            _look_at_server(url, shown)
        storage = Storage(
            url,
            engine_kwargs={"connect_args": connect_args},
            skip_compatibility_check=True,  # of Optuna's, which is slow, and done below
            skip_table_creation=mode == "read",
        )
        if storage.get_current_version() != storage.get_head_version():
            raise other_schema(shown)
        if mode != "read":
            _make_tables(storage)
    except ImportError as error:
        raise StorageError(
            f"storage={shown}: {error.name or error.__cause__.name} is not installed; "  # type: ignore[union-attr]
            f"run: {installing('postgresql')}"
        ) from error
    except (sa.exc.DBAPIError, StorageInternalError) as error:
        cause = error if isinstance(error, sa.exc.DBAPIError) else error.__cause__
        said = explained(cause) if isinstance(cause, sa.exc.DBAPIError) else None
        if said is None:
            raise
        raise StorageError(f"storage={shown}: cannot be opened ({said[0]}); {said[1]}") from error
    if "://" not in name:
        storage.path = Path(name)
        _watch(storage.engine, storage.path.absolute(), writes=mode != "read")
    sa.event.listen(storage.engine, "handle_error", name_error)
    return storage


def _watch(engine: sa.Engine, path: Path, *, writes: bool) -> None:
    """Refuse new transactions once `path` is not the file that was opened.

    SQLite would go on for ever with a file that nobody else can see.
    """
    opened = path.stat()

    def look(connection: sa.Connection) -> None:
        try:
            now = path.stat()
        except (FileNotFoundError, NotADirectoryError):
            what, then = (
                "moved or removed",
                f"put it back, or begin anew: {RUN_AGAIN}",
            )
        except OSError:  # of a mount that fails for a moment, say
            return
        else:
            if os.path.samestat(now, opened):
                return
            what, then = "replaced by another file", f"{RUN_AGAIN} to go on with that"
        if writes:
            _let_go(connection)
        raise StorageError(f"storage={path}: {what} while it was in use; {then}")

    sa.event.listen(engine, "begin", look)


def _let_go(connection: sa.Connection) -> None:
    """Write the content of the -wal into the file, wherever it is now, and leave the -wal empty.

    SQLite does not do so where the file has moved, and would give it to the next file of the name.
    """
    with suppress(sqlite3.Error):
        database: Any = connection.connection.driver_connection
        database.execute("PRAGMA busy_timeout=1000")
        database.execute("PRAGMA wal_checkpoint(TRUNCATE)")


def _patience(url: str) -> dict[str, Any]:
    """Return libpq's options by which a server that is silent is given up; its own wait for ever.

    What the URL or PGCONNECT_TIMEOUT says goes first.
    """
    given = sa.make_url(url)
    if given.get_driver_name() not in ("psycopg", "psycopg2"):
        return {}
    options = {"connect_timeout": CONNECT_SECONDS, "tcp_user_timeout": 1_000 * SILENT_SECONDS}
    if "PGCONNECT_TIMEOUT" in os.environ:
        del options["connect_timeout"]
    return {name: value for name, value in options.items() if name not in given.query}


def _look_at_server(url: str, shown: str) -> None:
    """Raise StorageError unless there are studies; Optuna's own errors would be a traceback."""
    engine = sa.create_engine(url, poolclass=sa.NullPool, connect_args=_patience(url))
    if not set(sa.inspect(engine).get_table_names()) >= TABLES:
        raise StorageError(f"storage={shown}: no studies in it; look for the URL that a run used")


def _make_on_server(url: str) -> None:
    """Make the tables, one worker at a time: PostgreSQL does not order two that begin at once."""
    patience = _patience(url)
    engine = sa.create_engine(url, poolclass=sa.NullPool, connect_args=patience)
    with engine.connect() as connection:
        connection.execute(sa.text("SELECT pg_advisory_lock(7230415)"))  # until it closes
        if not set(sa.inspect(engine).get_table_names()) >= TABLES:
            storage = Storage(
                url, engine_kwargs={"connect_args": patience}, skip_compatibility_check=True
            )
            _make_tables(storage)
            storage.remove_session()
            storage.engine.dispose()


def _make_tables(storage: Storage) -> None:
    """Make our own tables, and our indices of Optuna's, if they are missing; remove orphans."""
    with storage.engine.begin() as connection:
        if connection.dialect.name == "postgresql":  # it does not order two that begin at once
            connection.execute(sa.text("SELECT pg_advisory_xact_lock(7230416)"))
        for tables in (leases.TABLES, ledger.TABLES, looks.TABLES, latencies.TABLES):
            tables.create_all(connection)
        for index in INDICES:
            connection.execute(sa.text(index))
        _clear_orphans(connection)
        if connection.dialect.name == "sqlite":
            mark(connection)


def _make(path: Path) -> None:
    """Make an empty database under another name, then move it into place.

    A kill in between leaves no half-made database, and of workers that begin at once one makes it.
    """
    place = path.resolve() if path.is_symlink() else path  # it leads nowhere yet
    draft = place.with_name(f".{place.name}.nasopt-draft")
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        with _alone(place):
            _remove(draft)  # of one that was killed
            if _is_there(place):
                return
            try:
                storage = Storage(storage_url(draft), skip_compatibility_check=True)
                _make_tables(storage)
                storage.remove_session()
                storage.engine.dispose()
                draft.replace(place)
            finally:
                _remove(draft)
    except (OSError, sa.exc.OperationalError) as error:
        reason = error.strerror if isinstance(error, OSError) else error.orig
        raise StorageError(
            f"storage={path}: cannot be made ({reason}); choose another --storage"
        ) from error


@contextmanager
def _alone(path: Path) -> Iterator[None]:
    """Hold a lock, so that one process at a time makes `path`.

    A link could not tell who was first on exFAT and others.
    SQLite needs the same kind of lock: without it, no database can be made either.
    """
    lock = path.with_name(f"{path.name}.making")
    with _making, lock.open("w") as file:
        fcntl.lockf(file, fcntl.LOCK_EX)
        yield
        lock.unlink(missing_ok=True)  # whoever locks another of this name finds `path` there


def _remove(draft: Path) -> None:
    for end in ("", "-journal"):
        draft.with_name(draft.name + end).unlink(missing_ok=True)


@dataclass(frozen=True)
class Folders:
    """The folders of a database; `weights` has networks that are trained to their end."""

    checkpoints: Path
    weights: Path
    leases: Path


def folders(storage: Storage) -> Folders:
    """Return the folders beside a database file; a server's are in the working folder.

    With NASOPT_CHECKPOINTS, the first two are in that. Leases of a server are with the user's.
    One file has one of each, under whatever links it is reached.
    """
    file = storage.path and storage.path.resolve()
    beside = file.parent if file is not None else Path()
    name = file.name if file is not None else sa.make_url(storage.url).database
    place = Path(os.environ.get("NASOPT_CHECKPOINTS") or beside).expanduser()
    return Folders(place / f"{name}.checkpoints", place / f"{name}.weights", storage.leases)


def locks_of(storage: Storage) -> Locks:
    """Return the locks of the database: of all hosts that use a server, or of one file."""
    if storage.path is not None:
        return file_locks(storage.leases / "locks")
    engine = sa.create_engine(
        storage.url,
        poolclass=sa.NullPool,
        isolation_level="AUTOCOMMIT",
        connect_args=_patience(storage.url),
    )
    sa.event.listen(engine, "handle_error", name_error)
    return server_locks(engine)


def _clear_orphans(connection: sa.Connection) -> None:
    """Remove the rows that belong to no study or trial any more.

    SQLite checks no foreign keys, and gives the ids of what was deleted again: the trials that a
    worker made of a deleted study would be those of the next one.
    """
    studies = sa.select(STUDIES.c.study_id)
    lost = sa.select(TRIALS.c.trial_id).where(TRIALS.c.study_id.not_in(studies))
    for table in reversed(models.BaseModel.metadata.sorted_tables):  # a trial after what it has
        for key in table.foreign_keys:
            newest = sa.select(sa.func.coalesce(sa.func.max(key.column), 0)).scalar_subquery()
            orphan = key.parent > newest
            if key.parent.name == "trial_id":
                orphan |= key.parent.in_(lost)
            elif table is TRIALS:
                orphan = TRIALS.c.trial_id.in_(lost)
            if connection.execute(sa.select(sa.exists().where(orphan))).scalar():
                connection.execute(sa.delete(table).where(orphan))
