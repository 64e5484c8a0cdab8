"""The server of the dashboard: who may ask, who may change something, and what can go wrong."""

import hashlib
import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from contextlib import closing

import optuna
import pytest

from nasopt.reporting.dashboard import Dashboard, open_browser
from nasopt.reporting.dashboard.filling import Filling
from nasopt.storage.opening import open_storage
from tests.cli.test_main import fails
from tests.reporting.dashboard.serving import PLOTS, RANDOM, asked, load, serving, without_notes

# Who may do what


def test_read_only_shows_all_of_it_and_leaves_the_file_byte_for_byte(done):
    without_notes(done)
    before = hashlib.sha256(done.read_bytes()).digest()
    with serving(done, read_only=True) as url:
        shown = asked(f"{url}/api/studies/1")
        assert "trials are done" in shown["note"]["body"]
        assert all("Validation accuracy" in trial["note"]["body"] for trial in shown["trials"])
        assert {plot["id"] for plot in shown["plotly_graph_objects"]} == PLOTS
    assert hashlib.sha256(done.read_bytes()).digest() == before


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("DELETE", "/api/studies/1"),
        ("POST", "/api/studies/1/rename"),
        ("PUT", "/api/studies/1/note"),
        ("POST", "/api/trials/1/tell"),
        ("PATCH", "/anything"),
    ],
)
def test_read_only_refuses_what_would_change_something(reading, method, path):
    with pytest.raises(urllib.error.HTTPError) as refused:
        asked(f"{reading}{path}", method, b"{}")
    with refused.value as answer:
        assert answer.code == 403
        assert json.loads(answer.read())["reason"].startswith("read-only: ")
    assert len(asked(f"{reading}/api/studies")["study_summaries"]) == 2


def test_without_read_only_a_study_can_be_deleted_and_it_says_so(done):
    dashboard = Dashboard(done, port=0)
    dashboard.server.server_close()
    assert any("delete" in line and "--read-only" in line for line in dashboard.notice)
    with serving(done) as url:
        asked(f"{url}/api/studies/1", "DELETE", b"{}")
        assert len(asked(f"{url}/api/studies")["study_summaries"]) == 1


@pytest.mark.parametrize(("host", "warned"), [("127.0.0.1", False), ("0.0.0.0", True)])
def test_an_address_that_others_reach_comes_with_a_warning(done, host, warned):
    dashboard = Dashboard(done, host=host, port=0, read_only=True)
    dashboard.server.server_close()
    assert any("no password" in line for line in dashboard.notice) == warned
    assert "0.0.0.0" not in dashboard.url
    assert dashboard.url in dashboard.notice[0]
    assert bool(dashboard.warnings) == warned


def test_an_address_of_ipv6_is_refused_in_its_own_words(done, capsys):
    line = fails(capsys, "dashboard", str(done), "--host", "::1", "--port", "0")
    assert line == "nasopt: host=::1: IPv6 is not served; use 127.0.0.1"


# What can go wrong


def test_what_cannot_be_opened_is_one_line(done, tmp_path, capsys):
    (tmp_path / "text.db").write_text("no database " * 100)
    for name, told in (("none.db", "no such file"), ("text.db", "no SQLite database")):
        line = fails(capsys, "dashboard", str(tmp_path / name), "--port", "0")
        assert line.startswith(f"nasopt: storage={tmp_path / name}: {told}")


def test_a_port_that_is_taken_is_one_line(done, capsys):
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        line = fails(capsys, "dashboard", str(done), "--port", str(port))
    remedy = "name another with --port, or 0 for any free one"
    assert line == f"nasopt: port={port}: Address already in use; {remedy}"


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (["--port", "70000"], "port=70000: no port; use 1024 to 65535"),
        (["--port", "x"], "--port: invalid int value: 'x'"),
        (["--host", "192.0.2.1", "--port", "0"], "host=192.0.2.1: no address of this machine's"),
        (["--host", "no.such.host.invalid"], "host=no.such.host.invalid: no address"),
    ],
)
def test_an_address_that_cannot_be_is_one_line(done, capsys, options, told):
    assert fails(capsys, "dashboard", str(done), *options).startswith(f"nasopt: {told}")


def test_a_database_that_cannot_be_filled_in_leaves_no_socket_open(done, monkeypatch):
    monkeypatch.setattr(Filling, "refresh", lambda self: os.stat("/no/such/file"))
    with pytest.raises(FileNotFoundError):
        Dashboard(done, port=0)


def test_a_screen_is_asked_for_before_a_browser_is_opened(monkeypatch):
    opened = []
    monkeypatch.setattr("webbrowser.open", opened.append)
    for name in ("DISPLAY", "WAYLAND_DISPLAY", "BROWSER"):
        monkeypatch.delenv(name, raising=False)
    open_browser("http://127.0.0.1:1/")
    monkeypatch.setenv("DISPLAY", ":0")
    monkeypatch.setenv("SSH_CONNECTION", "192.0.2.1 1 192.0.2.2 22")
    open_browser("http://127.0.0.1:1/")
    assert opened == []


@pytest.mark.parametrize("options", [["--json", "--read-only"], []])
def test_the_command_shows_its_page_in_a_browser_and_ends_with_ctrl_c(done, tmp_path, options):
    script = tmp_path / "browser"
    look = "import sys, urllib.request as u; print(u.urlopen(sys.argv[1]).status, sys.argv[1])"
    lines = ("#!/bin/sh", f"{sys.executable} -c '{look}' $1 > {tmp_path}/new", f"cd {tmp_path}")
    script.write_text("\n".join((*lines, "mv new seen\n")))
    script.chmod(0o700)
    with subprocess.Popen(
        [sys.executable, "-m", "nasopt", "dashboard", done, "--port=0", *options],
        env=os.environ | {"BROWSER": f"{script} %s"},
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    ) as process:  # fmt: skip
        first = process.stdout.readline()
        deadline = time.monotonic() + 60
        while not (tmp_path / "seen").exists() and time.monotonic() < deadline:
            time.sleep(0.05)
        process.send_signal(signal.SIGINT)
        rest, stderr = process.stdout.read(), process.stderr.read()
    assert (process.returncode, stderr) == (0, "")
    status, url = (tmp_path / "seen").read_text().split()
    assert status == "200"
    if options:
        assert json.loads(first) == {"url": url, "read_only": True}
    else:
        assert first.startswith(f"The dashboard of {done}: {url}")
        assert "Ctrl-C ends it" in rest


def test_it_needs_no_torch(done):
    code = (
        "import sys; from nasopt.reporting.dashboard import Dashboard\n"
        f"Dashboard({str(done)!r}, port=0); sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


# Who may ask


def status(url: str, method: str, headers: dict[str, str], body: bytes | None = None) -> int:
    """What is answered, `headers` as a browser would send them."""
    connection = http.client.HTTPConnection(url.removeprefix("http://"))
    with closing(connection):
        connection.request(method, "/api/studies", body, headers)
        return connection.getresponse().status


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "localhost", "LOCALHOST:8080", "[::1]:8080", "127.0.0.1:1"]
)
def test_a_name_of_this_machines_is_answered(served, host):
    assert status(served, "GET", {"Host": host}) == 200


STRANGERS = (
    "evil.example", "evil.example:8080", "127.0.0.1.evil.example", "localhost.evil.example",
    "localhost@evil.example", "evil.example@localhost", "evil.example#localhost", "localhost:x",
    "[::1", "", "192.0.2.1",
)  # fmt: skip


@pytest.mark.parametrize("read_only", [False, True])
def test_a_strangers_name_that_leads_here_is_refused(done, read_only):
    with serving(done, read_only=read_only) as url:
        study_id = load(done, RANDOM)._study_id
        for host in STRANGERS:
            for method, place in (("GET", "/api/studies"), ("DELETE", f"/api/studies/{study_id}")):
                with closing(http.client.HTTPConnection(url.removeprefix("http://"))) as connection:
                    connection.request(method, place, headers={"Host": host})
                    answer = connection.getresponse()
                    assert answer.status == 403, host
                    assert "not this machine's" in json.loads(answer.read())["reason"]
    assert load(done, RANDOM).trials


def test_all_addresses_are_called_by_number_or_by_the_name_of_the_machine(done):
    with serving(done, host="0.0.0.0") as url:
        for host in ("192.0.2.1:8080", "[2001:db8::1]", socket.gethostname(), "localhost"):
            assert status(url, "GET", {"Host": host}) == 200
        assert status(url, "GET", {"Host": "evil.example"}) == 403


def test_a_page_of_another_site_can_change_nothing(done):
    name = {"study_name": "theirs", "directions": ["maximize"]}
    body = json.dumps(name).encode()
    json_type = {"Content-Type": "application/json"}
    with serving(done) as url:
        for origin in ("http://evil.example", "null", "http://127.0.0.1:1", "http://["):
            assert status(url, "POST", {**json_type, "Origin": origin}, body) == 403
        assert status(url, "POST", {**json_type, "Origin": url}, body) == 201
    assert "theirs" in optuna.get_all_study_names(open_storage(done, "read"))
