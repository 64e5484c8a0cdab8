"""The lecture's space: 20 conv layers, (4 x 3 x 2)^20 = 4.0e27 architectures, on CIFAR-10.

    nasopt run studies/cifar10.py --sampler tpe --trials 100

Neither its signal nor its result has been measured: on a CPU (two cores of an AMD EPYC, Zen 5) a
trial takes 4 minutes to 5 hours, half an hour in the middle, as `nasopt describe` estimates. Use a
GPU, ask `nasopt noise studies/cifar10.py` first, and expect plain stacks of twenty layers to be
hard to train.
"""

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
