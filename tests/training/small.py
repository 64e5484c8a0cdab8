"""A small training on 200 digits, to be done in milliseconds and compared bit for bit."""

import io
from typing import Any

import torch

from nasopt.data import digits
from nasopt.space.architecture import Architecture
from nasopt.space.layers import Conv, Dense
from nasopt.training.evaluation import EpochResult, Evaluation, Recipe
from nasopt.training.trainer import Trainer

SMALL = Architecture((Conv(filters=4, stride=2), Conv(filters=6), Dense(width=8)))
FEW = digits(limit=200)  # 150 to train on, 50 to validate
TRAIN, VALIDATION, _ = FEW.load()
RECIPE = Recipe(epochs=2, batch_size=32)  # 4 batches an epoch


def trainer(recipe: Recipe = RECIPE, architecture: Architecture = SMALL, seed: int = 3) -> Trainer:
    return Trainer(Evaluation(architecture, recipe, FEW, seed), TRAIN, VALIDATION, classes=10)


def metrics(results: Any) -> list[tuple[float, float, float]]:
    return [result.metrics for result in results if isinstance(result, EpochResult)]


def weights(trainer: Trainer) -> dict[str, list[float]]:
    return {name: each.flatten().tolist() for name, each in trainer.network.state_dict().items()}


def through_a_file(state: dict[str, Any]) -> dict[str, Any]:
    file = io.BytesIO()
    torch.save(state, file)
    file.seek(0)
    loaded: dict[str, Any] = torch.load(file, weights_only=True)
    return loaded
