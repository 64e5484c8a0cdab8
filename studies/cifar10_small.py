"""The lecture's 20 layers on real photographs, (4 x 3 x 2)^20 = 4.0e27 networks, on two cores.

    nasopt run studies/cifar10_small.py --sampler tpe

The photographs lie in the folder `cifar10`, here or where the command is given. A quarter of the
data set is enough; with torchvision it is made by

    from itertools import islice
    from pathlib import Path
    from torchvision.datasets import CIFAR10
    for split in ("train", "test"):
        pictures = CIFAR10("downloads", train=split == "train", download=True)
        for number, (picture, label) in enumerate(islice(pictures, 15_000)):
            folder = Path("cifar10", split, pictures.classes[label])
            folder.mkdir(parents=True, exist_ok=True)
            picture.save(folder / f"{number:05}.png")

What is seen here was measured with few networks, and is a choice to start from: of two random
networks, with 3,000 photographs and 6 epochs (batches of 32), plain layers reach .23 and .24,
separable ones (to 2x2 pixels) .21 and .18, residual ones .37 and .34. Without `min_resolution=4`
most of the twenty layers see one pixel: with 2, residual ones have .33 and .30. Batches of 32 to 64
count, since so few photographs make few steps: with 128 and no `min_resolution` they have .22 and
.18. With the recipe below they reach .47 and .48, in 46 and 53 s.

Without the limit, which 85 % of random networks keep, one takes up to ten times as long: those that
stride late. Measured on one core of an AMD EPYC (Zen 5) beside other work, torch 2.14.1. No search
of this study has been measured yet.
"""

from nasopt import Conv, Experiment, Recipe, Space, categorical, macs, repeat
from nasopt.data import image_folder

experiment = Experiment(
    dataset=image_folder("cifar10", size=16, limit=6_000),
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
    limits=(macs <= 40_000_000,),
    recipe=Recipe(epochs=8, batch_size=64, lr=0.05, shift=1, flip=True),
    trials=40,
)
