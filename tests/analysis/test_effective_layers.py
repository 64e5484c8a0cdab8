import pytest

from nasopt import Conv, Dense, Pool, Space, categorical, integer, repeat
from nasopt.analysis.effective_layers import EffectiveLayers
from nasopt.space.fields import RandomTrial

SPACES = [
    Space(repeat(Conv(filters=categorical(4, 8), stride=categorical(1, 2, 9)), 1, 6)),
    Space(
        repeat(Conv(filters=categorical(4, 8), op=categorical("conv", "residual")), 2),
        repeat(Pool(kernel_size=categorical(2, 3)), 0, 2),
        Conv(filters=integer(1, 9)),
        Pool(),
        repeat(Dense(width=categorical(8, 16)), 0, 2),
        min_resolution=2,
    ),
]


@pytest.mark.parametrize("space", SPACES)
def test_the_layers_are_those_that_the_space_decodes(space):
    space = space.on((1, 8, 8))
    networks, dice = EffectiveLayers(space), RandomTrial(0)
    for _ in range(50):
        params = {name: field.suggest(dice, name) for name, field in space.hyperparameters.items()}
        found = networks.layers(params)
        assert tuple(found.values()) == space.decode(params).layers
        assert list(found) == [name for name in space_names(space) if name in found]


def space_names(space):
    return [name for part in space.parts for name in part.names]
