"""The lecture's space: 20 conv layers, (4 x 3 x 2)^20 = 4.0e27 architectures, on CIFAR-10.

    nasopt run studies/cifar10.py --sampler tpe --trials 100

Residual layers and `min_resolution=4` are what `cifar10_small.py` teaches: plain stacks of twenty
are hard to train, and without it most layers see a single pixel. Neither the signal nor the result
of this study has been measured: on two cores of an AMD EPYC (Zen 5) a trial takes half an hour to a
day, as `nasopt describe` estimates. Use a GPU, and ask `nasopt noise studies/cifar10.py` first.
"""

from nasopt import Conv, Experiment, Recipe, Space, categorical, repeat
from nasopt.data import cifar10

experiment = Experiment(
    dataset=cifar10(),
    space=Space(
        repeat(
            Conv(
                op="residual",
                filters=categorical(24, 36, 48, 64),
                kernel_size=categorical(3, 5, 7),
                stride=categorical(1, 2),
            ),
            20,
        ),
        min_resolution=4,
    ),
    recipe=Recipe(epochs=20, shift=4, flip=True),
    trials=100,
)
