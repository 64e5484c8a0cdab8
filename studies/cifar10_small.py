"""The lecture's 20 layers on real photographs, (4 x 3 x 2)^20 = 4.0e27 networks, on two cores.

    nasopt run studies/cifar10_small.py

The photographs lie in the folder `cifar10`, here or where the command is given. With torchvision it
is made by

    from collections import Counter
    from pathlib import Path
    from torchvision.datasets import CIFAR10
    parts = {"train": (True, 3500, 4100), "val": (True, 4100, 4500), "test": (False, 800, 1000)}
    for split, (train, first, last) in parts.items():
        pictures, seen = CIFAR10("downloads", train=train, download=True), Counter()
        for picture, label in pictures:
            if first <= seen[label] < last:
                folder = Path("cifar10", split, pictures.classes[label])
                folder.mkdir(parents=True, exist_ok=True)
                picture.save(folder / f"{seen[label]:04}.png")
            seen[label] += 1

A training takes about a minute on one core of an AMD EPYC (Zen 5), 41 to 121 s beside other work.
Of 16 random networks with 3 seeds each (`nasopt noise --architectures 16`) .83 of the variance is
architecture, and .70 (.10 to .93) among the better half, whose mean accuracy is .497. The winners
of eight searches of 20 trials, trained again with three other seeds, have .500 by random sampling,
.506 by TPE and .529 by the surrogate; the best of all, trained on 10,000 pictures (`nasopt
finals`), gets .595 of the test pictures right, a ResNet-like network .584. All that is in
`studies/results/cifar10_small.db.gz`, for `nasopt report`. The pictures that were measured had been
saved as JPEG; the PNG files made above give slightly other figures.

- Residual layers, since plain ones are four points behind and separable ones learn hardly anything
  in so few steps; the default schedule's warm-up is worth three points, and smoothed labels, other
  rates and orthogonal weights none that show (`python -m tests.benchmarks.recipes`).
- `min_resolution=4`, since most of the twenty layers else see a single pixel; with 2, seeds deviate
  by .009 to .025 and not by .006.
- The limit keeps trainings short, but no lower: up to 20 million MACs networks are so much alike
  that a search may see the luck of the seed (.34, .00 to .94, among the better half).
- Batches of 64, since so few photographs make few steps (32 are no better).
- A recipe of 4 epochs ranks networks about as well (rank correlation .77 with one of 8, where
  another seed has .81; 16 networks); one of 8 that is stopped after 4 does not (.32). So try half
  of the epochs first, if trials have to be cheaper.
"""

from nasopt import Conv, Experiment, Recipe, Space, categorical, macs, repeat
from nasopt.data import image_folder

experiment = Experiment(
    dataset=image_folder("cifar10", size=16),
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
    trials=20,
)
