import copy
import math

import pytest
import torch
from torch import nn
from torchvision.models.mobilenetv2 import InvertedResidual
from torchvision.models.resnet import BasicBlock

from nasopt.space.blocks import GroupNorm
from nasopt.space.layers import (
    ACTIVATIONS,
    CONV_OPS,
    NORMS,
    Conv,
)


def test_a_residual_layer_adds_its_input_before_the_relu():
    layer = Conv(filters=2, kernel_size=1, op="residual").build((2, 1, 1)).eval()
    weight = layer.branch[0].weight
    images = torch.tensor([1.0, -3.0]).view(1, 2, 1, 1)
    with torch.no_grad():
        weight.zero_()
        assert torch.equal(layer(images), images.relu())  # nothing but the input
        weight[:] = 2 * torch.eye(2).view(2, 2, 1, 1)
        normalised = 2 * images / math.sqrt(1 + layer.branch[1].eps)  # statistics are 0 and 1
        torch.testing.assert_close(layer(images), (images + normalised).relu())


def test_a_separable_layer_mixes_channels_only_in_its_second_convolution():
    depthwise, pointwise = (
        module
        for module in Conv(filters=5, kernel_size=3, op="separable").build((3, 8, 8))
        if isinstance(module, torch.nn.Conv2d)
    )
    assert depthwise.weight.shape == (3, 1, 3, 3)
    assert pointwise.weight.shape == (5, 3, 1, 1)


@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("op", CONV_OPS)
def test_gradients_are_those_of_the_same_layer_in_float64(op, activation, norm):
    layer = Conv(filters=6, kernel_size=3, stride=2, op=op, activation=activation, norm=norm)
    torch.manual_seed(0)
    module = layer.build((4, 9, 7))
    exact = copy.deepcopy(module).double()
    images = torch.randn(5, 4, 9, 7)
    for each, inputs in ((module, images), (exact, images.double())):
        each(inputs).square().sum().backward()
    for (name, ours), theirs in zip(module.named_parameters(), exact.parameters(), strict=True):
        scale = theirs.grad.abs().max().clamp(min=1.0)
        error = ((ours.grad - theirs.grad).abs().max() / scale).item()
        assert error < 2e-4, name


def test_an_inverted_residual_adds_its_input_where_the_shapes_are_equal():
    images = torch.randn(2, 4, 5, 5)
    for filters, stride, added in ((4, 1, 1.0), (5, 1, 0.0), (4, 2, 0.0)):
        module = Conv(filters=filters, stride=stride, op="inverted").build((4, 5, 5)).eval()
        for parameter in module.parameters():
            torch.nn.init.zeros_(parameter)
        expected = added * images if added else torch.zeros(1)
        assert torch.equal(module(images), expected.expand_as(module(images)))


def test_a_basic_block_is_that_of_torchvision():
    theirs = BasicBlock(4, 6, stride=2, downsample=nn.Sequential(
        nn.Conv2d(4, 6, 1, 2, bias=False), nn.BatchNorm2d(6)
    ))  # fmt: skip
    ours = Conv(filters=6, stride=2, op="basic").build((4, 8, 8))
    parts = [(ours.branch[0], theirs.conv1), (ours.branch[3], theirs.conv2)]
    parts.append((ours.shortcut[0], theirs.downsample[0]))
    for own, other in parts:
        own.load_state_dict(other.state_dict())
    images = torch.randn(3, 4, 8, 8)
    torch.testing.assert_close(ours(images), theirs(images))


def test_an_inverted_residual_is_that_of_torchvision():
    theirs = InvertedResidual(4, 4, stride=1, expand_ratio=6)
    ours = Conv(filters=4, op="inverted").build((4, 8, 8))
    own = [each for each in ours.modules() if isinstance(each, nn.Conv2d)]
    other = [each for each in theirs.modules() if isinstance(each, nn.Conv2d)]
    for one, two in zip(own, other, strict=True):
        one.load_state_dict(two.state_dict())
    images = torch.randn(3, 4, 8, 8) / 9  # theirs ends at 6, which such small ones do not reach
    torch.testing.assert_close(ours(images), theirs(images))


@pytest.mark.parametrize(
    ("channels", "groups"), [(1, 1), (7, 1), (12, 1), (16, 2), (24, 2), (36, 4), (64, 8), (999, 1)]
)
def test_a_group_norm_has_groups_of_eight_channels_or_more(channels, groups):
    assert GroupNorm(channels).num_groups == groups


def test_a_group_norm_takes_a_single_value():
    layer = Conv(filters=1, norm="group").build((1, 1, 1)).eval()
    assert layer(torch.ones(1, 1, 1, 1)).shape == (1, 1, 1, 1)
