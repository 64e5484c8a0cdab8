"""`Ledger`: rows that stand, and checkpoint files that are whole or not there."""

import json
import logging
import math
import os
import resource
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import optuna
import pytest
import sqlalchemy as sa
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from optuna.storages._rdb import models
from optuna.trial import TrialState

from nasopt.data import digits
from nasopt.errors import StorageError
from nasopt.space.architecture import Architecture
from nasopt.space.layers import Conv
from nasopt.storage.database import storage_url
from nasopt.storage.ledger import CONFUSIONS, TABLES, Ledger
from nasopt.storage.opening import open_storage
from nasopt.training.evaluation import VERSION, EpochResult, Evaluation, Recipe

DIGITS = digits()
EVALUATION = Evaluation(Architecture((Conv(filters=4),)), Recipe(epochs=5), DIGITS, seed=7)
OTHER = replace(EVALUATION, seed=8)
MATRIX = ((9, 3), (1, 1))  # 10 of 14 are right; the recalls are 3/4 and 1/2
STATE = {"network": {"weight": torch.arange(6.0).view(2, 3)}, "epoch": 2, "lr": 0.1}


def anything(state: Any) -> bool:
    return True


def result(epoch: int, **values: Any) -> EpochResult:
    known = {"accuracy": 0.1, "loss": 2.3, "train_loss": 2.25, "seconds": 1.5}
    return EpochResult(epoch=epoch, device="cpu, 1 thread", torch="2.6.0", **known | values)


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    return Ledger(
        made(sa.create_engine(f"sqlite:///{tmp_path / 'x.db'}")), tmp_path / "checkpoints"
    )


def made(engine: sa.Engine) -> sa.Engine:
    models.BaseModel.metadata.create_all(engine)
    TABLES.create_all(engine)
    return engine


# rows


def test_results_come_back_as_they_were(empty_database, tmp_path):
    engine = open_storage(empty_database).engine
    ledger = Ledger(engine, tmp_path / "checkpoints")
    written = [result(1, accuracy=1 / 3, loss=0.1 + 0.2), result(2, seconds=math.pi)]
    for each in written:
        ledger.append(EVALUATION, each)
    assert Ledger(engine, tmp_path / "checkpoints").results(EVALUATION.key) == written
    assert ledger.results(OTHER.key) == []


@settings(max_examples=30, deadline=None)
@given(
    loss=st.floats(0, allow_infinity=False) | st.just(math.nan),
    train_loss=st.floats(0, allow_infinity=False) | st.just(math.nan),
    accuracy=st.floats(0, 1),
    seconds=st.floats(0, 1e9),
)
def test_numbers_come_back_bit_for_bit(tmp_path_factory, loss, train_loss, accuracy, seconds):
    folder = tmp_path_factory.mktemp("ledger")
    ledger = Ledger(made(sa.create_engine(f"sqlite:///{folder / 'x.db'}")), folder)
    written = result(1, accuracy=accuracy, loss=loss, train_loss=train_loss, seconds=seconds)
    ledger.append(EVALUATION, written)
    (read,) = ledger.results(EVALUATION.key)
    numbers = ("accuracy", "loss", "train_loss", "seconds")
    assert [getattr(read, name).hex() for name in numbers] == [
        getattr(written, name).hex() for name in numbers
    ]


@pytest.mark.parametrize("loss", [math.nan, math.inf, -math.inf])
def test_a_loss_that_is_not_finite_comes_back_as_nan(empty_database, tmp_path, loss):
    ledger = Ledger(made(sa.create_engine(storage_url(empty_database))), tmp_path)
    ledger.append(EVALUATION, result(1, loss=loss, train_loss=loss))
    (read,) = ledger.results(EVALUATION.key)
    assert math.isnan(read.loss)
    assert math.isnan(read.train_loss)
    assert read.diverged


def test_an_epoch_that_is_known_stands(empty_database, tmp_path):
    ledger = Ledger(made(sa.create_engine(storage_url(empty_database))), tmp_path)
    ledger.append(EVALUATION, result(1, accuracy=0.25))
    ledger.append(EVALUATION, result(1, accuracy=0.75))
    assert ledger.results(EVALUATION.key) == [result(1, accuracy=0.25)]


def test_results_are_in_order_and_end_before_a_gap(ledger):
    for epoch in (5, 2, 4, 1):
        ledger.append(EVALUATION, result(epoch))
    assert [each.epoch for each in ledger.results(EVALUATION.key)] == [1, 2]
    ledger.append(EVALUATION, result(3))
    assert [each.epoch for each in ledger.results(EVALUATION.key)] == [1, 2, 3, 4, 5]


def test_results_without_a_first_epoch_are_none(ledger):
    ledger.append(EVALUATION, result(2))
    assert ledger.results(EVALUATION.key) == []


def test_final_scores_are_of_whole_trainings_and_of_those_that_diverged(empty_database, tmp_path):
    ledger = Ledger(made(sa.create_engine(storage_url(empty_database))), tmp_path)
    third = replace(EVALUATION, seed=9)
    for epoch in (1, 2):
        ledger.append(EVALUATION, result(epoch, accuracy=epoch / 4))
    ledger.append(OTHER, result(1, accuracy=0.75))
    ledger.append(third, result(1, accuracy=0.125, train_loss=math.nan))
    assert ledger.final_scores(2) == {EVALUATION.key: 0.5, third.key: 0.125}


def test_confusion_matrices_come_back_and_score_by_other_metrics(empty_database, tmp_path):
    engine = open_storage(empty_database).engine
    ledger = Ledger(engine, tmp_path, metric="balanced_accuracy")
    for epoch in (1, 2):
        ledger.append(EVALUATION, result(epoch, accuracy=0.8, confusion=MATRIX))
    assert [each.confusion for each in ledger.results(EVALUATION.key)] == [MATRIX, MATRIX]
    assert ledger.final_scores(2) == {EVALUATION.key: 0.625}
    assert Ledger(engine, tmp_path).final_scores(2) == {EVALUATION.key: 0.8}


def test_an_epoch_without_a_matrix_is_not_known_to_other_metrics_until_it_has_one(
    empty_database, tmp_path
):
    engine = made(sa.create_engine(storage_url(empty_database)))
    by_accuracy = Ledger(engine, tmp_path)
    by_f1 = Ledger(engine, tmp_path, metric="macro_f1")
    for each in (result(1, confusion=MATRIX), result(2), result(3, confusion=MATRIX)):
        by_accuracy.append(EVALUATION, each)
    assert [each.epoch for each in by_accuracy.results(EVALUATION.key)] == [1, 2, 3]
    assert [each.epoch for each in by_f1.results(EVALUATION.key)] == [1]
    by_f1.append(EVALUATION, result(2, accuracy=0.9, confusion=MATRIX))
    assert [each.epoch for each in by_f1.results(EVALUATION.key)] == [1, 2, 3]
    assert by_f1.results(EVALUATION.key)[1].accuracy == 0.1  # the row stands


def test_a_database_of_an_older_version_has_no_matrices_and_is_read(tmp_path):
    engine = made(sa.create_engine(f"sqlite:///{tmp_path / 'x.db'}"))
    Ledger(engine, tmp_path).append(EVALUATION, result(1, confusion=MATRIX))
    CONFUSIONS.drop(engine)
    assert Ledger(engine, tmp_path).results(EVALUATION.key) == [result(1)]
    assert Ledger(engine, tmp_path, metric="macro_f1").results(EVALUATION.key) == []


def test_a_matrix_that_is_none_is_as_one_that_is_not_there(ledger):
    ledger.append(EVALUATION, result(1, confusion=MATRIX))
    with ledger.engine.begin() as connection:
        connection.execute(sa.update(CONFUSIONS).values(matrix=b"no matrix"))
    assert ledger.results(EVALUATION.key) == [result(1)]


def test_the_tables_can_be_read_without_the_studies(empty_database, tmp_path):
    engine = made(sa.create_engine(storage_url(empty_database)))
    ledger = Ledger(engine, tmp_path)
    ledger.append(EVALUATION, result(1))
    ledger.append(EVALUATION, result(2))
    with engine.connect() as connection:
        ((key, architecture, recipe, dataset, seed),) = connection.execute(
            sa.text("SELECT key, architecture, recipe, dataset, seed FROM nasopt_evaluations")
        )
    assert key == EVALUATION.key
    assert Architecture.from_json(json.loads(architecture)) == EVALUATION.architecture
    assert Recipe(**json.loads(recipe)) == EVALUATION.recipe
    assert (dataset, seed) == (DIGITS.fingerprint, 7)


def test_a_seed_may_be_as_large_as_a_sampler_would_take(empty_database, tmp_path):
    ledger = Ledger(made(sa.create_engine(storage_url(empty_database))), tmp_path)
    large = replace(EVALUATION, seed=2**63 - 1)
    ledger.append(large, result(1))
    assert ledger.results(large.key) == [result(1)]


# checkpoints


def test_a_checkpoint_comes_back_bit_for_bit(ledger, caplog):
    ledger.save_checkpoint(EVALUATION.key, STATE)
    loaded = ledger.checkpoint(EVALUATION.key, anything)
    torch.testing.assert_close(loaded, STATE, rtol=0, atol=0)
    assert (loaded["epoch"], loaded["lr"]) == (2, 0.1)
    assert caplog.records == []


def test_a_later_checkpoint_takes_the_place_of_the_earlier_one(ledger):
    ledger.save_checkpoint(EVALUATION.key, STATE)
    ledger.save_checkpoint(EVALUATION.key, {"epoch": 3})
    assert ledger.checkpoint(EVALUATION.key, anything) == {"epoch": 3}
    assert [path.name for path in ledger.folder.iterdir()] == [f"{EVALUATION.key}.pt"]


def test_no_checkpoint_is_none_without_a_word(ledger, caplog):
    assert ledger.checkpoint(EVALUATION.key, anything) is None
    ledger.save_checkpoint(EVALUATION.key, STATE)
    assert ledger.checkpoint(OTHER.key, anything) is None
    assert caplog.records == []


def test_reading_results_makes_no_folder(ledger):
    ledger.results(EVALUATION.key)
    ledger.checkpoint(EVALUATION.key, anything)
    ledger.discard_checkpoint(EVALUATION.key)
    assert not ledger.folder.exists()


@pytest.mark.parametrize("share", [0, 0.01, 0.5, 0.99])
def test_a_torn_checkpoint_is_none_and_one_warning(ledger, caplog, share):
    ledger.save_checkpoint(EVALUATION.key, STATE)
    path = ledger.folder / f"{EVALUATION.key}.pt"
    whole = path.read_bytes()
    path.write_bytes(whole[: int(share * len(whole))])
    assert ledger.checkpoint(EVALUATION.key, anything) is None
    assert [record.getMessage() for record in caplog.records] == [
        f"{path} is damaged; its evaluation is trained again from the start"
    ]


@pytest.mark.parametrize(
    "content", [b"\0" * 4096, b"torn", b"\x80\x02.", b"PK\x03\x04 and no more", b"q\xff\xfe."]
)
def test_a_checkpoint_overwritten_by_something_else_is_none_and_one_warning(
    ledger, caplog, content
):
    ledger.save_checkpoint(EVALUATION.key, STATE)
    path = ledger.folder / f"{EVALUATION.key}.pt"
    path.write_bytes(content)
    assert ledger.checkpoint(EVALUATION.key, anything) is None
    assert [record.getMessage() for record in caplog.records] == [
        f"{path} is damaged; its evaluation is trained again from the start"
    ]


@pytest.mark.parametrize("saved", [[1, 2], {}, None, "text"])
def test_a_file_of_another_shape_is_none_and_one_warning(ledger, caplog, saved):
    ledger.folder.mkdir()
    torch.save(saved, ledger.folder / f"{EVALUATION.key}.pt")
    assert ledger.checkpoint(EVALUATION.key, anything) is None
    assert len(caplog.records) == 1


def test_a_checkpoint_with_a_flipped_bit_is_none_and_one_warning(ledger, caplog):
    ledger.save_checkpoint(EVALUATION.key, STATE)
    path = ledger.folder / f"{EVALUATION.key}.pt"
    whole = path.read_bytes()
    for place in range(0, len(whole), 97):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
        caplog.clear()
        assert ledger.checkpoint(EVALUATION.key, anything) is None
        assert len(caplog.records) == 1


def test_a_checkpoint_of_another_version_is_none_and_one_warning(ledger, caplog, monkeypatch):
    ledger.save_checkpoint(EVALUATION.key, STATE)
    path = ledger.folder / f"{EVALUATION.key}.pt"
    monkeypatch.setattr("nasopt.storage.ledger.VERSION", VERSION + 1)
    assert ledger.checkpoint(EVALUATION.key, anything) is None
    assert [(record.levelno, record.getMessage()) for record in caplog.records] == [
        (
            logging.WARNING,
            f"{path} is of another version; its evaluation is trained again from the start",
        )
    ]


def test_a_checkpoint_under_the_name_of_another_is_not_used(ledger, caplog):
    ledger.save_checkpoint(EVALUATION.key, STATE)
    (ledger.folder / f"{EVALUATION.key}.pt").rename(ledger.folder / f"{OTHER.key}.pt")
    assert ledger.checkpoint(OTHER.key, anything) is None
    assert len(caplog.records) == 1


def test_a_kill_while_writing_leaves_the_checkpoint_that_was_there(ledger, caplog):
    ledger.save_checkpoint(EVALUATION.key, STATE)
    (ledger.folder / f"{EVALUATION.key}.x7.tmp").write_bytes(b"half of a ")
    assert ledger.checkpoint(EVALUATION.key, anything)["epoch"] == 2
    ledger.save_checkpoint(EVALUATION.key, {"epoch": 3})
    assert ledger.checkpoint(EVALUATION.key, anything) == {"epoch": 3}
    assert caplog.records == []


@contextmanager
def small_files() -> Iterator[None]:
    """No file may grow beyond 1,000 bytes: what a full disk is to a process.

    Nothing else may be written meanwhile: what pytest prints may go to a file as well.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_full_disk_is_an_error_with_a_remedy_and_leaves_what_was_there(ledger):
    ledger.folder.mkdir()
    before = ledger.folder / f"{EVALUATION.key}.pt"
    before.write_bytes(b"the last one")
    state = {"weight": torch.zeros(1000)}
    with pytest.raises(StorageError) as raised, small_files():
        ledger.save_checkpoint(EVALUATION.key, state)
    assert f"{ledger.folder}" in str(raised.value)
    assert "(File too large); make room and run the same command again" in str(raised.value)
    assert {path: path.read_bytes() for path in ledger.folder.iterdir()} == {
        before: b"the last one"
    }


def sized(ledger: Ledger, keys: str) -> int:
    """Save a checkpoint for each of `keys`, one hour after the other; the size of one."""
    for hour, key in enumerate(keys):
        ledger.save_checkpoint(key, STATE)
        os.utime(ledger.folder / f"{key}.pt", (hour * 3600, hour * 3600))
    return (ledger.folder / f"{keys[0]}.pt").stat().st_size


def names(ledger: Ledger) -> list[str]:
    return sorted(path.name for path in ledger.folder.iterdir())


def test_above_the_cap_the_oldest_checkpoints_go_first(ledger):
    size = sized(ledger, "cab")  # c is the oldest
    ledger.checkpoint_bytes = 3 * size
    ledger.save_checkpoint("d", STATE)
    assert names(ledger) == ["a.pt", "b.pt", "d.pt"]
    ledger.checkpoint_bytes = 2 * size - 1
    ledger.save_checkpoint("d", STATE)
    assert names(ledger) == ["d.pt"]


def test_within_the_cap_nothing_goes(ledger):
    ledger.checkpoint_bytes = 4 * sized(ledger, "abc")
    ledger.save_checkpoint("d", STATE)
    assert names(ledger) == ["a.pt", "b.pt", "c.pt", "d.pt"]


def test_the_checkpoint_in_hand_stays_even_if_it_alone_is_above_the_cap(ledger):
    sized(ledger, "ab")
    ledger.checkpoint_bytes = 1
    ledger.save_checkpoint("a", STATE)
    assert names(ledger) == ["a.pt"]


@pytest.mark.parametrize("state", [TrialState.RUNNING, TrialState.WAITING])
def test_what_an_unfinished_trial_goes_on_from_stays_above_the_cap(tmp_path, state):
    storage = open_storage(tmp_path / "x.db")
    ledger = Ledger(storage.engine, tmp_path / "checkpoints")
    sized(ledger, "ab")  # a is the oldest
    study = optuna.create_study(storage=storage)
    for key, each in (("a", state), ("b", TrialState.COMPLETE)):
        values = [0.5] if each.is_finished() else None
        study.add_trial(
            optuna.trial.create_trial(state=each, values=values, user_attrs={"key": key})
        )
    ledger.checkpoint_bytes = 1
    ledger.save_checkpoint("c", STATE)
    assert names(ledger) == ["a.pt", "c.pt"]


def test_what_a_killed_worker_left_goes_with_the_oldest(ledger):
    left = ledger.folder / "a.x7.tmp"
    ledger.checkpoint_bytes = sized(ledger, "b")
    left.write_bytes(bytes(10))
    os.utime(left, (0, 0))
    ledger.save_checkpoint("b", STATE)
    assert names(ledger) == ["b.pt"]


def test_a_discarded_checkpoint_is_gone(ledger):
    ledger.save_checkpoint(EVALUATION.key, STATE)
    ledger.save_checkpoint(OTHER.key, STATE)
    ledger.discard_checkpoint(EVALUATION.key)
    ledger.discard_checkpoint(EVALUATION.key)
    assert names(ledger) == [f"{OTHER.key}.pt"]


def test_a_checkpoint_is_due_when_the_last_one_is_long_enough_ago(tmp_path):
    engine = sa.create_engine(f"sqlite:///{tmp_path / 'x.db'}")
    assert Ledger(engine, tmp_path, checkpoint_seconds=0).due()
    later = Ledger(engine, tmp_path, checkpoint_seconds=3600)
    assert not later.due()
    later.saved -= 3600
    assert later.due()
    later.save_checkpoint("a", STATE)
    assert not later.due()
