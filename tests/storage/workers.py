"""The rows of workers in a database."""

import time
from typing import Any

import sqlalchemy as sa

from nasopt.storage.leases import WORKERS


def rows(engine: sa.Engine) -> set[str]:
    with engine.connect() as connection:
        return set(connection.execute(sa.select(WORKERS.c.token)).scalars())


def add(engine: sa.Engine, **values: Any) -> None:
    """A row that is not one of `Owner`'s making."""
    row = {"token": "e" * 32, "host": "elsewhere", "lease": "/x", "seen": time.time()}
    with engine.begin() as connection:
        connection.execute(WORKERS.insert().values(row | values))
