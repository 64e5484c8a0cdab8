"""The lecture's space: 20 conv layers, (4 x 3 x 2)^20 = 4.0e27 architectures, on CIFAR-10."""

from nasopt import Conv, Experiment, Recipe, Space, categorical, repeat
from nasopt.data import cifar10

experiment = Experiment(
    dataset=cifar10(),
    space=Space(
        repeat(
            Conv(
                filters=categorical(24, 36, 48, 64),
                kernel_size=categorical(3, 5, 7),
                stride=categorical(1, 2),
            ),
            20,
        ),
    ),
    recipe=Recipe(epochs=20, shift=4, flip=True),
    trials=100,
)
