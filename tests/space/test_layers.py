import itertools
import json

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from nasopt.errors import SpaceError
from nasopt.space.fields import categorical, integer, real
from nasopt.space.layers import (
    ACTIVATIONS,
    CONV_OPS,
    KINDS,
    NORMS,
    POOL_OPS,
    Conv,
    Dense,
    Pool,
    Wording,
    layer_from_json,
)

CONVS = st.builds(
    Conv,
    filters=st.integers(1, 4),
    kernel_size=st.sampled_from((1, 3, 5)),
    stride=st.integers(1, 3),
    op=st.sampled_from(CONV_OPS),
    activation=st.sampled_from(ACTIVATIONS),
    norm=st.sampled_from(NORMS),
)
POOLS = st.builds(Pool, kernel_size=st.integers(1, 3), op=st.sampled_from(POOL_OPS))
DENSES = st.builds(Dense, width=st.integers(1, 4))


def maybe_open(values):
    """One of `values`, or a field that is open to a few of them."""
    few = st.lists(values, min_size=1, max_size=3, unique=True)
    return st.one_of(values, few.map(lambda choices: categorical(*choices)))


def maybe_open_number(high):
    ends = st.lists(st.integers(1, high), min_size=2, max_size=2).map(sorted)
    integers = st.builds(lambda ends, step: integer(*ends, step), ends, st.integers(1, 2))
    return st.one_of(maybe_open(st.integers(1, high)), integers)


OPEN_CONVS = st.builds(
    Conv,
    filters=maybe_open_number(4),
    kernel_size=maybe_open(st.sampled_from((1, 3))),
    stride=maybe_open_number(3),
    op=maybe_open(st.sampled_from(CONV_OPS)),
    activation=st.just("relu") | maybe_open(st.sampled_from(ACTIVATIONS)),
    norm=st.just("batch") | maybe_open(st.sampled_from(NORMS)),
)
OPEN_POOLS = st.builds(
    Pool, kernel_size=maybe_open_number(3), op=maybe_open(st.sampled_from(POOL_OPS))
)
OPEN_DENSES = st.builds(Dense, width=maybe_open_number(4))


@pytest.mark.parametrize(
    ("write", "message"),
    [
        (lambda: Conv(filters=-8), "Conv.filters=-8: use 1 or more"),
        (lambda: Conv(filters=0), "Conv.filters=0: use 1 or more"),
        (lambda: Conv(filters=8.0), "Conv.filters=8.0: not a whole number; use 1, 2, 3, ..."),
        (lambda: Conv(filters="8"), "Conv.filters='8': not a whole number; use 1, 2, 3, ..."),
        (lambda: Conv(filters=True), "Conv.filters=True: not a whole number; use 1, 2, 3, ..."),
        (lambda: Conv(filters=categorical(8, -1)), "Conv.filters=-1: use 1 or more"),
        (lambda: Conv(filters=integer(0, 8)), "Conv.filters=0: use 1 or more"),
        (
            lambda: Conv(filters=real(1, 8)),
            "Conv.filters=real(1.0, 8.0): not whole numbers; use integer(low, high)",
        ),
        (lambda: Conv(filters=8, stride=0), "Conv.stride=0: use 1 or more"),
        (lambda: Conv(filters=8, stride=categorical(1, 0)), "Conv.stride=0: use 1 or more"),
        (lambda: Conv(filters=8, kernel_size=0), "Conv.kernel_size=0: use 1 or more"),
        (
            lambda: Conv(filters=8, kernel_size=4),
            "Conv.kernel_size=4: an even kernel has no centre to pad around; use 3 or 5",
        ),
        (
            lambda: Conv(filters=8, kernel_size=categorical(3, 6)),
            "Conv.kernel_size=6: an even kernel has no centre to pad around; use 5 or 7",
        ),
        (
            lambda: Conv(filters=8, kernel_size=integer(3, 7)),
            "Conv.kernel_size=4: an even kernel has no centre to pad around; use 3 or 5",
        ),
        (lambda: Conv(filters=8, kernel_size=33), "Conv.kernel_size=33: use 31 or less"),
        (
            lambda: Conv(filters=8, kernel_size=categorical(3, 33)),
            "Conv.kernel_size=33: use 31 or less",
        ),
        (
            lambda: Conv(filters=8, kernel_size=integer(3, 33, 2)),
            "Conv.kernel_size=33: use 31 or less",
        ),
        (
            lambda: Conv(filters=8, op="residul"),
            "Conv.op='residul': unknown; did you mean residual?",
        ),
        (
            lambda: Conv(filters=8, op=categorical("conv", "max")),
            "Conv.op='max': unknown; choose from basic, conv, inverted, residual, separable",
        ),
        (
            lambda: Conv(filters=8, activation="sil"),
            "Conv.activation='sil': unknown; did you mean silu?",
        ),
        (
            lambda: Conv(filters=8, norm=categorical("batch", "layer")),
            "Conv.norm='layer': unknown; choose from batch, group, none",
        ),
        (
            lambda: Conv(filters=8, norm=None),
            "Conv.norm=None: unknown; did you mean none?",
        ),
        (lambda: Pool(kernel_size=0), "Pool.kernel_size=0: use 1 or more"),
        (lambda: Pool(op="avg"), "Pool.op='avg': unknown; did you mean average?"),
        (lambda: Dense(width=0), "Dense.width=0: use 1 or more"),
        (lambda: Dense(width=integer(-1, 8)), "Dense.width=-1: use 1 or more"),
        (lambda: Dense(width=None), "Dense.width=None: not a whole number; use 1, 2, 3, ..."),
    ],
)
def test_a_layer_that_cannot_be_says_why_where_it_is_written(write, message):
    with pytest.raises(SpaceError) as raised:
        write()
    assert str(raised.value) == message


def test_what_is_allowed_at_the_edges():
    Conv(filters=1, kernel_size=31, stride=100)
    Conv(filters=integer(1, 10**9), kernel_size=integer(1, 31, 2))
    Pool(kernel_size=2)
    Dense(width=1)


def test_open_fields_are_listed_as_declared_and_closed_by_choosing():
    layer = Conv(stride=categorical(1, 2), filters=integer(1, 9), kernel_size=5)
    assert list(layer.open_fields) == ["filters", "stride"]
    chosen = layer.choose({"filters": 7, "stride": 2})
    assert chosen == Conv(filters=7, kernel_size=5, stride=2)
    assert chosen.open_fields == {}
    assert chosen.choose({}) == chosen


def test_choosing_a_value_is_checked_like_writing_it():
    with pytest.raises(SpaceError, match=r"Conv.filters=0: use 1 or more"):
        Conv(filters=categorical(1, 2)).choose({"filters": 0})


@pytest.mark.parametrize(
    ("layer", "message"),
    [
        (
            Conv(filters=categorical(8, 16)),
            "Conv.filters=categorical(8, 16) is still open; choose one of its values",
        ),
        (
            Dense(width=integer(1, 9)),
            "Dense.width=integer(1, 9) is still open; choose one of its values",
        ),
    ],
)
def test_an_open_layer_cannot_be_built(layer, message):
    with pytest.raises(SpaceError) as raised:
        layer.build((3, 8, 8))
    assert str(raised.value) == message


@given(st.one_of(OPEN_CONVS, OPEN_POOLS, OPEN_DENSES))
def test_a_layer_comes_back_from_json_as_it_was(layer):
    assert layer_from_json(json.loads(json.dumps(layer.to_json()))) == layer


def test_the_json_of_a_layer_names_its_kind_and_every_field():
    assert Conv(filters=categorical(8, 16)).to_json() == {
        "layer": "conv",
        "filters": {"categorical": [8, 16]},
        "kernel_size": 3,
        "stride": 1,
        "op": "conv",
    }


def test_fields_that_came_later_are_written_where_they_are_not_as_they_were_before():
    open_to_one = Conv(filters=8, activation=categorical("relu"), norm="group")
    assert open_to_one.to_json() == {
        **Conv(filters=8).to_json(),
        "activation": {"categorical": ["relu"]},
        "norm": "group",
    }


def test_every_kind_of_layer_is_registered_under_its_own_name():
    assert {"conv": Conv, "pool": Pool, "dense": Dense} == KINDS
    assert all(layer.kind == name for name, layer in KINDS.items())


SIDES = (1, 2, 3, 4, 5, 8, 9, 32)


@pytest.mark.parametrize("op", CONV_OPS)
@pytest.mark.parametrize("stride", [1, 2, 3, 4])
@pytest.mark.parametrize("kernel_size", [1, 3, 5, 31])
def test_a_convolution_shrinks_the_map_as_its_module_does(op, stride, kernel_size):
    layer = Conv(filters=2, kernel_size=kernel_size, stride=stride, op=op)
    with torch.device("meta"):
        for height, width in itertools.product(SIDES, SIDES):
            module = layer.build((3, height, width)).eval()
            output = module(torch.empty(1, 3, height, width))
            assert output.shape == (1, 2, *layer.shrink((height, width)))


@pytest.mark.parametrize("op", POOL_OPS)
@pytest.mark.parametrize("kernel_size", [1, 2, 3, 4])
def test_a_pool_shrinks_the_map_as_its_module_does(op, kernel_size):
    layer = Pool(kernel_size=kernel_size, op=op)
    for height, width in itertools.product(SIDES, SIDES):
        if min(height, width) >= kernel_size:
            module = layer.build((3, height, width))
            output = module(torch.empty(1, 3, height, width, device="meta"))
            assert output.shape == (1, 3, *layer.shrink((height, width)))


def test_a_dense_layer_leaves_the_resolution_as_it_is():
    assert Dense(width=3).shrink((8, 4)) == (8, 4)


@pytest.mark.parametrize(
    ("layer", "resolution", "min_resolution", "effective"),
    [
        (Conv(filters=1, stride=2), (8, 8), 4, Conv(filters=1, stride=2)),
        (Conv(filters=1, stride=2), (8, 8), 5, Conv(filters=1, stride=1)),
        (Conv(filters=1, stride=2), (9, 9), 5, Conv(filters=1, stride=2)),
        (Conv(filters=1, stride=2), (8, 6), 4, Conv(filters=1, stride=1)),
        (Conv(filters=1, stride=2), (1, 1), 1, Conv(filters=1, stride=1)),
        (Conv(filters=1, stride=2), (2, 1), 1, Conv(filters=1, stride=2)),
        (Pool(kernel_size=2), (8, 8), 4, Pool(kernel_size=2)),
        (Pool(kernel_size=2), (9, 9), 5, None),
        (Pool(kernel_size=2), (1, 1), 1, None),
        (Pool(kernel_size=2), (8, 1), 1, None),
        (Pool(kernel_size=1), (8, 8), 1, None),
        (Dense(width=3), (1, 1), 9, Dense(width=3)),
    ],
)
def test_what_has_no_effect_or_shrinks_too_far_does_not_act(
    layer, resolution, min_resolution, effective
):
    assert layer.effective(resolution, min_resolution) == effective


@given(CONVS, st.tuples(st.integers(1, 6), st.integers(1, 6)))
def test_the_effective_form_of_a_convolution_computes_the_same(layer, resolution):
    """Where shrinking is allowed; a residual one whose stride has no effect loses its shortcut."""
    effective = layer.effective(resolution, min_resolution=1)
    assert effective.shrink(resolution) == layer.shrink(resolution)
    if layer.op in ("conv", "separable") or (layer.stride == 1) == (effective.stride == 1):
        written, acting = layer.build((2, 1, 1)).eval(), effective.build((2, 1, 1)).eval()
        acting.load_state_dict(written.state_dict())
        images = torch.rand(1, 2, *resolution)
        with torch.no_grad():
            torch.testing.assert_close(acting(images), written(images))


@pytest.mark.parametrize(("op", "pooled"), [("max", 4.0), ("average", 2.5)])
def test_a_pool_takes_the_maximum_or_the_mean_of_its_window(op, pooled):
    window = torch.tensor([[1.0, 2.0], [3.0, 4.0]]).view(1, 1, 2, 2)
    assert Pool(op=op).build((1, 2, 2))(window).item() == pooled


@pytest.mark.parametrize(
    ("layer", "wording"),
    [
        (
            Conv(filters=48, kernel_size=5, stride=2),
            Wording("conv", "48", "5x5", "2", "48·5/2", "48 filters of 5x5, stride 2"),
        ),
        (
            Conv(filters=8, op="residual"),
            Wording("res", "8", "3x3", "1", "+8·3", "residual, 8 filters of 3x3, stride 1"),
        ),
        (
            Conv(filters=8, kernel_size=1, op="separable"),
            Wording("sep", "8", "1x1", "1", "~8·1", "separable, 8 filters of 1x1, stride 1"),
        ),
        (
            Conv(filters=8, stride=2, op="inverted", activation="silu", norm="group"),
            Wording(
                "inv·silu·group norm",
                "8",
                "3x3",
                "2",
                "^8·3/2·silu·group-norm",
                "inverted residual, 8 filters of 3x3, stride 2, silu, group norm",
            ),
        ),
        (
            Conv(filters=8, op="basic", norm="none"),
            Wording(
                "basic·no norm",
                "8",
                "3x3",
                "1",
                "#8·3·no-norm",
                "basic residual block, 8 filters of 3x3, stride 1, no norm",
            ),
        ),
        (Pool(), Wording("max", "", "2x2", "2", "max·2", "max pooling of 2x2")),
        (
            Pool(kernel_size=3, op="average"),
            Wording("avg", "", "3x3", "3", "avg·3", "average pooling of 3x3"),
        ),
        (Dense(width=64), Wording("dense", "64", "", "", "dense·64", "fully connected, 64 wide")),
    ],
)
def test_a_chosen_layer_is_put_into_words(layer, wording):
    assert layer.wording == wording


@given(st.one_of(CONVS, POOLS, DENSES), st.one_of(CONVS, POOLS, DENSES))
def test_different_layers_have_different_words(one, other):
    assert (one == other) == (one.wording == other.wording)
    assert (one == other) == (one.wording.short == other.wording.short)


def test_an_open_layer_has_no_words():
    with pytest.raises(SpaceError, match="still open"):
        _ = Conv(filters=categorical(4, 8)).wording


# the modules
