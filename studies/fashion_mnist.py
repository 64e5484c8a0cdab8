"""A real search on two cores: 2 to 5 layers on 6,000 images of Fashion-MNIST."""

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
