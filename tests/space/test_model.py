import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from nasopt.errors import SpaceError
from nasopt.space.architecture import Architecture
from nasopt.space.layers import CONV_OPS, Conv, Dense, Pool
from nasopt.space.model import Cost, LayerCost, build, cost, layer_table
from tests.space.test_space import spaces_and_params


def test_cost_of_a_convolution_counted_by_hand():
    measured = cost(Architecture((Conv(filters=8, kernel_size=5, stride=2),)), (3, 8, 8), classes=2)
    conv, norm, head = 8 * 3 * 5 * 5, 2 * 8, (8 + 1) * 2
    assert measured.parameters == conv + norm + head
    assert measured.macs == conv * 4 * 4 + 8 * 2  # the map is 4 x 4 after the stride


def test_cost_of_a_residual_layer_that_adds_its_input_as_it_is():
    measured = cost(Architecture((Conv(filters=3, op="residual"),)), (3, 8, 8), classes=2)
    conv, norm, head = 3 * 3 * 3 * 3, 2 * 3, (3 + 1) * 2
    assert measured.parameters == conv + norm + head
    assert measured.macs == conv * 8 * 8 + 3 * 2


@pytest.mark.parametrize(("filters", "stride", "positions"), [(5, 1, 8 * 8), (3, 2, 4 * 4)])
def test_cost_of_a_residual_layer_with_a_projection(filters, stride, positions):
    layer = Conv(filters=filters, stride=stride, op="residual")
    measured = cost(Architecture((layer,)), (3, 8, 8), classes=2)
    conv, projection, norms = filters * 3 * 3 * 3, filters * 3, 2 * 2 * filters
    assert measured.parameters == conv + projection + norms + (filters + 1) * 2
    assert measured.macs == (conv + projection) * positions + filters * 2


def test_cost_of_a_separable_layer_counted_by_hand():
    layer = Conv(filters=8, kernel_size=3, stride=2, op="separable")
    measured = cost(Architecture((layer,)), (3, 8, 8), classes=2)
    depthwise, pointwise, norms, head = 3 * 3 * 3, 8 * 3, 2 * 3 + 2 * 8, (8 + 1) * 2
    assert measured.parameters == depthwise + pointwise + norms + head
    assert measured.macs == (depthwise + pointwise) * 4 * 4 + 8 * 2


def test_cost_of_an_inverted_residual_counted_by_hand():
    layer = Conv(filters=8, kernel_size=5, stride=2, op="inverted", norm="group")
    measured = cost(Architecture((layer,)), (3, 8, 8), classes=2)
    expand, depthwise, project = 18 * 3, 18 * 5 * 5, 8 * 18
    norms, head = 2 * (18 + 18 + 8), (8 + 1) * 2
    assert measured.parameters == expand + depthwise + project + norms + head
    assert measured.macs == expand * 8 * 8 + (depthwise + project) * 4 * 4 + 8 * 2


def test_cost_of_a_basic_block_without_norms_counted_by_hand():
    layer = Conv(filters=8, stride=2, op="basic", norm="none")
    measured = cost(Architecture((layer,)), (3, 8, 8), classes=2)
    convolutions, shortcut = 8 * 3 * 9 + 8 * 8 * 9, 8 * 3
    biases, head = 8 + 8 + 8, (8 + 1) * 2
    assert measured.parameters == convolutions + shortcut + biases + head
    assert measured.macs == (convolutions + shortcut) * 4 * 4 + 8 * 2


def test_cost_of_a_network_with_a_pool_and_dense_layers_row_by_row():
    architecture = Architecture(
        (Conv(filters=4), Pool(kernel_size=3), Conv(filters=6, kernel_size=1), Dense(width=16))
    )
    assert layer_table(architecture, (1, 8, 10), classes=10) == (
        LayerCost("conv", (4, 8, 10), 4 * 1 * 3 * 3 + 2 * 4, 4 * 1 * 3 * 3 * 8 * 10),
        LayerCost("pool", (4, 2, 3), 0, 0),
        LayerCost("conv", (6, 2, 3), 6 * 4 + 2 * 6, 6 * 4 * 2 * 3),
        LayerCost("dense", (16,), (6 + 1) * 16, 6 * 16),
        LayerCost("classifier", (10,), (16 + 1) * 10, 16 * 10),
    )
    assert cost(architecture, (1, 8, 10), classes=10) == Cost(
        parameters=44 + 36 + 112 + 170, macs=2_880 + 144 + 96 + 160
    )


def test_cost_of_the_largest_network_of_the_lecture():
    """Counting takes neither memory nor time: the layers of one shape are measured once."""
    layers = (Conv(filters=64, kernel_size=7),) * 20
    first, other = 64 * 3 * 7 * 7, 64 * 64 * 7 * 7
    assert cost(Architecture(layers), (3, 32, 32), classes=10) == Cost(
        parameters=first + 19 * other + 20 * 2 * 64 + (64 + 1) * 10,
        macs=(first + 19 * other) * 32 * 32 + 64 * 10,
    )


# what a 1x1 convolution of one channel is
PRODUCT = {torch.ops.aten.mul: lambda *_, out_shape, **__: 2 * math.prod(out_shape)}


@settings(deadline=None)
@given(spaces_and_params(), st.integers(1, 5))
def test_cost_and_shapes_are_those_of_the_network_that_is_built(space_and_params, classes):
    space, params = space_and_params
    architecture, shape = space.decode(params), space.input_shape
    network = build(architecture, shape, classes).eval()
    shapes = []
    for module in (*network.convolutions, *network.dense):
        module.register_forward_hook(lambda _, __, output: shapes.append(tuple(output.shape[1:])))
    with FlopCounterMode(display=False, custom_mapping=PRODUCT) as counter, torch.no_grad():
        logits = network(torch.rand(1, *shape))

    measured = cost(architecture, shape, classes)
    assert measured.parameters == sum(parameter.numel() for parameter in network.parameters())
    assert 2 * measured.macs == counter.get_total_flops()
    assert [row.out_shape for row in layer_table(architecture, shape, classes)] == shapes
    assert logits.shape == (1, classes)


@given(spaces_and_params())
def test_the_resolution_of_an_architecture_is_that_of_its_last_map(space_and_params):
    space, params = space_and_params
    architecture, shape = space.decode(params), space.input_shape
    rows = layer_table(architecture, shape, classes=2)
    last = rows[len(architecture.convolutions) - 1]
    assert architecture.resolution(shape) == last.out_shape[1:]


def test_a_network_takes_batches_and_averages_the_last_map():
    network = build(Architecture((Conv(filters=4), Dense(width=8))), (1, 8, 8), classes=3).eval()
    images = torch.rand(5, 1, 8, 8)
    with torch.no_grad():
        averaged = network.convolutions(images).mean((2, 3))
        assert torch.equal(network(images), network.dense(averaged))
        assert network(images).shape == (5, 3)


def test_counting_leaves_torch_s_default_device_as_it_was():
    cost(Architecture((Conv(filters=11),)), (1, 8, 8), classes=3)
    assert torch.empty(1).device.type == "cpu"


def test_a_pool_that_does_not_fit_its_map_is_named():
    """Only in an architecture written by hand: a space leaves such a pool out."""
    architecture = Architecture((Conv(filters=4, stride=2), Pool(kernel_size=5)))
    for use in (cost, build):
        with pytest.raises(SpaceError, match=r"Pool.kernel_size=5: .*4x4.*use 4 or less"):
            use(architecture, (1, 8, 8), 10)


@pytest.mark.parametrize("op", CONV_OPS)
@pytest.mark.parametrize("stride", [1, 2])
def test_counting_leaves_the_batch_norms_of_a_network_as_they_are(op, stride):
    """It skips those of its own: on a 1x1 map, too, where one image has nothing to average."""
    layer = Conv(filters=6, stride=stride, op=op)
    architecture = Architecture((layer, layer))
    measured = layer_table(architecture, (1, stride, stride), classes=3)
    assert measured[1].out_shape == (6, 1, 1)
    network = build(architecture, (1, stride, stride), classes=3)
    norms = [each for each in network.modules() if isinstance(each, nn.BatchNorm2d)]
    outputs = []
    for norm in norms:
        norm.register_forward_hook(lambda _, __, output: outputs.append(output.clone()))
    network(torch.rand(64, 1, stride, stride))
    assert len(outputs) == len(norms) >= 2
    for output in outputs:
        assert output.mean((0, 2, 3)).abs().max() < 1e-5
    assert measured == layer_table(architecture, (1, stride, stride), classes=3)
    counted = sum(each.weight.numel() + each.bias.numel() for each in norms)
    assert measured[0].parameters + measured[1].parameters == counted + sum(
        each.weight.numel() for each in network.modules() if isinstance(each, nn.Conv2d)
    )
