"""`Trainer`: its schedules, its precisions, and what it leaves to the device."""

import math
from itertools import islice
from typing import Any

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from nasopt.training.devices import find_device
from nasopt.training.evaluation import Evaluation, Recipe
from nasopt.training.trainer import Trainer, learning_rate
from tests.training.small import (
    FEW,
    SMALL,
    TRAIN,
    VALIDATION,
    metrics,
    through_a_file,
    trainer,
    weights,
)


def test_the_constant_schedule_keeps_the_rate():
    recipe = Recipe(lr=0.3, schedule="constant")
    assert [learning_rate(recipe, step, 3) for step in range(3)] == [0.3, 0.3, 0.3]


def test_the_cosine_schedule_decays_it_to_zero():
    recipe = Recipe(lr=2.0, schedule="cosine")
    eighths = [1 / 8, 3 / 8, 5 / 8, 7 / 8]  # the middles of four steps
    expected = [1 + math.cos(math.pi * done) for done in eighths]
    assert [learning_rate(recipe, step, 4) for step in range(4)] == pytest.approx(expected)


def test_the_onecycle_schedule_rises_for_a_quarter_and_falls_to_zero():
    recipe = Recipe(lr=3.0, schedule="onecycle")
    rates = [learning_rate(recipe, step, 8) for step in range(8)]
    rising = [3 * 4 * done / 16 for done in (1, 3)]  # the middles of eight steps are odd / 16
    falling = [3 * (4 / 3) * (16 - done) / 16 for done in (5, 7, 9, 11, 13, 15)]
    assert rates == pytest.approx(rising + falling)


def test_every_step_takes_its_own_rate_over_all_epochs():
    recipe = Recipe(epochs=2, batch_size=32, schedule="cosine")
    each = trainer(recipe)
    rates = [each.optimizer.param_groups[0]["lr"] for result in each.batches() if result is None]
    assert rates == [learning_rate(recipe, step, steps=2 * 4) for step in range(2 * 4)]
    assert {group["lr"] for group in each.optimizer.param_groups} == {rates[-1]}


def test_precision_auto_is_fp32_for_digits_on_a_cpu():
    def after_an_epoch(precision: str) -> Any:
        return metrics(trainer(Recipe(epochs=1, batch_size=32, precision=precision)).epochs())

    assert after_an_epoch("auto") == after_an_epoch("fp32")
    assert after_an_epoch("auto") != after_an_epoch("bf16")


@pytest.mark.parametrize("precision", ["fp16", "bf16"])
def test_half_precision_resumes_bit_for_bit(precision):
    recipe = Recipe(epochs=2, batch_size=32, precision=precision)
    whole, first, second = trainer(recipe), trainer(recipe), trainer(recipe)
    uninterrupted = metrics(whole.epochs())
    list(islice(first.batches(), 6))
    second.load_state_dict(through_a_file(first.state_dict()))
    assert metrics(second.epochs()) == uninterrupted[1:]


def test_the_scale_of_half_precision_is_part_of_the_state():
    recipe = Recipe(epochs=2, batch_size=32, precision="fp16")
    first, second = trainer(recipe), trainer(recipe)
    state = first.state_dict()
    state["scaler"] = state["scaler"] | {"scale": 128.0, "_growth_tracker": 5}
    second.load_state_dict(through_a_file(state))
    assert second.state_dict()["scaler"] == state["scaler"]


@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU")
def test_a_gpu_trains_and_resumes():
    device = find_device("cuda")
    recipe = Recipe(epochs=2, batch_size=32, shift=1, flip=True)
    evaluation = Evaluation(SMALL, recipe, FEW, 3)
    train, validation = TRAIN.to(device), VALIDATION.to(device)
    first, second = (Trainer(evaluation, train, validation, classes=10) for _ in range(2))
    assert weights(first) == weights(trainer(recipe))  # the same on every device
    list(islice(first.batches(), 6))
    second.load_state_dict(through_a_file(first.state_dict()))
    (result,) = second.epochs()
    assert result.device == torch.cuda.get_device_name()


@pytest.mark.parametrize("optimizer", ["sgd", "adamw"])
def test_a_state_of_another_device_goes_on_with_ones_own_options(optimizer):
    recipe = Recipe(epochs=2, batch_size=32, optimizer=optimizer, precision="fp16")
    first, second = trainer(recipe), trainer(recipe)
    list(islice(first.batches(), 2))
    state = through_a_file(first.state_dict())
    state["scaler"] = {}  # as of a device that needs none
    for group in state["optimizer"]["param_groups"]:
        group["lr"], group["fused"] = 123.0, None
    own = second.optimizer.state_dict()["param_groups"]
    second.load_state_dict(state)
    assert second.optimizer.state_dict()["param_groups"] == own
    list(islice(second.batches(), 2))
    assert second.batch == 4


def test_a_first_step_that_overflows_leaves_no_trace_in_the_momentum():
    each = trainer(Recipe(epochs=1, batch_size=32, precision="fp16"))
    before = weights(each)
    for parameter in each.network.parameters():
        parameter.grad = torch.full_like(parameter, math.inf)
    each.scaler.scale(torch.zeros(()))
    each.scaler.step(each.optimizer)
    each.scaler.update()
    each.optimizer.zero_grad()
    for parameter in each.network.parameters():
        parameter.grad = torch.zeros_like(parameter)
    for group in each.optimizer.param_groups:
        group["weight_decay"] = 0.0
    each.optimizer.step()
    assert weights(each) == before


class Watch(TorchDispatchMode):
    """Notes every operation by which a host waits for its device."""

    def __init__(self) -> None:
        super().__init__()
        self.waits: list[str] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func in WAITS:
            self.waits.append(str(func))
        return func(*args, **(kwargs or {}))


aten = torch.ops.aten

WAITS = {
    aten._local_scalar_dense.default,  # item(), float(), bool(), tolist()
    aten.nonzero.default,  # a mask as an index
    aten.masked_select.default,
    aten.is_nonzero.default,
    aten.equal.default,
    aten._unique2.default,
    aten.bincount.default,
}


@pytest.mark.parametrize("optimizer", ["sgd", "adamw"])
def test_nothing_waits_for_the_device_but_the_end_of_an_epoch(optimizer):
    recipe = Recipe(
        epochs=2, batch_size=32, optimizer=optimizer,
        shift=1, flip=True, crop=0.5, jitter=0.2, cutout=2,
    )  # fmt: skip
    each = trainer(recipe)
    waits = []
    batches = each.batches()
    for _ in range(2 * 5):  # 4 batches and a result, twice
        with Watch() as watch:
            next(batches)
        waits.append(watch.waits)
    scalar = str(aten._local_scalar_dense.default)
    counted = str(aten.bincount.default)  # on the host, of what it has been sent
    epoch = [[], [], [], [], [counted, scalar, scalar]]  # and losses: read at the end
    assert waits == epoch + epoch
