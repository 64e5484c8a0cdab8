"""Plain Optuna's storage, and trials read from its tables."""

from pathlib import Path
from typing import Any

import sqlalchemy as sa
from optuna.storages import RDBStorage
from optuna.trial import FrozenTrial

from nasopt.storage.reading import read_trials

INF, NAN = float("inf"), float("nan")
ATTRS = {
    "naïve": "層",
    "nested": {"a": [1, 2.5, None, True, "x"]},
    "": -0.0,
    "nan": NAN,
    "inf": INF,
}


def hasty(connection: Any, _: Any) -> None:
    connection.execute("PRAGMA synchronous=OFF")  # a power cut does no harm here


def file_storage(path: Path) -> RDBStorage:
    storage = RDBStorage(f"sqlite:///{path}")
    sa.event.listen(storage.engine, "connect", hasty)
    return storage


def read(storage: RDBStorage, of: sa.ColumnElement[bool]) -> list[FrozenTrial]:
    with storage.engine.connect() as connection:
        return read_trials(connection, of)
