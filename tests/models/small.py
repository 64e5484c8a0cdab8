"""Small models for the tests: trained on digits in a second, or not trained at all."""

import itertools
from pathlib import Path

import torch

import nasopt
from nasopt import Architecture, Conv, Dense, Model, Pool, Recipe, build
from nasopt.models.preprocessing import Preprocessing
from nasopt.space.layers import ACTIVATIONS, CONV_OPS, NORMS, POOL_OPS, Layer

SMALL = Architecture((Conv(filters=4, stride=2), Pool(), Conv(filters=8), Dense(width=8)))
RECIPE = Recipe(epochs=2, batch_size=64)


def trained(seed: int = 0) -> Model:
    return nasopt.train(SMALL, "digits", recipe=RECIPE, seed=seed, device="cpu")


def untrained(architecture: Architecture, channels: int, side: int = 20, classes: int = 3) -> Model:
    """A model whose batch norms are not the identity, so that forgetting one is seen."""
    random = torch.Generator().manual_seed(len(architecture.layers))
    network = build(architecture, (channels, side, side), classes)
    for name, value in network.state_dict().items():
        if value.is_floating_point():
            value.copy_(torch.rand(value.shape, generator=random) + 0.1)
            if value.ndim > 1:
                value.sub_(0.6)
        else:
            assert name.endswith("num_batches_tracked")
    mean, deviation = (127.1, 3.3, 250.7)[:channels], (60.1, 1.7, 99.9)[:channels]
    names = tuple(f"class {number}" for number in range(classes))
    return Model(network, architecture, Preprocessing((side, side), mean, deviation, names))


def architectures() -> list[Architecture]:
    """Networks in which each operation stands in every form, before 0, 1 or 2 dense layers.

    Then those in which all operations have each activation and each norm.
    """
    made = []
    for op, depth in zip(CONV_OPS, itertools.cycle(range(3)), strict=False):
        forms = itertools.product((1, 3), (1, 2))
        layers: list[Layer] = [Conv(filters=6, op=op, kernel_size=k, stride=s) for k, s in forms]
        layers += [Pool(op=pooling) for pooling in POOL_OPS]
        layers += [Dense(width=4 + place) for place in range(depth)]
        made.append(Architecture(tuple(layers)))
    norms = ("none", *NORMS)
    for activation, norm in zip(ACTIVATIONS, norms, strict=True):
        layers = [Conv(filters=8, activation=activation, norm=norm, op=op) for op in CONV_OPS]
        made.append(Architecture(tuple(layers)))
    return made


def changed(file: Path, old: bytes, new: bytes) -> None:
    """Put `new` in the place of `old` in the file, which has it."""
    content = file.read_bytes()
    assert old in content
    file.write_bytes(content.replace(old, new, 1))
