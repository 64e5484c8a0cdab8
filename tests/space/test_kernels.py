"""Our convolutions on processors that have fewer instructions than this one."""

import pytest
import torch
from torch import nn

from nasopt.space.blocks import Pointwise, protect
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


@pytest.mark.parametrize("padding", [0, 2, "valid"])
@pytest.mark.parametrize("kernel_size", [1, 3, (1, 5)])
def test_a_strided_convolution_of_the_user_is_what_torch_makes_of_it(kernel_size, padding):
    made = {"stride": (2, 3), "padding": padding, "dilation": (1, 2), "groups": 2}
    plain, ours = (nn.Conv2d(4, 6, kernel_size, **made).double() for _ in range(2))
    ours.load_state_dict(plain.state_dict())
    protect(ours)
    for side in [(9, 12), (5, 1), (1, 11), (1, 1)]:
        images = torch.randn(2, 4, *side, dtype=torch.float64)
        try:
            expected = plain(images)
        except RuntimeError:  # the kernel is larger than the map
            continue
        torch.testing.assert_close(ours(images), expected)
