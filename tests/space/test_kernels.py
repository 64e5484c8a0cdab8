"""Our convolutions on processors that have fewer instructions than this one."""

import pytest
import torch

from nasopt.space.blocks import Pointwise
from tests.kernels import failures


@pytest.mark.parametrize("threads", [1, 2])
def test_layers_compute_and_train_right_without_avx512(threads):
    assert failures("AVX2", threads, cases=10, seed=1) == []


@pytest.mark.parametrize("side", [(8, 8), (7, 5), (1, 9)])
@pytest.mark.parametrize("stride", [1, 2, 3])
def test_a_strided_1x1_convolution_is_that_of_a_slice_bit_for_bit(side, stride):
    strided, plain = Pointwise(3, 4, stride, groups=1), Pointwise(3, 4, 1, groups=1)
    plain.load_state_dict(strided.state_dict())
    images = torch.randn(2, 3, *side).to(memory_format=torch.channels_last)
    chosen = images[..., ::stride, ::stride].contiguous(memory_format=torch.channels_last)
    assert torch.equal(strided(images), plain(chosen))
