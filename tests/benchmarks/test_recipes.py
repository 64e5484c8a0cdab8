"""`recipes`: trainings that differ from a study's in one thing, on digits."""

import sys

import pytest
import torch
from torch import nn

from nasopt import Conv, Recipe, Space, categorical, repeat
from nasopt.analysis.noise import SAMPLE_SEED
from nasopt.search.evaluator import Evaluator
from nasopt.space.blocks import Residual
from nasopt.training.trainer import Trainer
from tests.benchmarks import recipes
from tests.benchmarks.recipes import AS_IT_IS, VARIANTS, read, row, trained
from tests.examples import small, study_file

FILTERS = categorical(4, 8)


@pytest.fixture
def evaluation():
    space = Space(repeat(Conv(op="residual", filters=FILTERS), 3))
    return next(iter(small(space=space, recipe=Recipe(epochs=1)).sample(1, SAMPLE_SEED)))


def begun(evaluation, name: str) -> Trainer:
    changed = VARIANTS[name].of(evaluation)
    train, validation, _ = changed.dataset.load()
    trainer = Trainer(changed, train, validation, 10)
    VARIANTS[name].before(trainer)
    return trainer


def test_as_it_is_a_network_has_what_a_search_sees(evaluation, tmp_path):
    experiment = small(space=Space(Conv(filters=4)), recipe=Recipe(epochs=1))
    seen = list(Evaluator(experiment, tmp_path / "x.db", "cpu").epochs(evaluation))
    assert trained(evaluation, VARIANTS[AS_IT_IS])[0] == seen[-1].accuracy


@pytest.mark.parametrize("name", sorted(VARIANTS.keys() - {AS_IT_IS, "32 pixels"}))
def test_each_trains_another_way(name, evaluation):
    ours, theirs = (list(begun(evaluation, each).epochs())[-1] for each in (name, AS_IT_IS))
    assert not ours.diverged
    assert ours.loss != theirs.loss


def test_a_network_whose_branches_begin_at_0_is_its_shortcuts(evaluation):
    network = begun(evaluation, "branches begin at 0").network.eval()
    images = torch.rand(2, 1, 8, 8)
    layers = [module for module in network.modules() if isinstance(module, Residual)]
    assert len(layers) == 3
    for layer in layers:
        through = layer(images)
        assert torch.equal(through, layer.activation(layer.shortcut(images)))
        images = through


@pytest.mark.parametrize(
    ("name", "first", "last"),
    [("rates by depth, 2 to 1/2", 2.0, 0.5), ("rates by depth, 1/2 to 2", 0.5, 2.0)],
)
def test_rates_by_depth_move_the_first_and_the_last_layer_so_much(name, first, last, evaluation):
    gradients = {}
    for each in (AS_IT_IS, name):
        network = begun(evaluation, each).network.eval()
        network(torch.ones(2, 1, 8, 8)).sum().backward()
        weights = [m.weight.grad for m in network.modules() if isinstance(m, nn.Conv2d)]
        gradients[each] = weights[0], weights[-1]
    for before, after, factor in zip(
        gradients[AS_IT_IS], gradients[name], (first, last), strict=True
    ):
        assert torch.allclose(after, factor * before)


def test_a_table_goes_on_where_it_was(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    command = ["recipes", str(study_file(tmp_path)), "rows.csv", "--networks", "2"]
    monkeypatch.setattr(sys, "argv", [*command, "--only", "half the rate"])
    recipes.main()
    whole = capsys.readouterr().out
    rows = read(tmp_path / "rows.csv")
    assert set(rows) == {(name, n) for name in (AS_IT_IS, "half the rate") for n in (0, 1)}
    lines = (tmp_path / "rows.csv").read_text().splitlines(keepends=True)
    (tmp_path / "rows.csv").write_text("".join(lines[:3]))
    recipes.main()
    assert capsys.readouterr().out.split(" | ")[:-1] == whole.split(" | ")[:-1]


def test_a_line_pairs_the_networks():
    rows = {(AS_IT_IS, 0): (0.5, 10.0), (AS_IT_IS, 1): (0.7, 10.0)}
    rows |= {("b", 0): (0.6, 15.0), ("b", 1): (0.9, 15.0)}
    assert row(AS_IT_IS, rows) == "| as it is | 2 | 0.6000 |  |  |"
    assert row("b", rows) == "| b | 2 | 0.7500 | +0.1500 +- 0.0500 | 1.50 |"
