"""Whether scores that need no training tell more of a network than its size, which is free.

    python -m tests.benchmarks.training_free studies/digits20.py --storage runs/digits20.db

Of each network that a study in the database trained to its end: how the score ranks with its
validation accuracy, and whether accuracy is foretold better with the score than without it, by a
linear model of what the surrogate has anyway (logarithms of parameters and MACs, depth, total
stride): the mean error of networks left out, one in ten at a time.

- NWOT: log-determinant of how alike the images of a batch switch the ReLUs (Mellor et al., Neural
  Architecture Search without Training, ICML 2021).
- SWAP: how many different patterns the ReLUs have over the batch (Peng et al., SWAP-NAS, ICLR
  2024).
- SynFlow: the sum of weights times gradients, of absolute weights and an image of ones, without
  norms (Tanaka et al., NeurIPS 2020; as a score: Abdelfattah et al., ICLR 2021).
"""

import argparse
import math
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from optuna.trial import TrialState
from scipy.stats import spearmanr
from torch import nn

import nasopt
from nasopt import load_experiment
from nasopt.space.architecture import Architecture
from nasopt.space.model import build

Floats = npt.NDArray[np.float64]
Score = Callable[[nn.Module, torch.Tensor], float]

BATCH = 64
FOLDS = 10


def nwot(network: nn.Module, images: torch.Tensor) -> float:
    """Return the log-determinant of the number of ReLUs that each two images switch alike."""
    alike = torch.zeros(len(images), len(images), dtype=torch.float64)
    for on in _switched(network, images):
        alike += on @ on.T + (1 - on) @ (1 - on).T
    return float(torch.linalg.slogdet(alike)[1])


def swap(network: nn.Module, images: torch.Tensor) -> float:
    """Return the number of different patterns that single ReLUs have over the images."""
    patterns = torch.cat([on.T for on in _switched(network, images)]).to(torch.bool)
    return float(len(torch.unique(patterns, dim=0)))


def synflow(network: nn.Module, images: torch.Tensor) -> float:
    """Return the logarithm of the sum of |weight| times gradient, without norms."""
    with torch.no_grad():
        for module in network.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.forward = lambda x: x  # type: ignore[method-assign]
        for parameter in network.parameters():
            parameter.abs_()
    network.double().zero_grad()
    network(torch.ones_like(images[:1]).double()).sum().backward()
    found = sum(
        float((p.detach() * p.grad).sum()) for p in network.parameters() if p.grad is not None
    )
    return math.log(found)


SCORES: dict[str, Score] = {"NWOT": nwot, "SWAP": swap, "SynFlow": synflow}


def _switched(network: nn.Module, images: torch.Tensor) -> list[torch.Tensor]:
    """Return which ReLUs are on, a layer each: (images, units) of 0 and 1."""
    found: list[torch.Tensor] = []
    hooks = [
        module.register_forward_hook(
            lambda _, __, out: found.append((out.flatten(1) > 0).to(torch.float64))
        )
        for module in network.modules()
        if isinstance(module, nn.ReLU)
    ]
    with torch.no_grad():
        network(images)
    for hook in hooks:
        hook.remove()
    return found


def left_out_error(features: Floats, accuracies: Floats) -> float:
    """Return the mean absolute error of a linear model for networks that it has not seen."""
    columns = np.column_stack([np.ones(len(features)), features])
    errors = []
    for fold in range(FOLDS):
        out = np.arange(len(columns)) % FOLDS == fold
        weights = np.linalg.lstsq(columns[~out], accuracies[~out], rcond=None)[0]
        errors.append(np.abs(columns[out] @ weights - accuracies[out]))
    return float(np.concatenate(errors).mean())


def trained(location: Path) -> dict[Architecture, float]:
    """Return the accuracy of each network that was trained to its end, in one order or another."""
    found: dict[Architecture, float] = {}
    database = nasopt.open(location)
    for summary in database.studies:
        record = database.study(summary.study).record
        for trial in record.counted:
            if trial.state is TrialState.COMPLETE:
                found.setdefault(record.space.decode(trial.params), trial.values[0])
    pairs = list(found.items())
    np.random.default_rng(0).shuffle(pairs)  # type: ignore[arg-type]
    return dict(pairs)


def main() -> None:
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("study")
    parser.add_argument("--storage", type=Path, required=True)
    given = parser.parse_args()
    experiment = load_experiment(given.study)
    networks = trained(given.storage)
    accuracies = np.array(list(networks.values()))
    images = experiment.data.load().train.images[:BATCH].float()
    costs = [experiment.cost(network) for network in networks]
    size = np.log([[cost.parameters, cost.macs] for cost in costs])
    shape = [
        [len(network.layers), sum(math.log2(layer.stride) for layer in network.convolutions)]
        for network in networks
    ]
    known = np.column_stack([size, shape])
    columns = {"parameters": size[:, 0], "MACs": size[:, 1]}
    spent = dict.fromkeys(columns, 0.0)
    for name, score in SCORES.items():
        began = time.perf_counter()
        scores = []
        for network in networks:
            torch.manual_seed(0)
            built = build(network, experiment.data.input_shape, experiment.data.classes).train()
            scores.append(score(built, images))
        columns[name] = np.array(scores)
        spent[name] = (time.perf_counter() - began) / len(networks)
    print(f"{len(networks)} networks, accuracies {accuracies.min():.3f} to {accuracies.max():.3f}")
    print(f"Error without a score: {left_out_error(known, accuracies):.5f}\n")
    print("| score | rank correlation | among the better half | error with it | ms a network |")
    print("|---|---|---|---|---|")
    better = accuracies >= np.median(accuracies)
    for name, column in columns.items():
        error = left_out_error(np.column_stack([known, column]), accuracies)
        ranks = [spearmanr(column[rows], accuracies[rows]).statistic for rows in (..., better)]
        print(
            f"| {name} | {ranks[0]:.2f} | {ranks[1]:.2f} | {error:.5f} | {1e3 * spent[name]:.0f} |"
        )


if __name__ == "__main__":
    main()
