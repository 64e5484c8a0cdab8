import itertools
import math

import pytest
from hypothesis import assume, given

from nasopt.errors import SpaceError
from nasopt.space.fields import categorical, integer
from nasopt.space.layers import Conv, Dense, Pool
from nasopt.space.space import Space, repeat
from tests.space.test_space import LECTURE, SPACES

STRIDED = Conv(filters=4, stride=categorical(1, 2))


def enumerated(space):
    """Number of different networks, by decoding every choice of parameters."""
    candidates = [field.candidates for field in space.hyperparameters.values()]
    choices = (
        dict(zip(space.hyperparameters, each, strict=True))
        for each in itertools.product(*candidates)
    )
    return len({space.decode(params).key for params in choices})


@given(SPACES)
def test_the_count_is_that_of_enumeration(space):
    assume(math.prod(field.size for field in space.hyperparameters.values()) <= 400)
    assert space.distinct == enumerated(space)


@pytest.mark.parametrize(
    ("space", "distinct"),
    [
        # Of 2^3 choices of strides on 4 x 4 those with 0, 1 or 2 strides of 2 are networks: the
        # third acts as 1, and the choice of all three is that of the first two.
        (Space(repeat(STRIDED, 3)).on((1, 4, 4)), 1 + 3 + 3),
        (Space(repeat(STRIDED, 3), min_resolution=2).on((1, 4, 4)), 1 + 3),
        (Space(repeat(STRIDED, 3)).on((1, 1, 1)), 1),
        # No pool, which is what a pool of 1 is too, one of 2 x 2, or one of 3 x 3.
        (Space(Conv(filters=4), repeat(Pool(kernel_size=integer(1, 3)), 0, 1)).on((1, 5, 5)), 3),
        # Depths of 1 to 3 in two repeats of one layer make 2, ..., 6 layers.
        (Space(repeat(Conv(filters=4), 1, 3), repeat(Conv(filters=4), 1, 3)).on((1, 8, 8)), 5),
        # Either repeat may spell one layer, and both offer 10: 19 networks; 10 * 10 have both.
        (
            Space(
                Conv(filters=4),
                repeat(Conv(filters=integer(1, 10)), 0, 1),
                repeat(Conv(filters=integer(10, 19)), 0, 1),
            ).on((1, 8, 8)),
            1 + 19 + 10 * 10,
        ),
        # The order of the choices tells no networks apart: no layer, one of 2, or 2 * 2 pairs.
        (
            Space(
                Conv(filters=4),
                repeat(Conv(filters=categorical(8, 16)), 0, 1),
                repeat(Conv(filters=categorical(16, 8)), 0, 1),
            ).on((1, 8, 8)),
            1 + 2 + 4,
        ),
        (Space(STRIDED, repeat(Dense(width=integer(1, 9)), 0, 2)).on((1, 8, 8)), 2 * (1 + 9 + 81)),
    ],
)
def test_the_count_of_spaces_counted_by_hand(space, distinct):
    assert space.distinct == distinct == enumerated(space)


def test_the_lecture_s_space_is_counted_at_once():
    """On 32 x 32 five strides of 2 act: the first five of those that are chosen.

    A network is where they stand, 20 choose at most 5 places, and 12 filters and kernels a layer.
    """
    places = 1 + 20 + 190 + 1_140 + 4_845 + 15_504
    assert Space(repeat(LECTURE, 20)).on((3, 32, 32)).distinct == 12**20 * places


def test_wide_fields_that_overlap_are_counted_without_enumeration():
    space = Space(
        repeat(Conv(filters=integer(1, 1_000)), 3), Conv(filters=integer(501, 1_500))
    ).on((3, 32, 32))  # fmt: skip
    assert space.distinct == 1_000**4


@given(SPACES)
def test_there_are_never_more_networks_than_ways_to_write_them(space):
    assert 1 <= space.distinct <= space.size


def test_without_images_there_is_nothing_to_count():
    with pytest.raises(SpaceError) as raised:
        _ = Space(LECTURE).distinct
    assert str(raised.value) == (
        "Space.input_shape: not set; call space.on(dataset.input_shape)"
    )  # fmt: skip


def test_what_would_take_too_long_to_count_is_left_uncounted():
    def layer(first: int) -> Conv:
        return Conv(
            filters=categorical(first, first + 1, first + 2),
            kernel_size=categorical(3, 5, 7),
            stride=categorical(1, 2),
        )

    space = Space(*[repeat(layer(i), 0 if i > 1 else 1, 3) for i in range(1, 17)])
    assert space.on((3, 224, 224)).distinct is None
