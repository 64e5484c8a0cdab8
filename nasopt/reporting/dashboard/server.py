"""`Dashboard`: optuna-dashboard on a database of nasopt's, its notes and plots filled in."""

import ipaddress
import json
import logging
import os
import re
import socket
import threading
import time
import webbrowser
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path
from socketserver import ThreadingMixIn
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

from optuna_dashboard import wsgi

from nasopt.errors import AddressError
from nasopt.reporting.dashboard.artifacts import open_store
from nasopt.reporting.dashboard.filling import Filling
from nasopt.reporting.dashboard.view import View
from nasopt.reporting.dashboard.words import InWords
from nasopt.storage.database import shown_url
from nasopt.storage.opening import open_storage

PAGES = logging.getLogger("optuna_dashboard._bottle_util")  # where it tells what a page met
App = Callable[[dict[str, Any], Any], Iterable[bytes]]  # WSGI
CHORE_SECONDS = 10.0  # between two looks at what was finished since: as often as its pages look
READING = ("GET", "HEAD", "OPTIONS")
NAMED = re.compile(r"([^:\[\]]+|\[[0-9A-Fa-f:.]+\])(?::[0-9]*)?")  # a name or number, and a port
EVERYWHERE = ("", "0.0.0.0")  # hosts that stand for all addresses of this machine
REMEDY = "use the address that was printed"
REFUSAL = "read-only: started with --read-only, so nothing can be changed here"


class Dashboard:
    """A dashboard that listens at `url`, and answers once it serves.

    `host` is the address to listen at: at any but this machine's own, others can reach it, and
    there is no password. `port` 0 is any free one. `read_only` refuses all requests for a change.
    `artifact_dir` is a folder for files that belong to studies and trials.

    Raises StorageError, or AddressError if it cannot listen.
    """

    def __init__(
        self,
        location: str | Path,
        *,
        host: str = "127.0.0.1",
        port: int = 8080,
        read_only: bool = False,
        artifact_dir: str | Path | None = None,
    ) -> None:
        PAGES.addFilter(_in_a_line)
        self.read_only = read_only
        self.location = shown_url(str(location))
        storage = open_storage(location, "read" if read_only else "write")
        self.storage = View(storage) if read_only else storage
        store = None if artifact_dir is None else open_store(artifact_dir)
        app = shown_apart(wsgi(InWords(self.storage), store), wsgi(self.storage, store))
        app = refuse_strangers(refuse_changes(app) if read_only else app, host)
        self.server = _listen(host, port, app)
        kept = None if read_only else store
        self.server.chore = Filling(self.storage, self.location, kept).refresh
        try:
            self.server.chore()
        except BaseException:
            self.server.server_close()
            raise

    @property
    def url(self) -> str:
        host, port = self.server.server_address[:2]
        shown = socket.gethostname() if host == "0.0.0.0" else host
        return f"http://{shown!s}:{port}/dashboard"

    @property
    def notice(self) -> list[str]:
        """The facts that a person should know before they look."""
        lines = [f"The dashboard of {self.location}: {self.url}", "Ctrl-C ends it."]
        if self.read_only:
            lines.append("Read-only: its pages can change nothing.")
        else:
            lines.append("Its pages can change and delete studies; with --read-only they cannot.")
        return lines + self.warnings

    @property
    def warnings(self) -> list[str]:
        if ipaddress.ip_address(str(self.server.server_address[0])).is_loopback:
            return []
        return ["Warning: it has no password; whoever reaches this address can use it."]

    def serve(self) -> None:
        """Answer until Ctrl-C, and keep up with a study that runs."""
        with self.server, suppress(KeyboardInterrupt):
            self.server.serve_forever()


def open_browser(url: str) -> None:
    """Open `url` if there is a browser with a window: not over SSH, nor without a screen."""
    has_screen = any(os.environ.get(name) for name in ("DISPLAY", "WAYLAND_DISPLAY", "BROWSER"))
    if os.name == "posix" and os.uname().sysname != "Darwin" and not has_screen:
        return
    if "SSH_CONNECTION" not in os.environ or os.environ.get("BROWSER"):
        # beside: some are waited for, and want an answer first
        threading.Thread(target=webbrowser.open, args=(url,), daemon=True).start()


def shown_apart(shown: App, stored: App) -> App:
    """Answer requests that only show by `shown`; those that change, copy or export by `stored`."""

    def apart(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        looks = environ["REQUEST_METHOD"] in READING and environ["PATH_INFO"].startswith("/api/")
        return (shown if looks else stored)(environ, start_response)

    return apart


def _in_a_line(record: logging.LogRecord) -> bool:
    """Leave out the traceback of errors that a user can fix, such as a server that is away."""
    message = record.getMessage()
    if message.startswith("Exception: storage: "):
        record.msg, record.args = message.splitlines()[0].removeprefix("Exception: "), None
    return True


def refuse_changes(app: App) -> App:
    """Return `app` for looking only: requests that may change something get 403 and a reason."""

    def guarded(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        if environ["REQUEST_METHOD"] in READING:
            return app(environ, start_response)
        return _refused(start_response, REFUSAL)

    return guarded


def refuse_strangers(app: App, host: str) -> App:
    """Return `app` for callers that use a name of this machine, if it listens at `host`.

    The browser of whoever runs this may show a page of another site: its name may lead here (DNS
    rebinding), or it may send a request that changes something to this address.
    """

    def guarded(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        named = environ.get("HTTP_HOST", "")
        origin = environ.get("HTTP_ORIGIN")
        if not _is_ours(named, host):
            return _refused(start_response, f"Host: {named}: not this machine's; {REMEDY}")
        reads = environ["REQUEST_METHOD"] in READING
        if not reads and origin is not None and origin.partition("://")[2] != named:
            return _refused(start_response, f"Origin: {origin}: a page of another site")
        return app(environ, start_response)

    return guarded


def _is_ours(named: str, host: str) -> bool:
    """Return True if `named`, of a request, is a name of a server that listens at `host`.

    The port is not looked at: it may have been forwarded.
    """
    found = NAMED.fullmatch(named)
    name = found[1].strip("[]").lower() if found else ""
    if name and name in (host.lower(), "127.0.0.1", "localhost", "::1"):
        return True
    if host not in EVERYWHERE:
        return False
    return name == socket.gethostname().lower() or _is_address(name)


def _is_address(name: str) -> bool:
    """Return True if it is a number, which leads nowhere else."""
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def _refused(start_response: Any, reason: str) -> Iterable[bytes]:
    start_response("403 Forbidden", [("Content-Type", "application/json")])
    return [json.dumps({"reason": reason}).encode()]


class _Server(ThreadingMixIn, WSGIServer):
    """A server with a thread for each request: one that takes long holds up no other.

    Between requests it does its `chore`, now and then.
    """

    daemon_threads = True
    chore: Callable[[], None]
    done_at = 0.0  # of the clock

    def service_actions(self) -> None:
        if time.monotonic() - self.done_at > CHORE_SECONDS:
            self.chore()
            self.done_at = time.monotonic()


class _Handler(WSGIRequestHandler):
    def log_message(self, format: str, *args: Any) -> None:
        """Print nothing: a page asks every few seconds."""


def _listen(host: str, port: int, app: App) -> _Server:
    if not 0 <= port <= 65535:
        raise AddressError(f"port={port}: no port; use 1024 to 65535, or 0 for any free one")
    try:
        return make_server(host, port, app, server_class=_Server, handler_class=_Handler)
    except OSError as error:
        reason = error.strerror or error
        if ":" in host:
            raise AddressError(f"host={host}: IPv6 is not served; use 127.0.0.1") from error
        if isinstance(error, socket.gaierror) or "assign" in str(reason):
            raise AddressError(
                f"host={host}: no address of this machine's ({reason}); leave --host out"
            ) from error
        raise AddressError(
            f"port={port}: {reason}; name another with --port, or 0 for any free one"
        ) from error
