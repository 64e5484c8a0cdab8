"""`paid_epochs` on real trainings: whatever happened before, no epoch is trained twice."""

import math
import os
import subprocess
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import replace
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
import torch

from nasopt.data import digits
from nasopt.search.resume import Stopped, paid_epochs
from nasopt.space.architecture import Architecture
from nasopt.space.layers import Conv
from nasopt.storage.ledger import EPOCHS, TABLES, Ledger
from nasopt.storage.locks import file_locks
from nasopt.training.evaluation import EpochResult, Evaluation, Recipe
from nasopt.training.trainer import Trainer
from tests.forked import Forked

DIGITS = digits(limit=200)  # 150 to train on: 2 batches of 64 an epoch
TRAIN, VALIDATION, _ = DIGITS.load()
BATCHES = 2
EVALUATION = Evaluation(
    Architecture((Conv(filters=3, stride=2),)), Recipe(epochs=4, batch_size=64, shift=1), DIGITS, 5
)


class Counted(Trainer):
    """A trainer that counts its batches."""

    trained = 0

    def batches(self) -> Iterator[EpochResult | None]:
        for result in super().batches():
            Counted.trained += result is None
            yield result


def engine(evaluation: Evaluation) -> Counted:
    return Counted(evaluation, TRAIN, VALIDATION, classes=10)


def no_engine(evaluation: Evaluation) -> Counted:
    raise AssertionError("nothing is left to train")


def after(batches: int) -> Callable[[], bool]:
    """Asks to stop after so many batches and results."""
    asked = iter(range(1, batches + 1))
    return lambda: next(asked) == batches


@pytest.fixture(autouse=True)
def _count_from_zero() -> None:
    Counted.trained = 0


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    return ledger_in(tmp_path)


def ledger_in(folder: Path) -> Ledger:
    """No checkpoints but those that are asked for."""
    engine = sa.create_engine(f"sqlite:///{folder / 'x.db'}")
    TABLES.create_all(engine)
    return Ledger(engine, folder / "checkpoints", checkpoint_seconds=math.inf)


@pytest.fixture(scope="module")
def uninterrupted() -> list[EpochResult]:
    return list(engine(EVALUATION).epochs())


def same(results: list[EpochResult], expected: list[EpochResult]) -> bool:
    """Equal in all but the seconds."""
    without = [[replace(each, seconds=0) for each in some] for some in (results, expected)]
    return without[0] == without[1]


def checkpoints(ledger: Ledger) -> list[Path]:
    return list(ledger.folder.iterdir()) if ledger.folder.exists() else []


def test_what_is_not_known_is_trained_and_recorded(ledger, uninterrupted):
    results = list(paid_epochs(EVALUATION, ledger, engine))
    assert same(results, uninterrupted)
    assert ledger.results(EVALUATION.key) == results
    assert Counted.trained == 4 * BATCHES


def test_a_row_is_written_before_its_result_is_seen(ledger):
    for result in paid_epochs(EVALUATION, ledger, engine):
        assert ledger.results(EVALUATION.key)[-1] == result


def test_what_one_thread_trains_another_replays_as_it_comes(ledger, uninterrupted, tmp_path):
    locks = file_locks(tmp_path / "locks")
    training = paid_epochs(EVALUATION, ledger, engine, locks=locks)
    first = next(training)
    asked = threading.Event()

    def replay() -> list[EpochResult]:
        def stop() -> bool:
            asked.set()
            return False

        return list(paid_epochs(EVALUATION, ledger, no_engine, stop, locks=locks))

    with ThreadPoolExecutor() as threads:
        replayed = threads.submit(replay)
        asked.wait()  # it has found that this thread trains
        rest = list(training)
        assert same(replayed.result(), uninterrupted)
    assert same([first, *rest], uninterrupted)


def test_what_is_known_is_replayed_without_training(ledger):
    first = list(paid_epochs(EVALUATION, ledger, engine))
    assert list(paid_epochs(EVALUATION, ledger, no_engine)) == first


def test_another_seed_is_another_evaluation(ledger):
    first = list(paid_epochs(EVALUATION, ledger, engine))
    second = list(paid_epochs(replace(EVALUATION, seed=6), ledger, engine))
    assert not same(first, second)
    assert Counted.trained == 2 * 4 * BATCHES


@pytest.mark.parametrize("events", range(1, 4 * (BATCHES + 1)))  # batches and results
def test_a_stop_loses_nothing_and_trains_nothing_twice(ledger, uninterrupted, events):
    results: list[EpochResult] = []
    with pytest.raises(Stopped):
        results.extend(paid_epochs(EVALUATION, ledger, engine, after(events)))
    assert same(results, uninterrupted[: len(results)])
    assert len(checkpoints(ledger)) == 1
    assert same(list(paid_epochs(EVALUATION, ledger, engine)), uninterrupted)
    assert Counted.trained == 4 * BATCHES
    assert checkpoints(ledger) == []


def test_a_stop_while_replaying_is_heeded_at_the_first_batch(ledger):
    with pytest.raises(Stopped):
        list(paid_epochs(EVALUATION, ledger, engine, after(BATCHES + 1)))
    Counted.trained = 0
    with pytest.raises(Stopped):
        list(paid_epochs(EVALUATION, ledger, engine, lambda: True))
    assert Counted.trained == 1


def test_a_pruned_evaluation_goes_on_where_it_was_closed(ledger, uninterrupted):
    with closing(paid_epochs(EVALUATION, ledger, engine)) as epochs:
        pruned = list(islice(epochs, 2))
    assert Counted.trained == 2 * BATCHES
    assert len(checkpoints(ledger)) == 1
    assert same(list(paid_epochs(EVALUATION, ledger, engine)), uninterrupted)
    assert Counted.trained == 4 * BATCHES
    assert ledger.results(EVALUATION.key)[:2] == pruned


def test_closing_while_replaying_trains_nothing_and_saves_nothing(ledger):
    with closing(paid_epochs(EVALUATION, ledger, engine)) as epochs:
        list(islice(epochs, 3))
    saved = {path: path.read_bytes() for path in checkpoints(ledger)}
    with closing(paid_epochs(EVALUATION, ledger, no_engine)) as epochs:
        list(islice(epochs, 2))
    assert {path: path.read_bytes() for path in checkpoints(ledger)} == saved


def test_closing_after_the_last_epoch_leaves_no_checkpoint(ledger):
    with closing(paid_epochs(EVALUATION, ledger, engine)) as epochs:
        list(islice(epochs, 4))
    assert checkpoints(ledger) == []
    assert len(ledger.results(EVALUATION.key)) == 4


MISSING = f"{EVALUATION.key}.pt is missing; its evaluation is trained again from the start"


def lines(caplog: pytest.LogCaptureFixture) -> list[str]:
    """What was logged, without the folder of the checkpoints."""
    return [record.getMessage().rpartition("/")[2] for record in caplog.records]


@pytest.mark.parametrize(("due", "said"), [(0, [MISSING]), (math.inf, [])])
def test_without_its_checkpoint_a_training_begins_again_and_yields_only_what_is_new(
    ledger, uninterrupted, caplog, due, said
):
    """That it is missing is said only where one was due, so that there was one."""
    with closing(paid_epochs(EVALUATION, ledger, engine)) as epochs:
        known = list(islice(epochs, 2))
    ledger.discard_checkpoint(EVALUATION.key)
    ledger.checkpoint_seconds = due
    results = list(paid_epochs(EVALUATION, ledger, engine))
    assert results[:2] == known
    assert same(results, uninterrupted)
    assert Counted.trained == (2 + 4) * BATCHES
    assert lines(caplog) == said


def test_rows_may_be_newer_than_the_checkpoint(ledger, uninterrupted, caplog):
    with pytest.raises(Stopped):
        list(paid_epochs(EVALUATION, ledger, engine, after(1)))
    early = ledger.checkpoint(EVALUATION.key, bool)  # in the middle of the first epoch
    with closing(paid_epochs(EVALUATION, ledger, engine)) as epochs:
        known = list(islice(epochs, 3))
    ledger.save_checkpoint(EVALUATION.key, early)
    Counted.trained = 0
    results = list(paid_epochs(EVALUATION, ledger, engine))
    assert results[:3] == known
    assert same(results, uninterrupted)
    assert Counted.trained == 4 * BATCHES - 1
    assert caplog.records == []


def test_a_checkpoint_newer_than_the_rows_is_not_gone_on_from(ledger, uninterrupted):
    """The database was removed, or a power cut took its last commits; the files stayed."""
    with closing(paid_epochs(EVALUATION, ledger, engine)) as epochs:
        list(islice(epochs, 3))
    with ledger.engine.begin() as connection:
        connection.execute(sa.delete(EPOCHS).where(EPOCHS.c.epoch > 1))
    assert same(list(paid_epochs(EVALUATION, ledger, engine)), uninterrupted)
    assert [each.epoch for each in ledger.results(EVALUATION.key)] == [1, 2, 3, 4]


def test_checkpoints_are_saved_on_the_way_when_they_are_due(ledger):
    ledger.checkpoint_seconds = 0
    for result in paid_epochs(EVALUATION, ledger, engine):
        if result.epoch < 4:
            state = ledger.checkpoint(EVALUATION.key, bool)
            assert (state["epoch"], state["batch"]) == (result.epoch - 1, BATCHES)
    assert checkpoints(ledger) == []


def train_beside(folder: Path) -> None:
    locks = file_locks(folder / "locks")
    for result in paid_epochs(EVALUATION, ledger_in(folder), engine, locks=locks):
        print(result.epoch, flush=True)
        os.read(0, 1)


@pytest.fixture
def beside(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    """Another process that trains the same; it is in the first epoch's yield."""
    pipes: Any = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with Forked(partial(train_beside, tmp_path), **pipes) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "1\n"
        yield process
        process.kill()


def test_what_another_process_trains_is_replayed_as_it_comes(
    tmp_path, ledger, uninterrupted, beside
):
    locks = file_locks(tmp_path / "locks")
    epochs = paid_epochs(EVALUATION, ledger, no_engine, locks=locks)
    assert next(epochs).epoch == 1
    beside.communicate("\n" * 4)
    assert same(list(epochs), uninterrupted[1:])
    assert locks.take(EVALUATION.key)  # it is held no longer


def test_what_a_killed_process_trained_is_gone_on_with(tmp_path, ledger, uninterrupted, beside):
    epochs = paid_epochs(EVALUATION, ledger, engine, locks=file_locks(tmp_path / "locks"))
    assert next(epochs).epoch == 1
    beside.kill()
    beside.wait()
    assert same(list(epochs), uninterrupted[1:])
    assert Counted.trained == 4 * BATCHES  # no checkpoint was due


def test_who_waits_for_another_process_can_be_stopped(tmp_path, ledger, beside):
    locks = file_locks(tmp_path / "locks")
    with pytest.raises(Stopped):
        list(paid_epochs(EVALUATION, ledger, no_engine, stop=after(1), locks=locks))
    assert not locks.take(EVALUATION.key)


def test_a_diverged_training_is_remembered(ledger):
    diverging = replace(EVALUATION, recipe=replace(EVALUATION.recipe, lr=1e30))
    results = list(paid_epochs(diverging, ledger, engine))
    assert [result.diverged for result in results] == [True]  # of four epochs
    assert checkpoints(ledger) == []
    again = list(paid_epochs(diverging, ledger, no_engine))
    assert [result.diverged for result in again] == [True]
    assert [result.accuracy for result in again] == [result.accuracy for result in results]


def test_a_recorded_epoch_that_comes_out_differently_stands_with_one_warning(
    ledger, uninterrupted, caplog
):
    with closing(paid_epochs(EVALUATION, ledger, engine)) as epochs:
        list(islice(epochs, 2))
    ledger.discard_checkpoint(EVALUATION.key)
    with ledger.engine.begin() as connection:
        connection.execute(sa.update(EPOCHS).where(EPOCHS.c.epoch == 1).values(accuracy=0.125))
    results = list(paid_epochs(EVALUATION, ledger, engine))
    assert [each.accuracy for each in results] == [
        0.125,
        *(each.accuracy for each in uninterrupted[1:]),
    ]
    assert ledger.results(EVALUATION.key) == results
    accuracy = uninterrupted[0].accuracy
    assert lines(caplog) == [
        f"epoch 1 of evaluation {EVALUATION.key} came out as {accuracy:.4f}, "
        "not 0.1250 as recorded; the record stands",
    ]


@pytest.mark.parametrize("column", ["device", "torch"])
def test_a_record_of_another_device_or_torch_may_differ_without_a_word(ledger, caplog, column):
    with closing(paid_epochs(EVALUATION, ledger, engine)) as epochs:
        list(islice(epochs, 2))
    ledger.discard_checkpoint(EVALUATION.key)
    with ledger.engine.begin() as connection:
        connection.execute(sa.update(EPOCHS).values({"accuracy": 0.125, column: "another"}))
    results = list(paid_epochs(EVALUATION, ledger, engine))
    assert [each.accuracy for each in results[:2]] == [0.125, 0.125]
    assert [each.epoch for each in results] == [1, 2, 3, 4]
    assert lines(caplog) == []


def test_an_error_of_the_training_leaves_the_rows_before_it(ledger, uninterrupted):
    class Failing(Counted):
        def batches(self) -> Iterator[EpochResult | None]:
            for result in super().batches():
                yield result
                if result is not None and result.epoch == 2:
                    raise MemoryError

    with pytest.raises(MemoryError):
        list(paid_epochs(EVALUATION, ledger, lambda each: Failing(each, TRAIN, VALIDATION, 10)))
    assert same(ledger.results(EVALUATION.key), uninterrupted[:2])
    assert same(list(paid_epochs(EVALUATION, ledger, engine)), uninterrupted)


def nested(depth: int) -> Any:
    value: Any = 0
    for _ in range(depth):
        value = [value]
    return value


WEIGHT = "convolutions.0.0.weight"
JUNK: dict[str, Callable[[dict[str, Any]], Any]] = {
    "no state": lambda state: None,
    "a list": lambda state: [state],
    "a key missing": lambda state: {k: v for k, v in state.items() if k != "epoch"},
    "another shape": lambda state: _with_weight(state, torch.zeros(3, 1, 5, 5)),
    "another type": lambda state: _with_weight(state, torch.zeros(3, 1, 3, 3).double()),
    "no tensor": lambda state: _with_weight(state, "weights"),
    "NaN": lambda state: _with_weight(state, torch.full((3, 1, 3, 3), math.nan)),
    "a huge tensor": lambda state: _with_weight(state, torch.zeros(1).expand(10**12)),
    "no optimizer": lambda state: state | {"optimizer": {"state": {}}},
    "epochs beyond": lambda state: state | {"epoch": 4},
    "batches beyond": lambda state: state | {"batch": 10**9},
    "a negative epoch": lambda state: state | {"epoch": -1},
    "an epoch in words": lambda state: state | {"epoch": "one"},
    "nesting": lambda state: state | {"seconds": nested(50)},
    "a scaler of words": lambda state: state | {"scaler": {"scale": "large"}},
}


def _with_weight(state: dict[str, Any], weight: Any) -> dict[str, Any]:
    return state | {"network": {**state["network"], WEIGHT: weight}}


@pytest.mark.parametrize("optimizer", ["sgd", "adamw"])
@pytest.mark.parametrize("junk", JUNK)
def test_a_whole_checkpoint_of_wrong_content_is_one_line_and_training_begins_again(
    ledger, caplog, junk, optimizer
):
    evaluation = replace(EVALUATION, recipe=replace(EVALUATION.recipe, optimizer=optimizer))
    with closing(paid_epochs(evaluation, ledger, engine)) as epochs:
        list(islice(epochs, 2))
    state = ledger.checkpoint(evaluation.key, bool)
    ledger.save_checkpoint(evaluation.key, JUNK[junk](state))
    assert same(list(paid_epochs(evaluation, ledger, engine)), list(engine(evaluation).epochs()))
    assert lines(caplog) == [
        f"{evaluation.key}.pt does not fit; its evaluation is trained again from the start"
    ]
