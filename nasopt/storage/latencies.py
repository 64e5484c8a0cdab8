"""The latencies of networks: what was measured once is a row, and is not measured again.

Searches and finals share them. Older databases have those of searches, which lack all but the
median, in a table of their own: it is read, and no longer made.
"""

from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from functools import cached_property
from typing import TYPE_CHECKING, Any, Self

import sqlalchemy as sa

from nasopt.storage.ledger import inserting
from nasopt.storage.patience import patient

if TYPE_CHECKING:  # it imports torch
    from nasopt.training.latency import Measured, Setting

TABLES = sa.MetaData()
LATENCIES = sa.Table(
    "nasopt_latencies",
    TABLES,
    sa.Column("key", sa.String(32), primary_key=True),  # of network, image shape and classes
    sa.Column("device", sa.String(200), primary_key=True),
    sa.Column("threads", sa.Integer, primary_key=True),  # of the CPU; 0 on another device
    sa.Column("batch_size", sa.Integer, primary_key=True),
    sa.Column("median", sa.Double, nullable=False),  # seconds, here and below
    sa.Column("p95", sa.Double, nullable=False),
    sa.Column("memory", sa.BigInteger, nullable=False),  # bytes at the peak
    sa.Column("recorded", sa.Text, nullable=False),
)

OLD_TIMINGS = sa.table(
    "nasopt_timings",
    *map(sa.column, ("key", "device", "threads", "batch_size", "seconds")),
)


@dataclass(frozen=True)
class Latency:
    """The seconds that a forward pass of a batch takes, after a warm-up, and its peak memory."""

    device: str
    threads: int  # of the CPU; 0 on another device
    batch_size: int
    median: float  # seconds
    p95: float  # seconds
    memory: int  # bytes

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def of(cls, setting: "Setting", measured: "Measured") -> Self:
        return cls(**vars(setting), **measured._asdict())


class Latencies:
    """The latencies that a database knows."""

    def __init__(self, engine: sa.Engine) -> None:
        self.engine = engine

    @cached_property
    def _has_old(self) -> bool:
        return sa.inspect(self.engine).has_table(OLD_TIMINGS.name)

    @patient
    def once(self, key: str, setting: "Setting", measure: Callable[[], "Measured"]) -> Latency:
        """Return what is known of the network of `key`; if nothing is, `measure` and record it.

        What another worker recorded meanwhile stands.
        """
        known = self._find(key, setting)
        if known is None:
            row = {"key": key, "recorded": _now(), **Latency.of(setting, measure()).to_json()}
            with self.engine.begin() as connection:
                connection.execute(inserting(LATENCIES, connection.dialect.name), row)
            known = self._find(key, setting)
            assert known is not None
        return known

    def median(self, key: str, setting: "Setting", measure: Callable[[], "Measured"]) -> float:
        """Return the median alone, which older databases may know as well: theirs stands."""
        old = self._old(key, setting)
        return self.once(key, setting, measure).median if old is None else old

    def _find(self, key: str, setting: "Setting") -> Latency | None:
        names = ("device", "threads", "batch_size", "median", "p95", "memory")
        query = sa.select(*(LATENCIES.c[name] for name in names))
        with self.engine.connect() as connection:
            row = connection.execute(query.where(*_of(LATENCIES, key, setting))).first()
        return None if row is None else Latency(**row._mapping)

    @patient
    def _old(self, key: str, setting: "Setting") -> float | None:
        if not self._has_old:
            return None
        query = sa.select(OLD_TIMINGS.c.seconds).where(*_of(OLD_TIMINGS, key, setting))
        with self.engine.connect() as connection:
            known = connection.execute(query).scalar()
        return None if known is None else float(known)


def _of(table: Any, key: str, setting: "Setting") -> list[Any]:
    wanted = {"key": key, **vars(setting)}
    return [table.c[name] == value for name, value in wanted.items()]


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds")
