"""The leases of a server's workers, in a folder that other users may try to be first in."""

import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import sqlalchemy as sa

from nasopt.errors import StorageError
from nasopt.storage.leases import SILENCE_SECONDS, TABLES, Owner, living
from tests.storage.workers import add, rows


@pytest.fixture
def on_server(postgresql: Callable[[], str]) -> sa.Engine:
    engine = sa.create_engine(postgresql().replace("postgresql:", "postgresql+psycopg:"))
    TABLES.create_all(engine)
    return engine


def test_it_is_made_for_its_user_alone(on_server, tmp_path):
    leases = tmp_path / "state" / "leases"
    with Owner(on_server, leases) as owner:
        assert leases.stat().st_mode & 0o777 == 0o700
        assert owner.lease.exists()
    assert list(leases.iterdir()) == []


def a_link(leases: Path) -> None:
    (leases.parent / "elsewhere").mkdir(mode=0o700)
    leases.symlink_to(leases.parent / "elsewhere")


def another_users(leases: Path) -> None:
    if os.getuid():
        pytest.skip("only root can give a folder to another user")
    leases.mkdir(mode=0o700)
    os.chown(leases, 65534, 65534)


def open_to_all(leases: Path) -> None:
    leases.mkdir()
    leases.chmod(0o777)


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (a_link, "a link or another user's; remove it, or set XDG_STATE_HOME to a folder of"),
        (another_users, "a link or another user's; remove it, or set XDG_STATE_HOME to a folder"),
        (open_to_all, "open to other users; run: chmod 700 {leases}"),
        (Path.touch, "cannot be written (File exists)"),
    ],
)
def test_one_that_others_can_reach_is_refused_and_left_alone(on_server, tmp_path, make, reason):
    leases = tmp_path / "leases"
    make(leases)
    with pytest.raises(StorageError) as raised:
        Owner(on_server, leases).__enter__()
    assert str(raised.value).startswith(f"leases={leases}: {reason.format(leases=leases)}")
    assert not list(tmp_path.rglob("*.lease"))
    assert rows(on_server) == set()


def test_by_a_server_the_row_tells_of_other_hosts_and_its_clock_is_the_servers(
    on_server, tmp_path, monkeypatch
):
    with on_server.begin() as connection:
        now = connection.exec_driver_sql("SELECT extract(epoch FROM clock_timestamp())").scalar()
    add(on_server, token="a" * 32, seen=float(now) - SILENCE_SECONDS - 1)
    add(on_server, token="b" * 32, seen=float(now) - SILENCE_SECONDS + 60)
    (tmp_path / f"{'b' * 32}.lease").touch()  # on a disk whose locks do not reach other hosts
    clock = time.time
    monkeypatch.setattr(time, "time", lambda: clock() + 660)
    with Owner(on_server, tmp_path / "leases") as owner, on_server.connect() as connection:
        tokens = [owner.token, "a" * 32, "b" * 32]
        assert living(connection, tmp_path, tokens) == {owner.token, "b" * 32}
