"""Small experiments that several tests run for real: a training takes hundredths of a second."""

from pathlib import Path
from typing import Any

import optuna

from nasopt import Conv, Experiment, Recipe, Space, categorical, repeat
from nasopt.data import digits

FEW = 200  # images
STUDY = """\
from nasopt import Conv, Experiment, Recipe, Space, categorical, repeat
from nasopt.data import digits

experiment = Experiment(
    dataset=digits(limit=200),
    space=Space(repeat(Conv(filters=categorical(2, 4, 8), stride=categorical(1, 2)), 1, 3)),
    recipe=Recipe(epochs=2, batch_size=32),
    trials=4,
)
"""


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


def study_file(folder: Path) -> Path:
    path = folder / "mine.py"
    path.write_text(STUDY)
    return path


def empty_study(
    name: str, epochs: int = 4, objectives: tuple[str, ...] = ("accuracy",)
) -> optuna.Study:
    """A study as a search of a table without fields leaves it, for trials made by hand."""
    directions = ["maximize", "minimize"][: len(objectives)]
    study = optuna.create_study(study_name=name, directions=directions)
    attrs = {
        "trials": 4,
        "limits": [],
        "pruner": "none",
        "versions": {"nasopt": "0.1.0"},
        "experiment": {
            "space": {"table": {}},
            "recipe": {"epochs": epochs},
            "dataset": "digits x",
            "seed": 0,
            "objectives": list(objectives),
        },
    }
    for key, value in attrs.items():
        study.set_user_attr(key, value)
    return study
