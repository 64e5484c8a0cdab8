"""Small experiments that several tests run for real: a training takes hundredths of a second."""

from typing import Any

from nasopt import Conv, Experiment, Recipe, Space, categorical, repeat
from nasopt.data import digits

FEW = 200  # images


def small_space() -> Space:
    return Space(
        repeat(Conv(filters=categorical(2, 4, 8), stride=categorical(1, 2)), 1, 3), min_resolution=2
    )


def small(**fields: Any) -> Experiment:
    """Three layers at most on 200 digits, two epochs; `fields` replace the defaults."""
    defaults: dict[str, Any] = {
        "dataset": digits(limit=FEW),
        "space": small_space(),
        "recipe": Recipe(epochs=2, batch_size=32),
        "trials": 6,
    }
    return Experiment(**{**defaults, **fields})
