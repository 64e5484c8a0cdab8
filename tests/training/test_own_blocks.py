"""Networks with blocks of the user's own, in training."""

import sys
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch
from torch import nn

import nasopt
from nasopt import Architecture, Conv, Dense
from nasopt.errors import SpaceError
from tests.space.blocks_of_a_user import Attending, Plain, Scaled2
from tests.training.small import RECIPE, metrics, through_a_file, trainer, weights

MIXED = Architecture(
    (Plain(filters=4, stride=2), Scaled2(filters=4), Conv(filters=4), Attending(), Dense(width=6))
)


@pytest.fixture(scope="module")
def whole():
    done = trainer(architecture=MIXED)
    return metrics(done.batches()), weights(done)


@pytest.mark.parametrize("batches", [1, 5])
def test_a_training_with_draws_of_its_own_goes_on_bit_for_bit(whole, batches):
    begun = trainer(architecture=MIXED)
    running = begun.batches()
    found = metrics(next(running) for _ in range(batches))
    state = through_a_file(begun.state_dict())
    torch.rand(3)  # another process has drawn other numbers
    again = trainer(architecture=MIXED)
    assert again.fits(state)
    again.load_state_dict(state)
    assert (found + metrics(again.batches()), weights(again)) == whole


def test_torchs_global_generator_is_not_disturbed(whole):
    before = torch.get_rng_state()
    assert metrics(trainer(architecture=MIXED).batches()) == whole[0]
    assert torch.equal(torch.get_rng_state(), before)


def test_threads_that_train_at_once_draw_what_each_draws_alone(whole):
    before = sys.getswitchinterval()
    sys.setswitchinterval(5e-6)

    def train(_: int) -> object:
        done = trainer(architecture=MIXED)
        return metrics(done.batches()), weights(done)

    try:
        with ThreadPoolExecutor(3) as threads:
            assert list(threads.map(train, range(3))) == [whole] * 3
    finally:
        sys.setswitchinterval(before)


def test_a_block_keeps_the_weights_that_it_begins_with():
    network = trainer(architecture=MIXED).network
    scale = network.convolutions[1][-1]
    assert scale.steps.tolist() == [0, 1, 2, 3]
    assert scale.temperature == 1
    assert ((scale.gain >= 0) & (scale.gain < 1)).all()
    other = trainer(architecture=MIXED, seed=4).network.convolutions[1][-1]
    assert not torch.equal(scale.gain, other.gain)


def test_every_parameter_of_a_block_is_trained(whole):
    begun = weights(trainer(architecture=MIXED))
    # Adam moves whatever has a gradient; a bias before a batch norm has none but rounding
    same = {name for name, each in whole[1].items() if each == begun[name]}
    assert not same


class Failing(nasopt.Layer):
    """A block that goes wrong on numbers only, which no trace shows."""

    def build(self, in_shape):
        return Picky()


class Picky(nn.Module):
    def forward(self, x):
        if not x.is_meta and self.training:
            raise ValueError("these numbers are odd")
        return x


def test_what_goes_wrong_in_a_training_is_one_line():
    failing = trainer(RECIPE, Architecture((Conv(filters=2), Failing())))
    with pytest.raises(SpaceError, match=r"training: ValueError: these .*, test_own_blocks.py:\d+"):
        next(failing.batches())
