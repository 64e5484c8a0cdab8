"""The lecture's space: 20 conv layers, (4 x 3 x 2)^20 = 4.0e27 architectures, on CIFAR-10.

    nasopt run studies/cifar10.py --trials 100

Residual layers, `min_resolution=4` and the limit are what `cifar10_small.py` teaches: plain stacks
of twenty are behind, most layers else see a single pixel, and without a limit the largest networks
take 4e9 multiplications (40 million on pictures of half the size are 160 million here). The rate
and batches are the defaults, .1 for 128 images, in proportion to the .05 for 64 there. Neither the
signal nor the result of this study has been measured, which takes a GPU: on two cores of an AMD
EPYC (Zen 5) a trial takes half an hour to hours, as `nasopt describe` estimates. Use a GPU, and ask
`nasopt noise studies/cifar10.py` first.
"""

from nasopt import Conv, Experiment, Recipe, Space, categorical, macs, repeat
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
    limits=(macs <= 160_000_000,),
    recipe=Recipe(epochs=20, shift=4, flip=True),
    trials=100,
)
