"""The ledger: the results of every training, epoch by epoch, and the point where it can go on.

Tables in the studies' own database, readable without them, and checkpoint files beside it.
It has no code that trains: it is handed results and states.
"""

import hashlib
import io
import json
import logging
import math
import os
import tempfile
import time
import zipfile
from collections.abc import Callable
from datetime import UTC, datetime
from functools import cache, cached_property
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from optuna.trial import TrialState
from sqlalchemy.dialects import postgresql, sqlite

from nasopt.errors import StorageError
from nasopt.storage.attributes import KEY
from nasopt.storage.patience import patient
from nasopt.storage.reading import TRIALS, USER_ATTRS
from nasopt.text import RUN_AGAIN
from nasopt.training.evaluation import VERSION, EpochResult, Evaluation
from nasopt.training.metrics import packed, unpacked

logger = logging.getLogger("nasopt")

CHECKPOINT_SECONDS = 10.0  # of training between two checkpoints: what a kill may cost
CHECKPOINT_BYTES = 2**30  # of all checkpoint files together; the oldest go first
LEFT_OVER_SECONDS = 3_600.0  # after which an unfinished file is one that a kill left behind
UNFINISHED = TrialState.WAITING, TrialState.RUNNING
DIGEST_BYTES = 16  # before the content: torch itself does not notice a flipped bit

TABLES = sa.MetaData()
EVALUATIONS = sa.Table(
    "nasopt_evaluations",
    TABLES,
    sa.Column("key", sa.String(32), primary_key=True),
    sa.Column("architecture", sa.Text, nullable=False),  # JSON
    sa.Column("recipe", sa.Text, nullable=False),  # JSON
    sa.Column("dataset", sa.Text, nullable=False),  # its fingerprint
    sa.Column("seed", sa.BigInteger, nullable=False),
)
EPOCHS = sa.Table(
    "nasopt_epochs",
    TABLES,
    sa.Column("key", sa.String(32), primary_key=True),
    sa.Column("epoch", sa.Integer, primary_key=True),
    sa.Column("accuracy", sa.Double, nullable=False),
    sa.Column("loss", sa.Double),  # NULL: not finite, here and below
    sa.Column("train_loss", sa.Double),
    sa.Column("seconds", sa.Double, nullable=False),
    sa.Column("device", sa.Text, nullable=False),
    sa.Column("torch", sa.Text, nullable=False),
    sa.Column("recorded", sa.Text, nullable=False),  # when: ISO 8601, UTC
)
# A table of its own: it is made where it is missing, as it is in databases of older versions.
CONFUSIONS = sa.Table(
    "nasopt_confusions",
    TABLES,
    sa.Column("key", sa.String(32), primary_key=True),
    sa.Column("epoch", sa.Integer, primary_key=True),
    sa.Column("matrix", sa.LargeBinary, nullable=False),  # zlib, 32-bit counts, row after row
)


class Ledger:
    """The results and checkpoints of evaluations, by their key.

    `engine` is of an open database, whose `TABLES` were made if it was opened to write; `folder`
    (made when first needed) holds the checkpoints. Epochs count as known if they can be scored by
    `metric`: all but "accuracy" need a confusion matrix, which older rows lack.
    """

    def __init__(
        self,
        engine: sa.Engine,
        folder: Path,
        *,
        metric: str = "accuracy",
        checkpoint_seconds: float = CHECKPOINT_SECONDS,
        checkpoint_bytes: int = CHECKPOINT_BYTES,
    ) -> None:
        self.engine = engine
        self.folder = folder
        self.metric = metric
        self.checkpoint_seconds = checkpoint_seconds
        self.checkpoint_bytes = checkpoint_bytes
        self.saved = time.monotonic()

    @cached_property
    def _is_made(self) -> bool:
        return has_tables(self.engine)

    @cached_property
    def _has_matrices(self) -> bool:
        return sa.inspect(self.engine).has_table(CONFUSIONS.name)

    def results(self, key: str) -> list[EpochResult]:
        """Return the epochs that are known, from the first on without a gap."""
        if not self._is_made:
            return []
        known: list[EpochResult] = []
        for _, result in self._read(EPOCHS.c.key == key):
            if result.epoch != len(known) + 1 or not self._is_scored(result):
                break
            known.append(result)
        return known

    def final_scores(self, epochs: int) -> dict[str, float]:
        """Return the score, by key, of evaluations trained for `epochs`, or diverged before."""
        if not self._is_made:
            return {}
        ended = EPOCHS.c.epoch == epochs
        diverged = EPOCHS.c.loss.is_(None) | EPOCHS.c.train_loss.is_(None)
        results = self._read(ended | diverged)
        return {key: each.score(self.metric) for key, each in results if self._is_scored(each)}

    @patient
    def retrained(self, epochs: int, seed: int) -> int:
        """Return the number of evaluations trained for `epochs` with another seed than `seed`."""
        if not self._is_made:
            return 0
        others = sa.select(EVALUATIONS.c.key).where(EVALUATIONS.c.seed != seed)
        whole = (EPOCHS.c.epoch == epochs) & EPOCHS.c.key.in_(others)
        with self.engine.connect() as connection:
            return connection.execute(sa.select(sa.func.count()).where(whole)).scalar_one()

    def _is_scored(self, result: EpochResult) -> bool:
        return self.metric == "accuracy" or result.confusion is not None

    @patient
    def _read(self, wanted: sa.ColumnElement[bool]) -> list[tuple[str, EpochResult]]:
        """Return the epochs that are `wanted`, each with its key, in order."""
        columns = [column for column in EPOCHS.c if column.name != "recorded"]
        query = sa.select(*columns).where(wanted).order_by(EPOCHS.c.key, EPOCHS.c.epoch)
        if self._has_matrices:
            same = (CONFUSIONS.c.key == EPOCHS.c.key) & (CONFUSIONS.c.epoch == EPOCHS.c.epoch)
            query = query.add_columns(CONFUSIONS.c.matrix).outerjoin_from(EPOCHS, CONFUSIONS, same)
        with self.engine.connect() as connection:
            rows = [dict(row._mapping) for row in connection.execute(query)]
        return [(row.pop("key"), _result(**row)) for row in rows]

    @patient
    def append(self, evaluation: Evaluation, result: EpochResult) -> None:
        """Record an epoch; one that is known already stands, but for a matrix that it lacks."""
        described = evaluation.describe()
        finite = {
            name: value if math.isfinite(value) else None
            for name, value in (("loss", result.loss), ("train_loss", result.train_loss))
        }
        values = {name: value for name, value in vars(result).items() if name in EPOCHS.c}
        with self.engine.begin() as connection:
            if result.epoch == 1:
                self._insert(
                    connection,
                    EVALUATIONS,
                    key=evaluation.key,
                    architecture=json.dumps(described["architecture"]),
                    recipe=json.dumps(described["recipe"]),
                    dataset=described["dataset"],
                    seed=described["seed"],
                )
            self._insert(
                connection,
                EPOCHS,
                **{**values, **finite, "key": evaluation.key, "recorded": _now()},
            )
            if result.confusion is not None:
                self._insert(
                    connection,
                    CONFUSIONS,
                    key=evaluation.key,
                    epoch=result.epoch,
                    matrix=packed(result.confusion),
                )

    def _insert(self, connection: sa.Connection, table: sa.Table, **values: Any) -> None:
        connection.execute(inserting(table, connection.dialect.name), values)

    def checkpoint(
        self, key: str, fits: Callable[[Any], bool], *, expected: bool = False
    ) -> dict[str, Any] | None:
        """Return the state last saved for `key`; None, with a line in the log, if none can be used.

        `fits` says whether one can be gone on from. That there is no file is worth a line only if
        one is `expected`.
        """
        path = self._path(key)
        self.saved = time.monotonic()
        try:
            content = path.read_bytes()
        except FileNotFoundError:
            if not expected:
                return None
            saved, reason = None, "is missing"
        except OSError:
            saved, reason = None, "cannot be read"
        else:
            saved, reason = _unpacked(content), "is damaged"  # torn by a crash of the machine, say
        if saved is not None:
            state: dict[str, Any] = saved["state"]
            if (saved["version"], saved["key"]) != (VERSION, key):
                reason = "is of another version"
            elif fits(state):
                return state
            else:
                reason = "does not fit"
        logger.warning("%s %s; its evaluation is trained again from the start", path, reason)
        return None

    def has_checkpoint(self, key: str) -> bool:
        return self._path(key).is_file()

    def reached(self, key: str) -> list[int | str]:
        """Return the number of epochs known, and the digest of the checkpoint, if any."""
        try:
            with self._path(key).open("rb") as file:
                digest = file.read(DIGEST_BYTES).hex()
        except OSError:
            digest = ""
        return [len(self.results(key)), digest]

    def due(self) -> bool:
        """Return True if the last checkpoint is so long ago that a kill would cost too much."""
        return time.monotonic() - self.saved >= self.checkpoint_seconds

    def save_checkpoint(self, key: str, state: dict[str, Any]) -> None:
        """Replace the checkpoint of `key` by `state`: all of it or, if killed, nothing."""
        import torch

        content = io.BytesIO()  # torch would hide an error of the disk behind one of its own
        torch.save({"version": VERSION, "key": key, "state": state}, content)
        temporary = None
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            with tempfile.NamedTemporaryFile(
                dir=self.folder, prefix=f"{key}.", suffix=".tmp", delete=False
            ) as file:
                temporary = Path(file.name)
                file.write(_digest(content.getvalue()) + content.getvalue())
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(self._path(key))
        except OSError as error:
            if temporary is not None:
                temporary.unlink(missing_ok=True)
            raise StorageError(
                f"checkpoint={self._path(key)}: cannot be written ({error.strerror}); "
                f"make room and {RUN_AGAIN}"
            ) from error
        self.saved = time.monotonic()
        self._thin(keep=key)

    def discard_checkpoint(self, key: str) -> None:
        """Remove the checkpoint of a complete evaluation, which nobody needs any more."""
        self._path(key).unlink(missing_ok=True)

    def _path(self, key: str) -> Path:
        return self.folder / f"{key}.pt"

    def _thin(self, keep: str) -> None:
        """Remove the oldest files until all are within `checkpoint_bytes`.

        Never that of `keep`, nor one that a trial goes on from, which waits or is under way.
        """
        files = []
        for path in self.folder.iterdir():
            try:
                status = path.stat()
            except FileNotFoundError:  # another worker's, replaced or done in this moment
                continue
            if path.suffix == ".tmp" and time.time() - status.st_mtime < LEFT_OVER_SECONDS:
                continue  # it may be being written
            files.append((status.st_mtime, status.st_size, path))
        total = sum(size for _, size, _ in files)
        if total <= self.checkpoint_bytes:
            return
        needed = {self._path(key) for key in (keep, *self._keys_of_unfinished())}
        for _, size, path in sorted(files):
            if total <= self.checkpoint_bytes:
                return
            if path not in needed:
                path.unlink(missing_ok=True)
                total -= size

    @patient
    def _keys_of_unfinished(self) -> list[str]:
        """Return the keys of the trials that wait or are under way."""
        query = (
            sa.select(USER_ATTRS.c.value_json)
            .join(TRIALS, TRIALS.c.trial_id == USER_ATTRS.c.trial_id)
            .where(USER_ATTRS.c.key == KEY, TRIALS.c.state.in_(UNFINISHED))
        )
        with self.engine.connect() as connection:
            return [json.loads(value) for value in connection.execute(query).scalars()]


@patient
def has_tables(engine: sa.Engine) -> bool:
    """Return whether a database has a ledger: one that was opened to read may have none."""
    return sa.inspect(engine).has_table(EPOCHS.name)


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds")


def _result(
    loss: float | None, train_loss: float | None, matrix: bytes | None = None, **known: Any
) -> EpochResult:
    return EpochResult(
        loss=math.nan if loss is None else loss,
        train_loss=math.nan if train_loss is None else train_loss,
        confusion=None if matrix is None else unpacked(matrix),
        **known,
    )


@cache  # building a statement takes as long as executing it
def inserting(table: sa.Table, dialect: str) -> Any:
    """Return the statement that inserts a row unless there is one of its key."""
    insert = {"sqlite": sqlite, "postgresql": postgresql}[dialect].insert
    return insert(table).on_conflict_do_nothing()


def _unpacked(content: bytes) -> dict[str, Any] | None:
    """Return the content that `save_checkpoint` wrote, or None: nothing in it is executed."""
    import torch  # two seconds that reading results need not pay

    body = content[DIGEST_BYTES:]
    if content[:DIGEST_BYTES] != _digest(body):
        return None
    try:
        with zipfile.ZipFile(io.BytesIO(body)) as archive:
            if sum(member.file_size for member in archive.infolist()) > len(body):
                return None  # torch compresses nothing; this would fill the memory
        saved = torch.load(io.BytesIO(body), map_location="cpu", weights_only=True)
    except Exception:  # of any class: it follows from the bytes
        return None
    whole = isinstance(saved, dict) and saved.keys() == {"version", "key", "state"}
    return saved if whole else None


def _digest(content: bytes) -> bytes:
    return hashlib.blake2b(content, digest_size=DIGEST_BYTES).digest()
