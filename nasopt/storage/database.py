"""The requirements on a database: URLs, the soundness of files, and errors in words."""

import os
import re
import secrets
import sqlite3
from contextlib import closing
from pathlib import Path
from urllib.parse import quote

import sqlalchemy as sa

from nasopt.errors import StorageError, Unavailable
from nasopt.storage.columns import Unsound, refuse_other_values, refuse_what_runs, tables_of
from nasopt.text import RUN_AGAIN

SCHEMA = "v3.2.0.a"  # of Optuna 4 and 5
TABLES = {"studies", "trials", "version_info", "alembic_version"}  # by which a file is Optuna's
LONGEST = 2**26  # bytes of a text: what is longer is no attribute of anybody's
# No match begins within a word: a name of a megabyte would be searched from each letter on.
URL = re.compile(r"(?<![\w+])[\w+]+://")
IN_TEXT = re.compile(r"(?<![\w+])[\w+]+:/{1,2}(?:[^/\s:@]*:[^@\n]*@)?\S+?(?=[:;,.]?(?:\s|$))")
NO_PATH = re.compile(r"postgres(ql)?[\w+]*:|.*\bpassword *=")  # a URL or libpq's words, mistyped
SECRET = re.compile(r"pass(?!file)|pwd|secret|token|scram", re.IGNORECASE)  # options of libpq
BUSY_SECONDS = 120  # how long a statement waits while another process writes


def storage_url(location: str | Path) -> str:
    """Return the SQLAlchemy URL of a path or URL.

    Raises StorageError for other kinds of database.
    """
    if not isinstance(location, str | os.PathLike):
        raise StorageError(
            f"storage: a {type(location).__name__}, but nasopt opens databases itself; "
            "give the path or URL as a string, as in runs/x.db"
        )
    text = str(location)
    shown = shown_url(text)
    if "://" not in text:
        if not text or text == ":memory:":
            raise StorageError(f"storage={text!r}: give the path of a file, as in runs/x.db")
        if NO_PATH.match(text):
            raise StorageError("storage: no path and no URL; use postgresql://user@host/database")
        text = os.path.expanduser(text)
        try:
            text.encode()
        except UnicodeEncodeError:
            told = text.encode(errors="backslashreplace").decode()
            raise StorageError(
                f"storage={told}: its name is no UTF-8; rename it, or choose another --storage"
            ) from None
        return sa.URL.create("sqlite", database=text).render_as_string()  # "#", "?", "%"
    try:
        url = _parsed(text)
        if url.get_backend_name() not in ("sqlite", "postgresql"):
            raise StorageError(f"storage={shown}: use a file (SQLite) or postgresql://...")
        if url.drivername == "postgresql":  # SQLAlchemy 2.0 would take psycopg2, 2.1 takes psycopg
            url = url.set(drivername="postgresql+psycopg")
        url.get_dialect()
    except (sa.exc.ArgumentError, ValueError):  # which repeats a password
        remedy = (
            "write the port as a number, and @ in a password as %40"
            if text.startswith("postgresql")
            else "use runs/x.db, say"
        )
        raise StorageError(f"storage={shown}: no path and no URL; {remedy}") from None
    if url.get_backend_name() == "sqlite" and url.database in (None, "", ":memory:"):
        raise StorageError(f"storage={shown}: give the path of a file, as in runs/x.db")
    return url.render_as_string(hide_password=False)


def _parsed(text: str) -> sa.URL:
    """Return the URL; raise ArgumentError or ValueError if part of a password is misread."""
    url = sa.make_url(text)
    if "@" in (url.host or "") or re.search(r"/.*\?.*=", url.password or ""):
        raise ValueError("an @ in the password")
    return url


def shown_url(location: str) -> str:
    """Return a path or URL as it may be printed and stored: without its passwords.

    It still opens the database where PGPASSWORD or ~/.pgpass gives the password.
    """
    found = URL.search(location)
    if found is None:
        return location
    before, text = location[: found.start()], location[found.start() :]  # as in "ledger:"
    try:
        url = _parsed(text)
    except (sa.exc.ArgumentError, ValueError):
        return f"{before}{found[0]}..." if "@" in text or "?" in text else location
    secret = [name for name in url.query if SECRET.search(name)]
    if url.password is None and not secret:
        return location
    bare = sa.URL.create(
        url.drivername, url.username, None, url.host, url.port, url.database, url.query
    )
    return before + bare.difference_update_query(secret).render_as_string()


def without_passwords(text: str) -> str:
    """Return `text` with each URL in it as by `shown_url`; `Path` makes one slash of two."""

    def shown(found: re.Match[str]) -> str:
        url = found[0].replace(":/", "://", 1) if "://" not in found[0] else found[0]
        return found[0] if shown_url(url) == url else shown_url(url)

    return IN_TEXT.sub(shown, text)


def password_hint(location: str) -> str:
    """Return the source of a password that `shown_url` leaves out of commands; "" if none is."""
    if shown_url(location) == location:
        return ""
    return "The password is left out: PGPASSWORD or ~/.pgpass gives it."


def file_of(url: str) -> Path | None:
    parsed = sa.make_url(url)
    return Path(str(parsed.database)) if parsed.get_backend_name() == "sqlite" else None


def is_writable(path: Path) -> bool:
    return os.access(path, os.W_OK)


def has_writable_folder(path: Path) -> bool:
    """Return whether files can be made beside `path`, or beside what it links to."""
    return is_writable(path.resolve().parent)


def beside(path: Path, end: str) -> Path:
    """Return the file that SQLite has beside `path`, or beside what it links to: a -wal, say."""
    file = path.resolve()
    return file.with_name(file.name + end)


def file_uri(path: Path) -> str:
    """Return the URI of a file; SQLite would take for a host what follows two slashes."""
    return f"file://{quote(os.fsencode(path.absolute()))}"


def has_wal(path: Path) -> bool:
    """Return True if some of it is in a -wal; an empty one counts if somebody may write to it."""
    wal = beside(path, "-wal")
    return wal.exists() and (wal.stat().st_size > 0 or has_writable_folder(path))


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


def _refuse_foreign_wal(path: Path, db: sqlite3.Connection) -> None:
    """Raise StorageError if the -wal is that of another database, whose studies would be shown.

    It is left by a kill, and `path` was put in the place of its database. SQLite would add the one
    to the other; each database of nasopt's has a number of its own in its header, see `mark`.
    """
    with closing(sqlite3.connect(f"{file_uri(path)}?immutable=1", uri=True)) as alone:
        own, together = (each.execute("PRAGMA user_version").fetchone()[0] for each in (alone, db))
    if own not in (0, together):  # 0 of a file that none but an older version has written to
        wal, shm = beside(path, "-wal"), beside(path, "-shm")
        raise StorageError(
            f"storage={path}: {wal.name} beside it was left by another database of that name; "
            f"put that one back in its place, or move {wal} and {shm} away"
        )


def mark(connection: sa.Connection) -> None:
    """Write the number of a database, a new one if it has none, so that its -wal has it, too."""
    known = connection.exec_driver_sql("PRAGMA user_version").scalar()
    number = known or 1 + secrets.randbelow(2**31 - 1)
    connection.exec_driver_sql(f"PRAGMA user_version = {number}")


def _inspect(path: Path, writing: bool) -> None:
    begin_anew = "move it away, or name another with --storage"
    restore = f"restore a copy, or {begin_anew}"
    if path.is_dir():
        raise StorageError(f"storage={path}: a folder; name a file in it, as in {path}/x.db")
    # Only SQLite may open the file: to close it by other means would drop the locks of whatever
    # connection this process has, and let another process remove the -wal that it writes to.
    if not path.stat().st_size:
        raise StorageError(f"storage={path}: an empty file; {begin_anew}")
    how = "mode=ro" if writing else "immutable=1"  # mode=ro would leave a -wal behind
    try:
        url = f"{file_uri(path)}?{how}"
        with closing(sqlite3.connect(url, uri=True, timeout=BUSY_SECONDS)) as db:
            if writing:
                _refuse_foreign_wal(path, db)
            elif path.stat().st_size < _size_of(db):
                raise StorageError(f"storage={path}: truncated; {restore}")
            db.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, LONGEST)
            if not tables_of(db) >= TABLES:
                raise StorageError(f"storage={path}: another program's database; {begin_anew}")
            schemas = _schemas_of(db)
    except Unsound as error:
        raise StorageError(f"storage={path}: damaged ({error}); {restore}") from error
    except sqlite3.DatabaseError as error:
        if "not a database" in str(error):
            raise StorageError(f"storage={path}: no SQLite database; {begin_anew}") from error
        if writing and not has_writable_folder(path):  # SQLite would make a -shm beside it
            raise StorageError(
                f"storage={path}: a killed run left a part of it in {path.name}-wal, which "
                "cannot be read in a folder that is read-only; copy both to another"
            ) from error
        raise StorageError(f"storage={path}: damaged ({error}); {restore}") from error
    if not schemas:
        raise StorageError(f"storage={path}: damaged (it has no schema version); {restore}")
    if schemas != [SCHEMA]:
        raise other_schema(str(path))


def _size_of(db: sqlite3.Connection) -> int:
    """Return the number of bytes that the header of a database says it has."""
    ((pages,),) = db.execute("PRAGMA page_count")
    ((page_size,),) = db.execute("PRAGMA page_size")
    return int(pages * page_size)


def _schemas_of(db: sqlite3.Connection) -> list[str]:
    """Return the versions of Optuna's schema that a database says it has: one, if it is sound.

    Raises Unsound if its pages are damaged, or its tables have what no Optuna wrote.
    """
    refuse_what_runs(db)
    schemas = [each for (each,) in db.execute("SELECT version_num FROM alembic_version")]
    if db.execute("PRAGMA quick_check(1)").fetchone()[0] != "ok":
        raise Unsound("its pages contradict each other")
    if schemas == [SCHEMA]:
        refuse_other_values(db)
    return schemas


def other_schema(name: str) -> StorageError:
    url = name if "://" in name else f"sqlite:///{name}"
    return StorageError(
        f"storage={name}: made by another version of Optuna; "
        f"run: optuna storage upgrade --storage {url}"
    )


def name_error(context: sa.engine.ExceptionContext) -> None:
    """Turn errors that a user can fix at run time into a line; the rest stay tracebacks."""
    reason = context.sqlalchemy_exception
    if not isinstance(reason, sa.exc.DBAPIError) or (said := explained(reason)) is None:
        return
    what, remedy = f"storage: {said[0]}", said[1]
    if _may_pass(reason, remedy):
        raise Unavailable(what, remedy) from context.original_exception
    raise StorageError(f"{what}; {remedy}") from context.original_exception


def _may_pass(error: sa.exc.DBAPIError, remedy: str) -> bool:
    """Return True for an error of a server that waiting may help against: no SQLite has one.

    A transaction that was chosen to end a deadlock is one, a server that was replaced by its
    standby another. What somebody has to correct is none.
    """
    if isinstance(error.orig, sqlite3.Error):
        return False
    return remedy in PASSING


def explained(error: sa.exc.DBAPIError) -> tuple[str, str] | None:
    """Return a database's error in a line, and the remedy; None for mistakes of ours.

    Every operational error of PostgreSQL is one; SQLite uses the term for mistakes in SQL, too.
    """
    reason = str(error.orig).strip() or type(error.orig).__name__
    line = reason.splitlines()[0].rstrip(":")
    state = getattr(error.orig, "sqlstate", None) or ""
    for sign, remedy in REMEDIES:
        if sign in reason or sign == state:
            return line, remedy
    of_server = not isinstance(error.orig, sqlite3.Error)
    if of_server and (error.connection_invalidated or isinstance(error, sa.exc.OperationalError)):
        return line, SEE_TO_IT
    return None


SEE_TO_IT = f"see to the server and {RUN_AGAIN}"
CROWDED = f"use fewer workers, or wait, and {RUN_AGAIN}"
OF_STANDBY = "the server only takes reads; name the one that takes writes"
OF_NETWORK = "correct the host and the port, or see to the network"
PASSING = (SEE_TO_IT, CROWDED, OF_STANDBY, OF_NETWORK)  # remedies of what may pass by itself


REMEDIES = (  # what a message has in it, or its SQLSTATE
    ("disk is full", f"make room and {RUN_AGAIN}; what was recorded is kept"),
    ("No space left", f"make room and {RUN_AGAIN}; what was recorded is kept"),
    ("readonly database", f"make it writable and {RUN_AGAIN}"),
    ("disk I/O error", f"see to the disk (was the file moved?) and {RUN_AGAIN}"),
    ("database is locked", f"another program has held it for {BUSY_SECONDS} s; close that"),
    ("file is not a database", "the file was overwritten; restore a copy, or name another"),
    ("Could not decode", "the file is damaged; restore a copy, or name another"),
    ("too big", "the file is damaged; restore a copy, or name another"),
    ("malformed", "the file is damaged; restore a copy, or begin anew with another --storage"),
    ("unable to open database file", f"was its folder removed? {RUN_AGAIN}"),
    ("timeout expired", OF_NETWORK),
    ("no password supplied", "give it by PGPASSWORD or ~/.pgpass"),
    ("password authentication failed", "correct it in the URL, PGPASSWORD or ~/.pgpass"),
    ("pg_hba.conf", "add ?sslmode=require to the URL, or have pg_hba.conf let you in"),
    ("invalid connection option", "correct the URL"),
    ('FATAL:  database "', "have it made, or name another"),
    ("too many clients", CROWDED),
    ("too many connections", CROWDED),
    ("connection slots", CROWDED),
    ("25006", OF_STANDBY),
    ("schema public", "have the right to create granted (GRANT CREATE ON SCHEMA public TO ...)"),
    ("42501", "have the right granted, or name another database"),
    ("3F000", "its schema is gone; name another database"),
    ("42P01", f"were its tables removed? {RUN_AGAIN}"),
)
