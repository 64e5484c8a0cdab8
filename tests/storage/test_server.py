"""A PostgreSQL server that refuses, stops or forbids is a line; its password is in none."""

import logging
import os
import shlex
import signal
import socket
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from threading import Thread
from urllib.parse import quote

import psycopg
import pytest
import sqlalchemy as sa

from nasopt.cli.main import main
from nasopt.errors import StorageError
from nasopt.reporting.dashboard import Dashboard
from nasopt.storage.opening import open_storage
from tests.cluster import Cluster
from tests.hosts import Host, ended, rows, study_file

MODES = ("create", "write", "read")


@pytest.fixture
def server(cluster: Cluster) -> Iterator[Cluster]:
    """The tests' server, to be changed: afterwards it is as it was."""
    yield cluster
    if cluster.server.poll() is not None:
        cluster.start()
    with psycopg.connect(cluster.url("postgres"), autocommit=True) as connection:
        connection.execute("SET default_transaction_read_only = off")
        connection.execute("ALTER SYSTEM RESET ALL")
    cluster.allow("host all all 127.0.0.1/32 trust")


def database_of(url: str) -> str:
    return url.rpartition("/")[2]


def refusal(url: str, mode: str) -> str:
    with pytest.raises(StorageError) as raised:
        open_storage(url, mode)  # type: ignore[arg-type]
    line = str(raised.value)
    assert line.startswith("storage=postgresql")
    assert "\n" not in line
    assert "sqlalche.me" not in line
    return line


# opening


def role(server: Cluster, name: str, options: str = "") -> str:
    """The URL of an empty database for a role of its own, which may do nothing in particular."""
    url = server.new()
    user = f"{name}_{database_of(url)}"
    server.execute(f"CREATE ROLE {user} LOGIN {options}")
    return url.replace("nasopt@", f"{user}@")


def as_owner(url: str) -> str:
    return url.replace(f"{user_of(url)}@", "nasopt@")


def user_of(url: str) -> str:
    return str(sa.make_url(url).username)


def test_who_may_not_create_in_public_is_told(server):
    line = refusal(role(server, "poor"), "create")
    assert "(permission denied for schema public)" in line
    assert line.endswith("(GRANT CREATE ON SCHEMA public TO ...)")


@pytest.mark.parametrize("mode", MODES)
def test_who_may_not_read_the_tables_is_told(server, mode):
    url = role(server, "poor")
    open_storage(as_owner(url))
    assert "permission denied for table" in refusal(url, mode)


def test_who_may_only_read_reads(server):
    url = role(server, "reader")
    open_storage(as_owner(url))
    server.execute(
        f"GRANT SELECT ON ALL TABLES IN SCHEMA public TO {user_of(url)}", database=database_of(url)
    )
    assert open_storage(url, "read").get_all_studies() == []


def test_a_server_that_takes_no_writes_is_told_and_read(server):
    empty, url = server.new(), server.new()
    open_storage(url)
    for each in (empty, url):
        server.execute(f"ALTER DATABASE {database_of(each)} SET default_transaction_read_only = on")
        assert refusal(each, "create").endswith("; name the one that takes writes")
    assert open_storage(url, "read").get_all_studies() == []


@pytest.mark.parametrize("limit", [0, 1])
def test_a_server_without_a_connection_left_is_told(server, limit):
    line = refusal(role(server, "crowd", f"CONNECTION LIMIT {limit}"), "create")
    assert "too many connections for role" in line
    assert "use fewer workers" in line


@pytest.mark.parametrize("mode", MODES)
def test_a_server_that_wants_tls_or_a_password_is_told(server, mode):
    url = role(server, "keeper", "PASSWORD 'right'")
    keeper = user_of(url)
    server.allow(
        "hostssl all tls 127.0.0.1/32 trust", f"host all {keeper} 127.0.0.1/32 scram-sha-256"
    )
    assert "?sslmode=require" in refusal(url.replace(keeper, "tls"), mode)
    assert refusal(url, mode).endswith("; give it by PGPASSWORD or ~/.pgpass")
    wrong = refusal(url.replace("@", ":wrong@"), mode)
    assert wrong.endswith("; correct it in the URL, PGPASSWORD or ~/.pgpass")


@pytest.mark.parametrize("mode", MODES)
def test_a_database_a_host_or_an_option_that_is_none_is_told(server, mode):
    assert 'database "nowhere" does not exist' in refusal(server.url("nowhere"), mode)
    assert "host 'no.invalid'" in refusal("postgresql://me@no.invalid/x", mode)
    assert refusal(f"{server.url('x')}?nonsense=1", mode).endswith("; correct the URL")
    assert "sslmode" in refusal(f"{server.url('x')}?sslmode=nonsense", mode)


def test_a_server_that_never_answers_is_given_up(monkeypatch):
    monkeypatch.setenv("PGCONNECT_TIMEOUT", "2")  # seconds, libpq's least
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        line = refusal(f"postgresql+psycopg://me@127.0.0.1:{port}/x", "read")
    assert line.endswith("; correct the host and the port, or see to the network")


def test_a_server_has_a_minute_to_acknowledge_unless_the_url_says_otherwise(server):
    def silence(url: str) -> str:
        engine = open_storage(url).engine
        with engine.connect() as connection:
            driver: psycopg.Connection = connection.connection.driver_connection
            return driver.info.get_parameters()["tcp_user_timeout"]

    assert silence(server.new()) == "60000"
    assert silence(f"{server.new()}?tcp_user_timeout=5000") == "5000"


# in mid run

STOPS: dict[str, Callable[[Cluster, str], object]] = {
    "stopped": lambda server, _: server.stop(),
    "gone": lambda server, _: server.stop(signal.SIGQUIT),
    "dropped": lambda server, name: server.execute(f"DROP DATABASE {name} WITH (FORCE)"),
    "emptied": lambda server, name: server.execute("DROP SCHEMA public CASCADE", database=name),
    "read-only": lambda server, _: server.execute(
        "ALTER SYSTEM SET default_transaction_read_only = on", "SELECT pg_reload_conf()"
    ),
    "full": lambda server, name: server.execute(
        f"ALTER DATABASE {name} ALLOW_CONNECTIONS false",
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
        f"WHERE datname = '{name}' AND usename = 'nasopt'",
    ),
}
STARTED = "SELECT 1 FROM trials WHERE state = 'COMPLETE'"


USUAL = ("stopped",)  # of which the default run has tests


@pytest.mark.parametrize(
    "stop",
    [each if each in USUAL else pytest.param(each, marks=pytest.mark.long) for each in STOPS],
)
def test_workers_whose_server_fails_end_with_a_line_and_go_on_later(server, tmp_path, stop):
    url = server.new()
    words = ("run", study_file(tmp_path, 500), "--sampler", "random", "--device", "cpu")
    # what b had in hand, whose row no server could remove, is to go on soon
    now = {"NASOPT_PATIENCE": "0", "NASOPT_TAKEOVER": "10"}
    hosts = [Host(tmp_path / name, name, **now) for name in ("a", "b")]
    workers = [host.start(*words, "--storage", url) for host in hosts]
    while len(rows(url, STARTED)) < 3:
        assert None in [each.poll() for each in workers]
    STOPS[stop](server, database_of(url))
    for worker in workers:
        _, said = ended(worker, code=2)
        *before, line = said.splitlines()
        assert line.startswith("nasopt: storage")
        assert all("could not be refreshed" in each for each in before), said
    if stop in ("stopped", "gone"):
        server.start()
        done = len(rows(url, STARTED))
        hosts[0].run(*words, "--storage", url, "--trials", str(done + 2))
        assert len(rows(url, STARTED)) >= done + 2


@pytest.mark.parametrize("read_only", [False, True])
def test_pages_of_a_dashboard_whose_server_stopped_are_a_line(server, caplog, read_only):
    url = server.new()
    open_storage(url)
    dashboard = Dashboard(url, port=0, read_only=read_only)
    serving = Thread(target=dashboard.server.handle_request)
    serving.start()
    server.stop()
    with pytest.raises(urllib.error.HTTPError, match="500"):
        urllib.request.urlopen(dashboard.url.replace("/dashboard", "/api/studies"))
    serving.join()
    dashboard.server.server_close()
    (record,) = caplog.records
    assert record.getMessage().startswith("storage: ")
    assert "\n" not in record.getMessage()
    with pytest.raises(StorageError, match="see to the server"):
        dashboard.server.chore()


# passwords

PASSWORD = "s3crEt/@:?w0rd"


@pytest.fixture
def guarded(server: Cluster) -> str:
    """The URL, without the password, of a database that wants it."""
    url = role(server, "keeper", f"PASSWORD '{PASSWORD}'")
    keeper = user_of(url)
    server.execute(f"GRANT ALL ON SCHEMA public TO {keeper}", database=database_of(url))
    server.allow(f"host all {keeper} 127.0.0.1/32 scram-sha-256")
    return url


def with_password(url: str, form: str) -> str:
    secret = quote(PASSWORD, safe="")
    return f"{url}?password={secret}" if form == "query" else url.replace("@", f":{secret}@")


def assert_secret(text: str) -> None:
    for shape in (PASSWORD, quote(PASSWORD, safe=""), "s3crEt", "w0rd"):
        assert shape not in text


def contents(url: str) -> str:
    """All that a database has, as text."""
    engine = sa.create_engine(url.replace("postgresql:", "postgresql+psycopg:"))
    metadata = sa.MetaData()
    metadata.reflect(engine)
    with engine.connect() as connection:
        tables = metadata.tables.values()
        return str([connection.execute(sa.select(table)).all() for table in tables])


@pytest.mark.parametrize("form", ["user", "query"])
def test_no_verb_prints_writes_or_stores_the_password(
    guarded, tmp_path, monkeypatch, capfd, caplog, form
):
    caplog.set_level(logging.INFO)
    monkeypatch.chdir(tmp_path)
    study_file(tmp_path, 3)
    url = with_password(guarded, form)
    cpu = ("--device", "cpu")
    compare = ("compare", "mine.py", "--samplers", "random,tpe", "--seeds", "1", "--trials", "2")
    for words in (
        ("noise", "mine.py", "--storage", url, "--architectures", "2", "--seeds", "2", *cpu),
        ("run", "mine.py", "--storage", url, "--sampler", "random", *cpu),
        (*compare, "--storage", url, "--replicates", "1", "--csv", "x.csv", *cpu),
        ("compare", "--studies", "mine/*", "--storage", url),
        ("show", url),
        ("show", url, "--json"),
        ("show", url, "--studies"),
        ("show", url, "--trial", "0"),
        ("report", url, "-o", "report.html"),
        ("report", url, "-o", "-"),
        ("compare", "--benchmark", f"ledger:{url}", "--seeds", "1", "--trials", "2"),
    ):
        assert main(words) in (0, 2), words
    for read_only in (False, True):
        dashboard = Dashboard(url, port=0, read_only=read_only)
        dashboard.server.server_close()
        assert_secret(repr(dashboard.notice))
    out, err = capfd.readouterr()
    assert "The password is left out: PGPASSWORD or ~/.pgpass gives it." in out
    assert "Traceback" not in err
    written = [p.read_text(errors="replace") for p in tmp_path.rglob("*") if p.is_file()]
    for text in (out, err, caplog.text, *written, contents(url)):
        assert_secret(text)
    assert_secret(str(list(tmp_path.rglob("*"))))
    command = next(
        line for line in out.splitlines() if "nasopt show" in line and "--studies" in line
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PGPASSWORD", PASSWORD)
        assert main(shlex.split(command)[1:]) == 0


def test_no_error_has_the_password(guarded, tmp_path, monkeypatch, capfd):
    monkeypatch.chdir(tmp_path)
    study_file(tmp_path, 3)
    url = with_password(guarded, "user")
    query = with_password(guarded, "query")
    wrong = [
        url.replace("keeper", "nobody"),
        url.replace("127.0.0.1", "no.invalid"),
        f"{url}x",
        url.replace("127.0.0.1:", "127.0.0.1:port"),
        query.replace("127.0.0.1:", "127.0.0.1:port"),
        guarded.replace("@", f":{PASSWORD}@"),
        f"{guarded}?password={PASSWORD}",
        f"{query}&nonsense=1",
        url.replace("postgresql:", "mysql:"),
        url.replace("postgresql://", "postgresql:/"),
        f"host=127.0.0.1 user=keeper password={PASSWORD}",
    ]
    for each in wrong:
        for words in (
            ("show", each),
            ("report", each),
            ("dashboard", each, "--no-browser"),
            ("run", "mine.py", "--storage", each, "--device", "cpu"),
            ("compare", "mine.py", "--storage", each, "--analyse-only"),
            ("compare", "--benchmark", f"ledger:{each}"),
        ):
            assert main(words) == 2, words
    for words in ((url,), ("run", url), ("describe", url), ("show", "x.db", "more", url)):
        with pytest.raises(SystemExit) if "more" in words else pytest.MonkeyPatch.context():
            assert main(words) == 2
    out, err = capfd.readouterr()
    assert "Traceback" not in err
    assert len(err.splitlines()) == len(wrong) * 6 + 4
    assert_secret(out + err)
    assert_secret(str(os.listdir(tmp_path)))
    assert [each.name for each in Path(tmp_path).iterdir() if each.suffix == ".db"] == []
