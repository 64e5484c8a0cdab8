"""Scores without training: on networks whose scores can be told by hand, and on a study."""

import math
import sys

import numpy as np
import pytest
import torch
from torch import nn

import nasopt
from tests.benchmarks import training_free
from tests.benchmarks.training_free import left_out_error, nwot, swap, synflow
from tests.examples import study_file


def network() -> nn.Module:
    """One unit for each of two pixels: on if the pixel is above 0."""
    linear = nn.Linear(2, 2, bias=False)
    linear.weight.data = torch.eye(2)
    return nn.Sequential(linear, nn.ReLU())


IMAGES = torch.tensor([[1.0, 1.0], [1.0, -1.0]])  # switch the first alike, the second not


def test_scores_of_a_network_that_can_be_told_by_hand():
    assert nwot(network(), IMAGES) == pytest.approx(math.log(2 * 2 - 1 * 1))
    assert swap(network(), IMAGES) == 2
    assert swap(network(), IMAGES[:1]) == 1
    assert synflow(network(), IMAGES) == pytest.approx(math.log(2))


def test_a_column_that_tells_all_leaves_no_error():
    dice = np.random.default_rng(0)
    told, other = dice.normal(size=(2, 40))
    assert left_out_error(told[:, None], 3 * told + 1) == pytest.approx(0, abs=1e-9)
    assert left_out_error(other[:, None], told) > 0.3


def test_the_networks_of_a_database_are_scored(tmp_path, monkeypatch, capsys):
    study = study_file(tmp_path)
    experiment = nasopt.load_experiment(study)
    nasopt.run(experiment, sampler="random", trials=8, storage=tmp_path / "x.db", device="cpu")
    words = ["training_free", str(study), "--storage", str(tmp_path / "x.db")]
    monkeypatch.setattr(sys, "argv", words)
    training_free.main()
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("8 networks, ")
    assert [line.split("|")[1].strip() for line in lines[-5:]] == [
        "parameters", "MACs", "NWOT", "SWAP", "SynFlow",
    ]  # fmt: skip
