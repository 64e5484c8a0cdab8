"""What a database must be to be opened: URLs, the soundness of files, and errors in words."""

import os
import sqlite3
from contextlib import closing
from pathlib import Path
from urllib.parse import quote

import sqlalchemy as sa

from nasopt.columns import Unsound, refuse_other_values, refuse_what_runs, tables_of
from nasopt.errors import StorageError

SCHEMA = "v3.2.0.a"  # of Optuna 4 and 5
TABLES = {"studies", "trials", "version_info", "alembic_version"}  # by which a file is Optuna's
LONGEST = 2**26  # bytes of a text: what is longer is no attribute of anybody's
BUSY_SECONDS = 120  # how long a statement waits while another process writes


def storage_url(location: str | Path) -> str:
    """The SQLAlchemy URL of a path or URL. Raises StorageError for other kinds of database."""
    if not isinstance(location, str | os.PathLike):
        raise StorageError(
            f"storage: a {type(location).__name__}, but nasopt opens databases itself; "
            "give the path or URL as a string, as in runs/x.db"
        )
    text = str(location)
    if "://" not in text:
        if not text or text == ":memory:":
            raise StorageError(f"storage={text!r}: give the path of a file, as in runs/x.db")
        text = os.path.expanduser(text)
        return sa.URL.create("sqlite", database=text).render_as_string()  # "#", "?", "%"
    try:
        url = sa.make_url(text)
        if url.get_backend_name() not in ("sqlite", "postgresql"):
            shown = url.render_as_string()  # without its password
            raise StorageError(f"storage={shown}: use a file (SQLite) or postgresql://...")
        if url.drivername == "postgresql":  # SQLAlchemy 2.0 would take psycopg2, 2.1 takes psycopg
            url = url.set(drivername="postgresql+psycopg")
        url.get_dialect()
    except (sa.exc.ArgumentError, ValueError) as error:
        raise StorageError(f"storage={text}: no path and no URL; use runs/x.db, say") from error
    if url.get_backend_name() == "sqlite" and url.database in (None, "", ":memory:"):
        raise StorageError(f"storage={text}: give the path of a file, as in runs/x.db")
    return url.render_as_string(hide_password=False)


def shown_url(location: str) -> str:
    """A path or URL as it may be printed: without its password."""
    return sa.make_url(location).render_as_string() if "://" in location else location


def file_of(url: str) -> Path | None:
    parsed = sa.make_url(url)
    return Path(str(parsed.database)) if parsed.get_backend_name() == "sqlite" else None


def is_writable(path: Path) -> bool:
    return os.access(path, os.W_OK)


def has_wal(path: Path) -> bool:
    """Whether some of it is in a -wal; an empty one counts where somebody may write to it."""
    wal = path.with_name(f"{path.name}-wal")
    return wal.exists() and (wal.stat().st_size > 0 or is_writable(path.parent))


def inspect(path: Path) -> None:
    """Raise StorageError unless `path` is a sound database of this Optuna; change nothing."""
    if not os.access(path, os.R_OK):
        raise StorageError(
            f"storage={path}: cannot be read (Permission denied); change its permissions"
        )
    writing = has_wal(path)
    try:
        _inspect(path, writing)
    except StorageError:
        if writing or not has_wal(path):
            raise
        _inspect(path, True)  # a worker began to write while it was read as if nobody did


def _inspect(path: Path, writing: bool) -> None:
    begin_anew = "move it away, or name another with --storage"
    if path.is_dir():
        raise StorageError(f"storage={path}: a folder; name a file in it, as in {path}/x.db")
    # Only SQLite may open the file: to close it by other means would drop the locks of whatever
    # connection this process has, and let another process remove the -wal that it writes to.
    if not path.stat().st_size:
        raise StorageError(f"storage={path}: an empty file; {begin_anew}")
    how = "mode=ro" if writing else "immutable=1"  # mode=ro would leave a -wal behind
    try:
        url = f"file:{quote(str(path))}?{how}"
        with closing(sqlite3.connect(url, uri=True, timeout=BUSY_SECONDS)) as db:
            ((pages,),) = db.execute("PRAGMA page_count")
            ((page_size,),) = db.execute("PRAGMA page_size")
            if not writing and path.stat().st_size < pages * page_size:
                raise StorageError(f"storage={path}: truncated; restore a copy, or {begin_anew}")
            db.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, LONGEST)
            if not tables_of(db) >= TABLES:
                raise StorageError(f"storage={path}: another program's database; {begin_anew}")
            refuse_what_runs(db)
            schemas = [each for (each,) in db.execute("SELECT version_num FROM alembic_version")]
            sound = db.execute("PRAGMA quick_check(1)").fetchone()[0] == "ok"
            if sound and schemas == [SCHEMA]:
                refuse_other_values(db)
    except Unsound as error:
        raise StorageError(
            f"storage={path}: damaged ({error}); restore a copy, or {begin_anew}"
        ) from error
    except sqlite3.DatabaseError as error:
        if "not a database" in str(error):
            raise StorageError(f"storage={path}: no SQLite database; {begin_anew}") from error
        if writing and not is_writable(path.parent):  # SQLite would make a -shm beside it
            raise StorageError(
                f"storage={path}: a killed run left a part of it in {path.name}-wal, which "
                "cannot be read in a folder that is read-only; copy both to another"
            ) from error
        raise StorageError(
            f"storage={path}: damaged ({error}); restore a copy, or {begin_anew}"
        ) from error
    if not sound:
        raise StorageError(f"storage={path}: damaged; restore a copy, or {begin_anew}")
    if not schemas:
        raise StorageError(
            f"storage={path}: damaged (it has no schema version); restore a copy, or {begin_anew}"
        )
    if schemas != [SCHEMA]:
        raise other_schema(str(path))


def other_schema(name: str) -> StorageError:
    url = name if "://" in name else f"sqlite:///{name}"
    return StorageError(
        f"storage={name}: made by another version of Optuna; "
        f"run: optuna storage upgrade --storage {url}"
    )


def name_error(context: sa.engine.ExceptionContext) -> None:
    """Turn what a user can mend at run time into a line; the rest stays a traceback."""
    reason = str(context.original_exception)
    line = (reason.strip() or type(context.original_exception).__name__).splitlines()[0]
    for sign, remedy in (
        ("disk is full", "make room and run the same command again; what was recorded is kept"),
        ("readonly database", "make it writable and run the same command again"),
        ("disk I/O error", "see to the disk (was the file moved?) and run the same command again"),
        ("database is locked", f"another program has held it for {BUSY_SECONDS} s; close that"),
        ("file is not a database", "the file was overwritten; restore a copy, or name another"),
        ("Could not decode", "the file is damaged; restore a copy, or name another"),
        ("too big", "the file is damaged; restore a copy, or name another"),
        ("malformed", "the file is damaged; restore a copy, or begin anew with another --storage"),
        ("unable to open database file", "was its folder removed? run the same command again"),
        ("server closed the connection", "see to the server and run the same command again"),
        ("could not connect", "see to the server and run the same command again"),
        ("No space left", "make room and run the same command again; what was recorded is kept"),
    ):
        if sign in reason:
            raise StorageError(f"storage: {line}; {remedy}") from context.original_exception
    if context.is_disconnect:
        raise StorageError(
            f"storage: {line}; see to the server and run the same command again"
        ) from context.original_exception
