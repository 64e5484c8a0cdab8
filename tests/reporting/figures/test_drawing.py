from nasopt import Architecture, Conv, Dense, Pool
from nasopt.reporting.figures.drawing import TALLEST, WIDEST, blocks, kernel_colour, most_filters

NETWORK = Architecture(
    (
        Conv(filters=16, kernel_size=5),
        Conv(filters=32, stride=2, op="residual"),
        Pool(op="average"),
        Dense(width=10),
    )
)


def test_a_block_is_as_wide_as_its_filters_and_as_tall_as_its_map():
    first, second, pool, dense = blocks(NETWORK, (1, 8, 8), most_filters([NETWORK]))
    assert (first.width, first.height) == (WIDEST / 2, TALLEST)
    assert (second.width, second.height) == (WIDEST, TALLEST / 2)
    assert pool.height == TALLEST / 4
    assert (first.colour, second.colour) == (kernel_colour(5), kernel_colour(3))
    assert [each.skips for each in (first, second, pool, dense)] == [False, True, False, False]
    assert pool.hollow


def test_every_block_is_said_in_words():
    assert [each.words for each in blocks(NETWORK, (1, 8, 8), 32)] == [
        "Layer 1: 16 filters of 5x5, stride 1, map of 8x8",
        "Layer 2: residual, 32 filters of 3x3, stride 2, map of 4x4",
        "Layer 3: average pooling of 2x2, map of 2x2",
        "Layer 4: fully connected, 10 wide",
    ]
