"""`open_storage`: the one place where a database is opened."""

import os
import sqlite3
import uuid
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal
from urllib.parse import quote

import sqlalchemy as sa
from optuna.exceptions import StorageInternalError

from nasopt import ledger, owners
from nasopt.claims import INDICES, Storage
from nasopt.database import (
    BUSY_SECONDS,
    TABLES,
    explained,
    file_of,
    inspect,
    is_writable,
    name_error,
    other_schema,
    shown_url,
    storage_url,
)
from nasopt.errors import StorageError
from nasopt.locks import Locks, file_locks, server_locks


class _Connection(sqlite3.Connection):
    """WAL: readers and the one writer do not wait for each other (1.7x the throughput); with
    NORMAL a power cut may cost the last commits, a kill none."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.execute("PRAGMA journal_mode=WAL")
        self.execute("PRAGMA synchronous=NORMAL")


def open_storage(
    location: str | Path, mode: Literal["create", "write", "read"] = "create"
) -> Storage:
    """Open the database at a path or SQLAlchemy URL (SQLite or PostgreSQL).

    "create" makes a file that is not there, "write" and "read" want it there; "read" neither
    writes nor makes anything. What cannot be used is left as it was, byte for byte.

    Raises StorageError: missing, empty, damaged, another program's, of another Optuna's schema,
    read-only, a server that refuses, a driver that is not installed.
    """
    url = storage_url(location)
    path = file_of(url)
    if path is None:
        return _connect(url, {}, str(location), mode)
    name = str(path)
    if _is_there(path):
        inspect(path)
    elif mode == "create":
        _make(path)
    else:
        raise StorageError(f"storage={name}: no such file; look for the path that a run printed")
    if mode == "read":
        writable = is_writable(path) and is_writable(path.parent)
        if not writable and not path.with_name(path.name + "-wal").exists():
            url = sa.URL.create(
                "sqlite", database=f"file:{quote(name)}", query={"immutable": "1", "uri": "true"}
            ).render_as_string()
        return _connect(url, {"timeout": BUSY_SECONDS}, name, mode)
    if not is_writable(path) or not is_writable(path.parent):
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
    return True


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
            skip_table_creation=mode == "read",
        )
        if mode != "read":
            _make_tables(storage)
    except ImportError as error:
        raise StorageError(
            f"storage={shown}: {error.name or error.__cause__.name} is not installed; "  # type: ignore[union-attr]
            "run: pip install 'nasopt[postgresql]'"
        ) from error
    except (sa.exc.DBAPIError, StorageInternalError) as error:
        cause = error if isinstance(error, sa.exc.DBAPIError) else error.__cause__
        said = explained(cause) if isinstance(cause, sa.exc.DBAPIError) else None
        if said is None:
            raise
        raise StorageError(f"storage={shown}: cannot be opened ({said[0]}); {said[1]}") from error
    except RuntimeError as error:  # Optuna's: the schema of another version
        raise other_schema(shown) from error
    storage.path = None if "://" in name else Path(name)
    sa.event.listen(storage.engine, "handle_error", name_error)
    return storage


def _look_at_server(url: str, shown: str) -> None:
    """Raise StorageError unless there are studies; Optuna's own errors would be a traceback."""
    engine = sa.create_engine(url, poolclass=sa.NullPool)
    if not set(sa.inspect(engine).get_table_names()) >= TABLES:
        raise StorageError(f"storage={shown}: no studies in it; look for the URL that a run used")


def _make_on_server(url: str) -> None:
    """Make the tables, one worker at a time: PostgreSQL does not order two that begin at once."""
    engine = sa.create_engine(url, poolclass=sa.NullPool)
    with engine.connect() as connection:
        connection.execute(sa.text("SELECT pg_advisory_lock(7230415)"))  # until it closes
        if not set(sa.inspect(engine).get_table_names()) >= TABLES:
            storage = Storage(url)
            _make_tables(storage)
            storage.remove_session()
            storage.engine.dispose()


def _make_tables(storage: Storage) -> None:
    """Our own, and our indices of Optuna's, where they are not there yet."""
    with storage.engine.begin() as connection:
        if connection.dialect.name == "postgresql":  # it does not order two that begin at once
            connection.execute(sa.text("SELECT pg_advisory_xact_lock(7230416)"))
        for tables in (owners.TABLES, ledger.TABLES):
            tables.create_all(connection)
        for index in INDICES:
            connection.execute(sa.text(index))


def _make(path: Path) -> None:
    """Make an empty database under a name of its own, then link it in place.

    A kill in between leaves no half-made file, and of two workers that begin at once one wins.
    """
    draft = path.with_name(f"{path.name}.{uuid.uuid4().hex}.new")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        storage = Storage(storage_url(draft))
        _make_tables(storage)
        storage.remove_session()
        storage.engine.dispose()
        with suppress(FileExistsError):  # another worker's is as good
            os.link(draft, path)
    except (OSError, sa.exc.OperationalError) as error:
        reason = error.strerror if isinstance(error, OSError) else error.orig
        raise StorageError(
            f"storage={path}: cannot be made ({reason}); choose another --storage"
        ) from error
    finally:
        for left in (draft, draft.with_name(f"{draft.name}-journal")):
            with suppress(OSError):
                left.unlink()


@dataclass(frozen=True)
class Folders:
    """What lies beside a database."""

    checkpoints: Path
    leases: Path


def folders(storage: Storage) -> Folders:
    """Beside a database file; for a server in the working folder, and leases with the user's.

    One file has one of each, under whatever links it is reached.
    """
    file = storage.path and storage.path.resolve()
    if file is None:
        name = sa.make_url(storage.url).database
        return Folders(Path(f"{name}.checkpoints"), storage.leases)
    return Folders(file.with_name(f"{file.name}.checkpoints"), storage.leases)


def locks_of(storage: Storage) -> Locks:
    """Names of which one process holds each: of all hosts that use a server, or of one file."""
    if storage.path is not None:
        return file_locks(storage.leases / "locks")
    engine = sa.create_engine(storage.url, poolclass=sa.NullPool, isolation_level="AUTOCOMMIT")
    sa.event.listen(engine, "handle_error", name_error)
    return server_locks(engine)
