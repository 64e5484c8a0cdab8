"""`encode`: parameters that stand for a network, whatever the space."""

import pytest
from hypothesis import given

from nasopt.errors import SpaceError
from nasopt.space.architecture import Architecture
from nasopt.space.encoding import encode
from nasopt.space.fields import categorical, integer
from nasopt.space.layers import Conv, Dense, Pool
from nasopt.space.space import Space, repeat
from tests.space.test_space import spaces_and_params


@given(spaces_and_params())
def test_what_is_encoded_decodes_to_the_same_network(spaces_and_params):
    space, params = spaces_and_params
    network = space.decode(params)
    spelled = encode(space, network)
    assert spelled.keys() == space.hyperparameters.keys()
    assert all(value in space.hyperparameters[name] for name, value in spelled.items())
    assert space.decode(spelled) == network


def test_runs_of_one_kind_are_told_apart_by_their_values():
    wide, narrow = (Conv(filters=each, stride=categorical(1, 2)) for each in (8, 4))
    space = Space(repeat(wide, 0, 3), repeat(narrow, 1, 3), Dense(width=integer(4, 9))).on(
        (1, 8, 8)
    )
    network = Architecture((Conv(filters=8, stride=2), Conv(filters=4), Dense(width=7)))
    params = encode(space, network)
    assert (params["conv01.depth"], params["conv04.depth"]) == (1, 1)
    assert (params["conv01.stride"], params["conv04.stride"], params["dense01.width"]) == (2, 1, 7)


def test_a_stride_and_a_pool_that_do_nothing_are_found_as_such():
    space = Space(
        Conv(filters=categorical(4, 8), stride=categorical(2, 4)), Pool(kernel_size=2),
        min_resolution=8,
    ).on((1, 8, 8))  # fmt: skip
    params = encode(space, Architecture((Conv(filters=8),)))
    assert params == {"conv01.filters": 8, "conv01.stride": 2}


@pytest.mark.parametrize(
    "network",
    [
        Architecture((Conv(filters=5),)),
        Architecture((Conv(filters=4, kernel_size=1),)),
        Architecture((Conv(filters=4),) * 3),
        Architecture((Conv(filters=4), Dense(width=9))),
    ],
    ids=["a value", "a fixed field", "too deep", "a layer more"],
)
def test_a_network_that_is_not_in_the_space_is_refused(network):
    space = Space(repeat(Conv(filters=categorical(4, 8)), 1, 2)).on((1, 8, 8))
    with pytest.raises(SpaceError, match="not in this space; open its fields to these values"):
        encode(space, network)


def test_without_a_resolution_nothing_can_be_said():
    with pytest.raises(SpaceError, match=r"Space\.input_shape: not set; call space\.on"):
        encode(Space(Conv(filters=4)), Architecture((Conv(filters=4),)))
