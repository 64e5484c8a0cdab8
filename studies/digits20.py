"""The lecture's 20 layers on 8x8 digits, as residual ones."""

from nasopt import Conv, Experiment, Recipe, Space, categorical, repeat
from nasopt.data import digits

experiment = Experiment(
    dataset=digits(),
    space=Space(
        repeat(
            Conv(
                filters=categorical(24, 36, 48, 64),
                kernel_size=categorical(3, 5, 7),
                stride=categorical(1, 2),
                op="residual",
            ),
            20,
        ),
    ),
    recipe=Recipe(epochs=10, lr=0.1),
    trials=40,
)
