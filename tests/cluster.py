"""A PostgreSQL server of the tests' own, which they may stop, restart and forbid things to."""

import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from itertools import count
from pathlib import Path
from typing import Any

import psycopg


def binaries() -> Path | None:
    folders = sorted(Path("/usr/lib/postgresql").glob("*/bin"))
    return folders[-1] if folders else None


class Cluster:
    """A server on a free port of this machine, without durability; `new` is an empty database."""

    def __init__(self) -> None:
        found = binaries()
        assert found is not None
        self.binaries = found
        self.folder = Path(tempfile.mkdtemp(prefix="nasopt-postgresql-"))
        self.user = None
        if os.getuid() == 0:  # it refuses to be run by root
            self.user = "nobody"
            shutil.chown(self.folder, self.user)
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.numbers = count()
        initialise = ("initdb", "-D", self.folder / "data", "-U", "nasopt", "-A", "trust")
        self._run(*initialise, "--no-sync")
        self.start()

    def start(self, **settings: Any) -> None:
        options = {
            "listen_addresses": "127.0.0.1",
            "port": self.port,
            "unix_socket_directories": "",
            "fsync": "off",
            **settings,
        }
        with (self.folder / "log").open("ab") as log:
            self.server = subprocess.Popen(
                [
                    self.binaries / "postgres", "-D", self.folder / "data",
                    *(f"--{name}={value}" for name, value in options.items()),
                ],
                user=self.user, cwd=self.folder, stdout=log, stderr=log,
            )  # fmt: skip
        deadline = time.monotonic() + 60
        while not self._answers():
            assert self.server.poll() is None, (self.folder / "log").read_text()
            assert time.monotonic() < deadline, (self.folder / "log").read_text()
            time.sleep(0.05)

    def _answers(self) -> bool:
        try:
            self.execute("SELECT 1")
        except psycopg.OperationalError:
            return False
        return True

    def stop(self, how: signal.Signals = signal.SIGINT) -> None:
        """SIGINT ends connections, SIGQUIT does not even say so."""
        self.server.send_signal(how)
        self.server.wait(60)

    def restart(self, **settings: Any) -> None:
        self.stop()
        self.start(**settings)

    def close(self) -> None:
        """End the server; its files, a hundred thousand after all tests, go by themselves."""
        self.stop(signal.SIGQUIT)
        os.spawnlp(os.P_NOWAIT, "rm", "rm", "-rf", str(self.folder))  # a minute that none waits for

    def url(self, name: str, user: str = "nasopt", password: str = "") -> str:
        secret = f":{password}" if password else ""
        return f"postgresql://{user}{secret}@127.0.0.1:{self.port}/{name}"

    def new(self) -> str:
        name = f"nasopt{next(self.numbers)}"
        self.execute(f"CREATE DATABASE {name}")
        return self.url(name)

    def execute(self, *statements: str, database: str = "postgres") -> None:
        with psycopg.connect(self.url(database), autocommit=True) as connection:
            for statement in statements:
                connection.execute(statement)

    def allow(self, *lines: str) -> None:
        """Replace what may connect how (pg_hba.conf), the tests' own user excepted."""
        own = "host all nasopt 127.0.0.1/32 trust"
        (self.folder / "data" / "pg_hba.conf").write_text("\n".join([own, *lines, ""]))
        with psycopg.connect(self.url("postgres"), autocommit=True) as connection:
            before = connection.execute("SELECT pg_conf_load_time()").fetchone()
            connection.execute("SELECT pg_reload_conf()")
        after = before
        while after == before:  # until those who connect see it
            with psycopg.connect(self.url("postgres")) as connection:
                after = connection.execute("SELECT pg_conf_load_time()").fetchone()

    def _run(self, program: str, *arguments: Any) -> None:
        subprocess.run(
            [self.binaries / program, *arguments],
            user=self.user, cwd=self.folder, check=True, stdout=subprocess.DEVNULL,
        )  # fmt: skip
