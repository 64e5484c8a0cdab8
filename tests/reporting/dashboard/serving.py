"""Dashboards that serve in a thread, and what they answer."""

import json
import sqlite3
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import optuna
import sqlalchemy as sa

from nasopt.reporting.dashboard import Dashboard
from nasopt.storage.opening import open_storage
from nasopt.storage.reading import STUDY_ATTRS

RANDOM, TPE = "experiment/random/0", "experiment/tpe/0"
PLOTS = {"accuracy-against-macs", "what-the-best-chose", "comparison-of-samplers"}
HOSTILE = "<script>window.hacked = 1</script>|`$x$`**"


def copied(database: Path, to: Path) -> Path:
    with closing(sqlite3.connect(database)) as here, closing(sqlite3.connect(to)) as there:
        here.backup(there)
    return to


@contextmanager
def serving(database: Path | str, **options: Any) -> Iterator[str]:
    """A dashboard that serves in a thread: its address, without a page."""
    server = Dashboard(database, port=0, **options).server
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def asked(url: str, method: str = "GET", body: bytes | None = None) -> dict:
    request = urllib.request.Request(url, method=method, data=body)
    if body is not None:
        request.add_header("Content-Type", "application/json")
    with urllib.request.urlopen(request) as response:
        return json.loads(response.read() or b"{}")


def filled(location: Path | str, **options) -> None:
    """Open a dashboard, which fills in the database, and close it."""
    Dashboard(location, port=0, **options).server.server_close()


def load(database: Path | str, name: str) -> optuna.Study:
    return optuna.load_study(study_name=name, storage=open_storage(database, "read"))


def plots_of(study: optuna.Study) -> set[str]:
    attrs = study._storage.get_study_system_attrs(study._study_id)
    return {key.split(":")[2] for key in attrs if key.startswith("dashboard:plot_data:")}


def without_notes(database: Path) -> None:
    """As a run by an older nasopt, or one that was killed before it wrote them, left it."""
    storage = open_storage(database)
    with storage.engine.begin() as connection:
        connection.execute(sa.delete(STUDY_ATTRS).where(STUDY_ATTRS.c.key.like("dashboard:%")))
    storage.engine.dispose()  # with its last connection the file has all
