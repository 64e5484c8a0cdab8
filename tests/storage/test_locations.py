"""Locations of databases: paths and URLs, refused with the remedy, shown without passwords."""

import traceback
from pathlib import Path

import psycopg
import pytest
import sqlalchemy as sa

from nasopt.errors import StorageError
from nasopt.storage.database import (
    file_of,
    password_hint,
    shown_url,
    storage_url,
    without_passwords,
)


@pytest.mark.parametrize(
    "text", ["runs/x.db", "/tmp/a folder/x.db", "ünï.db", "50%.db", "50%20.db", "a#b.db", "w?.db"]
)
def test_the_url_of_a_path_leads_back_to_that_path(text):
    assert file_of(storage_url(text)) == Path(text)
    assert file_of(storage_url(Path(text))) == Path(text)


def test_a_url_of_a_file_is_taken_as_it_is():
    assert storage_url("sqlite:///runs/x.db") == "sqlite:///runs/x.db"
    assert file_of("sqlite:////runs/x.db") == Path("/runs/x.db")


def test_a_server_has_no_file():
    url = storage_url("postgresql+psycopg://me@host/studies")
    assert url == "postgresql+psycopg://me@host/studies"
    assert file_of(url) is None


def test_a_url_that_names_no_driver_gets_the_one_that_the_extra_installs():
    url = sa.make_url(storage_url("postgresql://me:secret@host:99/studies"))
    assert url.set(drivername="postgresql") == sa.make_url("postgresql://me:secret@host:99/studies")
    assert url.get_dialect().driver == "psycopg"
    assert url.get_dialect().import_dbapi() is psycopg


@pytest.mark.parametrize(
    ("location", "message"),
    [
        ("", "storage='': give the path of a file, as in runs/x.db"),
        (":memory:", "storage=':memory:': give the path of a file, as in runs/x.db"),
        ("sqlite://", "storage=sqlite://: give the path of a file, as in runs/x.db"),
        (
            "sqlite:///:memory:",
            "storage=sqlite:///:memory:: give the path of a file, as in runs/x.db",
        ),
        ("mysql://host/x", "storage=mysql://host/x: use a file (SQLite) or postgresql://..."),
        ("http://host/x", "storage=http://host/x: use a file (SQLite) or postgresql://..."),
        ("://x", "storage=://x: no path and no URL; use runs/x.db, say"),
        (
            "postgresql://host:port/x",
            "storage=postgresql://host:port/x: no path and no URL; write the port as a number, "
            "and @ in a password as %40",
        ),
    ],
)
def test_a_location_that_cannot_be_is_refused_with_the_remedy(location, message):
    with pytest.raises(StorageError) as raised:
        storage_url(location)
    assert str(raised.value) == message


def test_a_driver_that_does_not_exist_is_refused():
    with pytest.raises(StorageError, match=r"^storage=postgresql\+psycopg9://host/x: "):
        storage_url("postgresql+psycopg9://host/x")


@pytest.mark.parametrize(
    ("location", "shown"),
    [
        ("runs/x?y@z.db", "runs/x?y@z.db"),
        ("sqlite:///runs/x.db", "sqlite:///runs/x.db"),
        ("postgresql:///x?host=%2Frun%2Fpg", "postgresql:///x?host=%2Frun%2Fpg"),
        ("postgresql://host:port/x", "postgresql://host:port/x"),
        ("postgresql://me:secret@host:5/x", "postgresql://me@host:5/x"),
        ("postgresql://me:sec/r:e?t@host/x", "postgresql://me@host/x"),
        ("postgresql://me:a secret@host/x", "postgresql://me@host/x"),
        ("postgresql://me:s%40cret@[::1]/x", "postgresql://me@[::1]/x"),
        ("postgresql://me:sec@ret@host/x", "postgresql://..."),
        ("postgresql://me:secret@host:port/x", "postgresql://..."),
        ("postgresql://host:port/x?password=s@cret", "postgresql://..."),
        (
            "postgresql://me@h/x?password=secret&sslmode=require",
            "postgresql://me@h/x?sslmode=require",
        ),
        ("postgresql://me@h/x?sslpassword=secret", "postgresql://me@h/x"),
        ("postgresql://me@h/x?PASSWORD=secret", "postgresql://me@h/x"),
        ("postgresql://me@h/x?passwd=secret", "postgresql://me@h/x"),
        (
            "postgresql://h/x?passfile=/home/me/.pgpass",
            "postgresql://h/x?passfile=/home/me/.pgpass",
        ),
        ("ledger:postgresql://me:secret@host/x", "ledger:postgresql://me@host/x"),
        ("ledger:runs/x.db", "ledger:runs/x.db"),
    ],
)
def test_a_location_is_shown_without_its_passwords(location, shown):
    assert shown_url(location) == shown
    line = f"study={location}: no such file"
    assert without_passwords(line) == f"study={shown}: no such file"
    assert bool(password_hint(location)) == (shown != location)


@pytest.mark.parametrize(
    "location",
    [
        "mysql://me:secret@host/x",
        "postgresql://me:secret@host:port/x",
        "postgresql://me:p@secret@host/x",
        "postgresql+psycopg9://me:secret@host/x",
        "postgresql://me:secret@h1:1,h2:2/x",
        "postgresql:/me:secret@host/x",
        "postgres:me:secret@host/x",
        "host=h password=secret dbname=x",
        "host=h password = 'secret' dbname=x",
        "sqlite://me:secret@/:memory:",
    ],
)
def test_a_password_is_not_repeated(location):
    with pytest.raises(StorageError) as raised:
        storage_url(location)
    assert "secret" not in "".join(traceback.format_exception(raised.value)).replace(location, "")
    assert "secret" not in str(raised.value)
    assert raised.value.__cause__ is None


@pytest.mark.parametrize("text", ["x" * 2**20, "x:" * 2**19, "é" * 2**20])
def test_a_text_of_a_megabyte_is_looked_at_once(text):
    """As a study may be called; from each letter on, it would take an hour."""
    assert shown_url(text) == text
