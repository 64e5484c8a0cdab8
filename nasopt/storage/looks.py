"""The looks at the test split: tables beside the ledger.

A look is one transaction: the predictions of all models it was taken for, and the labels. So it was
taken, or it was not, whenever a process is killed; and what it showed is never looked for again.
"""

import hashlib
import json
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from typing import Any

import numpy as np
import sqlalchemy as sa
from numpy.typing import NDArray

from nasopt.storage.ledger import inserting
from nasopt.storage.patience import patient

MOST_BYTES = 2**28  # of the labels or predictions of a look: what is more was not written by us

TABLES = sa.MetaData()
LOOKS = sa.Table(
    "nasopt_looks",
    TABLES,
    sa.Column("key", sa.String(32), primary_key=True),
    sa.Column("dataset", sa.Text, nullable=False),  # its fingerprint
    sa.Column("experiment", sa.Text, nullable=False),  # its name
    sa.Column("recorded", sa.Text, nullable=False),  # when: ISO 8601, UTC
    sa.Column("labels", sa.LargeBinary, nullable=False),  # of the test images: zlib, int64
    sa.Column("content", sa.Text, nullable=False),  # JSON: what was looked at, and why
)
PREDICTIONS = sa.Table(
    "nasopt_predictions",
    TABLES,
    sa.Column("look", sa.String(32), primary_key=True),
    sa.Column("key", sa.String(32), primary_key=True),  # of the evaluation
    sa.Column("classes", sa.LargeBinary, nullable=False),  # zlib, int64
    sa.Column("confidences", sa.LargeBinary, nullable=False),  # zlib, float32
)


@dataclass(frozen=True, eq=False)
class Predictions:
    """What one model said of each test image: a class, and the probability it gave it."""

    classes: NDArray[np.int64]
    confidences: NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Look:
    """One look at a test split: its labels, and the predictions by evaluation key.

    `content` is JSON: what the models are.
    """

    dataset: str  # its fingerprint
    experiment: str
    content: Mapping[str, Any]
    labels: NDArray[np.int64]
    predictions: Mapping[str, Predictions]
    recorded: str = ""


def look_key(dataset: str, evaluations: Sequence[str]) -> str:
    """Return the key of the look at the test split of `dataset` by these evaluations' models."""
    text = json.dumps([dataset, *evaluations])
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()


class Looks:
    """The looks that a database knows."""

    def __init__(self, engine: sa.Engine) -> None:
        self.engine = engine

    @cached_property
    def _is_made(self) -> bool:
        return sa.inspect(self.engine).has_table(PREDICTIONS.name)

    @patient
    def add(self, key: str, look: Look) -> None:
        """Record a look, all of it at once; one that is known already stands as it is."""
        row = {
            "key": key,
            "dataset": look.dataset,
            "experiment": look.experiment,
            "recorded": _now(),
            "labels": _packed(look.labels),
            "content": json.dumps(look.content),
        }
        predictions = [
            {
                "look": key,
                "key": evaluation,
                "classes": _packed(each.classes),
                "confidences": _packed(each.confidences),
            }
            for evaluation, each in look.predictions.items()
        ]
        with self.engine.begin() as connection:
            dialect = connection.dialect.name
            connection.execute(inserting(LOOKS, dialect), row)
            connection.execute(inserting(PREDICTIONS, dialect), predictions)

    @patient
    def find(self, key: str) -> Look | None:
        """Return a look with all that it showed; None if it was not taken."""
        if not self._is_made:
            return None
        query = sa.select(LOOKS).where(LOOKS.c.key == key)
        shown = sa.select(PREDICTIONS).where(PREDICTIONS.c.look == key)
        with self.engine.connect() as connection:
            row = connection.execute(query).first()
            predictions = connection.execute(shown).all()
        if row is None:
            return None
        return Look(
            row.dataset,
            row.experiment,
            json.loads(row.content),
            _unpacked(row.labels, np.int64),
            {
                each.key: Predictions(
                    _unpacked(each.classes, np.int64), _unpacked(each.confidences, np.float32)
                )
                for each in predictions
            },
            row.recorded,
        )

    @patient
    def count(self) -> int:
        """Return how many looks there were, whatever the test split."""
        if not self._is_made:
            return 0
        query = sa.select(sa.func.count()).select_from(LOOKS)
        with self.engine.connect() as connection:
            return int(connection.execute(query).scalar_one())

    @patient
    def taken(self, dataset: str) -> list[tuple[str, str]]:
        """Return (when, key) of each look at the test split of `dataset`, the first one first."""
        if not self._is_made:
            return []
        query = (
            sa.select(LOOKS.c.recorded, LOOKS.c.key)
            .where(LOOKS.c.dataset == dataset)
            .order_by(LOOKS.c.recorded, LOOKS.c.key)
        )
        with self.engine.connect() as connection:
            return [(row.recorded, row.key) for row in connection.execute(query)]


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds")


def _packed(values: NDArray[Any]) -> bytes:
    return zlib.compress(np.ascontiguousarray(values).tobytes())


def _unpacked(content: bytes, kind: Any) -> NDArray[Any]:
    """Return the values that `_packed` packed; ValueError if they cannot be."""
    try:
        opened = zlib.decompressobj().decompress(content, MOST_BYTES)
    except zlib.error as error:
        raise ValueError(str(error)) from error
    return np.frombuffer(opened, dtype=kind)
