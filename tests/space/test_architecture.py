import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nasopt.errors import SpaceError
from nasopt.space.architecture import Architecture
from nasopt.space.fields import categorical
from nasopt.space.layers import Conv, Dense, Pool
from tests.space.test_layers import CONVS, DENSES, POOLS

ARCHITECTURES = st.builds(
    lambda first, conv, more, dense: Architecture((*first, conv, *more, *dense)),
    st.lists(POOLS, max_size=1),
    CONVS,
    st.lists(st.one_of(CONVS, POOLS), max_size=3),
    st.lists(DENSES, max_size=2),
)
RESOLUTIONS = st.tuples(st.integers(1, 9), st.integers(1, 9))


@pytest.mark.parametrize(
    ("layers", "message"),
    [
        ((), "layers=(): zero layers; begin with a Conv"),
        ((Dense(width=8),), "layers: no Conv among them; a network needs at least one"),
        ((Pool(), Dense(width=8)), "layers: no Conv among them; a network needs at least one"),
        (
            (Conv(filters=8), Dense(width=8), Conv(filters=8)),
            "layers: a Dense stands before a Conv; put the dense layers last",
        ),
        (
            (Conv(filters=8), Dense(width=8), Dense(width=8), Pool()),
            "layers: a Dense stands before a Pool; put the dense layers last",
        ),
        (
            (Conv(filters=8, kernel_size=categorical(3, 5)),),
            "Conv.kernel_size=categorical(3, 5) is still open; choose one of its values",
        ),
    ],
)
def test_an_architecture_that_cannot_be_says_why(layers, message):
    with pytest.raises(SpaceError) as raised:
        Architecture(layers)
    assert str(raised.value) == message


def test_the_layers_before_and_after_global_pooling_are_told_apart():
    layers = (Pool(), Conv(filters=8), Pool(op="average"), Dense(width=8), Dense(width=4))
    assert Architecture(layers).convolutions == layers[:3]
    assert Architecture(layers).dense == layers[3:]


@given(ARCHITECTURES)
def test_an_architecture_comes_back_from_json_as_it_was(architecture):
    back = Architecture.from_json(json.loads(json.dumps(architecture.to_json())))
    assert back == architecture
    assert back.key == architecture.key


@given(ARCHITECTURES, ARCHITECTURES)
def test_keys_are_equal_exactly_if_the_layers_are(one, other):
    assert (one.key == other.key) == (one.layers == other.layers)
    assert Architecture(one.layers).key == one.key


def test_the_key_is_the_same_on_every_machine():
    architecture = Architecture((Conv(filters=8, stride=2), Pool(), Dense(width=16)))
    assert architecture.key == "c203a82337bf09a1c6752aa996efc2c7"


@given(ARCHITECTURES, RESOLUTIONS, st.integers(1, 3))
def test_the_canonical_form_is_its_own_canonical_form(architecture, resolution, least):
    once = architecture.canonical((3, *resolution), least)
    assert once.canonical((3, *resolution), least) == once


@given(ARCHITECTURES, RESOLUTIONS, st.integers(1, 3))
def test_the_canonical_form_never_shrinks_the_map_below_the_least(architecture, resolution, least):
    last = architecture.canonical((3, *resolution), least).resolution((3, *resolution))
    assert all(after >= min(least, before) for before, after in zip(resolution, last, strict=True))


@pytest.mark.parametrize(
    ("written", "canonical"),
    [
        (  # 8 x 8 -> 4 x 4 -> 2 x 2 -> 1 x 1, and there is nothing left to shrink
            [Conv(filters=4, stride=2)] * 5,
            [Conv(filters=4, stride=2)] * 3 + [Conv(filters=4, stride=1)] * 2,
        ),
        (  # 8 x 8 -> 2 x 2; a window of 3 x 3 does not fit
            [Conv(filters=4), Pool(kernel_size=4), Pool(kernel_size=3), Dense(width=2)],
            [Conv(filters=4), Pool(kernel_size=4), Dense(width=2)],
        ),
        (
            [Pool(kernel_size=1), Conv(filters=4), Pool(kernel_size=1, op="average")],
            [Conv(filters=4)],
        ),
    ],
)
def test_the_canonical_form_of_networks_for_images_of_8_by_8(written, canonical):
    assert Architecture(tuple(written)).canonical((1, 8, 8)).layers == tuple(canonical)


def test_a_higher_least_resolution_holds_strides_back_earlier():
    architecture = Architecture((Conv(filters=4, stride=2), Conv(filters=4, stride=2), Pool()))
    assert architecture.canonical((1, 8, 8), min_resolution=4) == Architecture(
        (Conv(filters=4, stride=2), Conv(filters=4, stride=1))
    )


def test_two_spellings_of_one_network_have_one_key():
    """On a map of 2 x 2 strides of 2 and 3 both leave the first pixel alone."""
    shrunk = [
        Architecture((Conv(filters=4, stride=4), Conv(filters=4, stride=stride)))
        for stride in (2, 3)
    ]
    assert len({each.canonical((1, 8, 8)).key for each in shrunk}) == 1


def test_the_resolution_is_that_of_the_last_feature_map():
    architecture = Architecture((Conv(filters=4, stride=2), Pool(), Dense(width=3)))
    assert architecture.resolution((1, 9, 12)) == (2, 3)  # 9 -> 5 -> 2 and 12 -> 6 -> 3
