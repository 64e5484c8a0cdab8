"""Small networks for 8x8 digits: 3 to 6 layers and at most 3,000 parameters."""

from nasopt import Conv, Experiment, Recipe, Space, categorical, parameters, repeat
from nasopt.data import digits

experiment = Experiment(
    dataset=digits(),
    space=Space(
        repeat(
            Conv(
                filters=categorical(4, 8, 16, 32),
                kernel_size=categorical(1, 3, 5),
                stride=categorical(1, 2),
            ),
            3,
            6,
        ),
    ),
    limits=(parameters <= 3_000,),
    recipe=Recipe(epochs=20, batch_size=64, lr=0.1),
    trials=40,
)
