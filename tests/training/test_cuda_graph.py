"""The wiring of a recorded step, with a recorder that runs what it recorded."""

import gc
import weakref
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch

from nasopt.data import digits
from nasopt.search.search import Search
from nasopt.space.architecture import Architecture
from nasopt.space.layers import Dense
from nasopt.training.batches import Draw
from nasopt.training.cuda_graph import WARM_UP, Captured, CudaGraphs, Step
from nasopt.training.devices import own_stream
from nasopt.training.evaluation import Evaluation, Recipe
from nasopt.training.trainer import Trainer
from tests.examples import small
from tests.space.blocks_of_a_user import Scaled2
from tests.training.small import FEW, SMALL, TRAIN, VALIDATION, metrics, trainer, weights


class Reruns:
    """A recorder for the CPU: what it recorded sees only what is in the recorded inputs then."""

    def __init__(self) -> None:
        self.aside_calls = self.recorded = self.replayed = 0

    def aside(self, step: Step, draw: Draw) -> None:
        self.aside_calls += 1
        step(draw)

    def record(self, step: Step, inputs: Draw) -> Callable[[], None]:
        self.recorded += 1

        def replay() -> None:
            self.replayed += 1
            step(inputs)

        return replay


class Refuses(Reruns):
    def record(self, step: Step, inputs: Draw) -> Callable[[], None]:
        raise RuntimeError("operation not permitted when stream is capturing\nand more")


def draws(count: int) -> list[Draw]:
    return [{"chosen": torch.tensor([number, -number])} for number in range(count)]


def test_every_draw_reaches_the_step_once_and_in_order():
    seen: list[list[int]] = []
    recorder = Reruns()
    captured = Captured(lambda draw: seen.append(draw["chosen"].tolist()), recorder)
    given = draws(8)
    for draw in given:
        captured(draw)
    assert seen == [draw["chosen"].tolist() for draw in given]
    assert (recorder.aside_calls, recorder.recorded) == (WARM_UP, 1)
    assert recorder.replayed == 8 - WARM_UP


def test_a_draw_is_left_as_it_was_by_those_that_follow():
    captured = Captured(lambda draw: None, Reruns())
    given = draws(8)
    for draw in given:
        captured(draw)
    assert [draw["chosen"].tolist() for draw in given] == [[n, -n] for n in range(8)]


def test_where_recording_fails_the_step_runs_as_it_is(caplog):
    seen: list[int] = []
    captured = Captured(lambda draw: seen.append(int(draw["chosen"][0])), Refuses())
    for draw in draws(8):
        captured(draw)
    assert seen == list(range(8))
    assert [record.getMessage() for record in caplog.records] == [
        "no CUDA graph of this network (operation not permitted when stream is capturing)"
    ]


@pytest.mark.parametrize("optimizer", ["sgd", "adamw"])
def test_a_training_by_recorded_steps_is_the_training(optimizer):
    recipe = Recipe(epochs=2, batch_size=32, shift=1, flip=True, optimizer=optimizer)
    plain, recorded = trainer(recipe), trainer(recipe)
    recorded.recorder = recorder = Reruns()
    assert metrics(recorded.epochs()) == metrics(plain.epochs())
    assert weights(recorded) == weights(plain)
    assert recorder.replayed == 2 * 4 - WARM_UP


@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU")
@pytest.mark.parametrize("optimizer", ["sgd", "adamw"])
@pytest.mark.parametrize("precision", ["fp32", "bf16", "fp16"])
def test_a_gpu_trains_by_a_graph_as_it_does_step_by_step(precision, optimizer, caplog):
    recipe = Recipe(
        epochs=2, batch_size=32, shift=1, flip=True, precision=precision, optimizer=optimizer
    )
    device = torch.device("cuda")
    train, validation = TRAIN.to(device), VALIDATION.to(device)
    evaluation = Evaluation(SMALL, recipe, FEW, 3)
    recorded, plain = (Trainer(evaluation, train, validation, classes=10) for _ in range(2))
    assert isinstance(recorded.recorder, CudaGraphs)
    plain.recorder = None
    assert metrics(recorded.epochs()) == metrics(plain.epochs())
    assert weights(recorded) == weights(plain)
    assert caplog.records == []  # a graph was recorded


@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU")
@pytest.mark.parametrize("resident", [True, False])
@pytest.mark.parametrize("precision", ["bf16", "fp16"])
@pytest.mark.filterwarnings("ignore:Synchronization debug mode is a prototype")
def test_on_a_gpu_nothing_waits_within_an_epoch(precision, resident):
    recipe = Recipe(epochs=1, batch_size=8, shift=1, flip=True, precision=precision)
    device = torch.device("cuda")
    train, validation = (
        (TRAIN.to(device), VALIDATION.to(device)) if resident else (TRAIN, VALIDATION)
    )
    evaluation = Evaluation(SMALL, recipe, FEW, 3)
    each = Trainer(evaluation, train, validation, classes=10, device=device)
    batches = each.batches()
    for _ in range(WARM_UP + 1):  # and the recording
        next(batches)
    try:
        torch.cuda.set_sync_debug_mode("error")
        for _ in range(each.steps_per_epoch - WARM_UP - 1):
            assert next(batches) is None
    finally:
        torch.cuda.set_sync_debug_mode("default")
    assert each.steps_per_epoch > WARM_UP + 2


@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU")
def test_a_search_on_a_gpu_keeps_its_images_there(tmp_path):
    search = Search(small(trials=2), storage=tmp_path / "x.db", device="cuda")
    (evaluation,) = small().sample(1, seed=0)
    assert search.evaluator.backend.trainer(
        evaluation, search.evaluator.resources
    ).batches_of.resident
    assert [each.finished.state.name for each in search if each.finished] == ["COMPLETE"] * 2


@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU")
def test_images_that_stay_on_the_host_train_the_same_network():
    recipe = Recipe(epochs=1, batch_size=32, shift=1, flip=True)
    evaluation = Evaluation(SMALL, recipe, digits(limit=200), 3)
    device = torch.device("cuda")
    copied = Trainer(evaluation, TRAIN, VALIDATION, classes=10, device=device)
    resident = Trainer(evaluation, TRAIN.to(device), VALIDATION.to(device), classes=10)
    assert metrics(copied.epochs()) == metrics(resident.epochs())


@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU")
@pytest.mark.parametrize(
    "architecture", [SMALL, Architecture((Scaled2(filters=4), Dense(width=8)))]
)
def test_trainings_at_once_on_a_card_are_each_as_one_alone(architecture, caplog):
    recipe = Recipe(epochs=3, batch_size=32, shift=1, flip=True)
    device = torch.device("cuda")
    train, validation = TRAIN.to(device), VALIDATION.to(device)

    def done(seed: int) -> object:
        evaluation = Evaluation(architecture, recipe, FEW, seed)
        each = Trainer(evaluation, train, validation, classes=10)
        return metrics(each.epochs()), weights(each)

    def beside(seed: int) -> object:
        with own_stream(device):
            return done(seed)

    with ThreadPoolExecutor(8) as threads:
        assert list(threads.map(beside, range(8))) == [done(seed) for seed in range(8)]
    assert caplog.records == []  # all graphs were recorded


def test_a_network_is_gone_with_its_trainer_at_once():
    recorded = trainer(Recipe(epochs=1, batch_size=32))
    recorded.recorder = Reruns()
    network = weakref.ref(recorded.network)
    gc.disable()  # which would find circles
    try:
        list(recorded.epochs())
        del recorded
        assert network() is None
    finally:
        gc.enable()
