"""Databases of finished searches as benchmarks."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import optuna
import pytest

import nasopt
from nasopt import (
    Conv,
    Experiment,
    Recipe,
    Space,
    categorical,
    load_benchmark,
    real,
)
from nasopt.benchmarks.table import MISSING
from nasopt.errors import BenchmarkError, Error
from nasopt.search.evaluator import Evaluator
from nasopt.search.search import Search
from tests.examples import small
from tests.trials import counted

SIX = Space(Conv(filters=categorical(2, 4, 8), stride=categorical(1, 2)))


def searched(path: Path, **fields: Any) -> Experiment:
    """Four of six networks, trained in two epochs each."""
    defaults: dict[str, Any] = {"space": SIX, "trials": 4, "pruner": "none", "name": "six"}
    experiment = small(**{**defaults, **fields})
    nasopt.run(experiment, sampler="random", storage=path, device="cpu")
    return experiment


def test_a_database_of_finished_searches_is_a_table_with_holes(tmp_path):
    experiment = searched(tmp_path / "x.db")
    trained = nasopt.run(experiment, sampler="random", storage=tmp_path / "x.db", device="cpu")
    benchmark = load_benchmark(f"ledger:{tmp_path}/x.db")
    assert benchmark.share == 4 / 6
    varied = replace(Experiment.on_benchmark(benchmark), seed=1)
    assert list(map(str, varied.limits)) == ["a result in the table"]
    assert benchmark.summary.startswith("ledger-x: 4 of 6 networks (67%), 1 replicate, 2 epochs")
    holes = Experiment.on_benchmark(benchmark, trials=5)
    search = Search(holes, sampler="tpe", storage=tmp_path / "y.db")
    list(search)
    assert search.ended == "all 4 networks of the space are known"
    known = {tuple(t.params.values()): t for t in trained.trials}
    found = counted(search.study)
    assert len(found) == 4
    for trial in found:
        source = known[tuple(trial.params.values())]
        assert trial.intermediate_values == source.intermediate_values
        for name in ("parameters", "macs", "seconds"):
            assert trial.user_attrs[name] == pytest.approx(source.user_attrs[name])
    drawn = [trial for trial in search.study.trials if "infeasible" not in trial.user_attrs]
    assert {tuple(trial.params.values()) for trial in drawn} <= set(known)
    assert max(trial.user_attrs.get("draws", 1) for trial in search.study.trials) > 1


def test_training_seeds_of_a_database_are_replicates(tmp_path):
    experiment = searched(tmp_path / "x.db", trials=6)
    evaluator = Evaluator(experiment, tmp_path / "x.db", "cpu")
    params = {"conv01.filters": 8, "conv01.stride": 1}
    accuracies = []
    for seed in (0, 1, 2):
        evaluation = replace(experiment.evaluation(params), seed=seed)
        accuracies.append([result.accuracy for result in evaluator.epochs(evaluation)])
    benchmark = load_benchmark(f"ledger:{tmp_path}/x.db")
    row = benchmark.space.decode(params).row
    assert benchmark.accuracies[row].tolist() == accuracies
    assert benchmark.share == 1
    assert benchmark.limits == ()


def test_networks_that_were_pruned_are_not_known(tmp_path):
    always = optuna.pruners.ThresholdPruner(lower=2)
    searched(tmp_path / "x.db", trials=3)
    searched(tmp_path / "x.db", trials=6, pruner=always)
    benchmark = load_benchmark(f"ledger:{tmp_path}/x.db")
    assert benchmark.share == 3 / 6
    unknown = [row for row in benchmark.space.rows.ravel() if row == MISSING]
    assert len(unknown) == 3


def test_networks_that_another_version_trained_are_not_known(tmp_path, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr("nasopt.training.evaluation.VERSION", 0)
        searched(tmp_path / "x.db", trials=3)
    with pytest.raises(BenchmarkError, match="0 of 6 networks are known"):
        load_benchmark(f"ledger:{tmp_path}/x.db")
    searched(tmp_path / "x.db", trials=2, name="now")
    assert load_benchmark(f"ledger:{tmp_path}/x.db").share == 2 / 6


def test_networks_whose_training_went_wrong_are_not_known(tmp_path):
    recipe = Recipe(epochs=1, batch_size=32, lr=categorical(0.1, 1e30))
    searched(tmp_path / "x.db", recipe=recipe, space=Space(Conv(filters=4)), trials=2)
    benchmark = load_benchmark(f"ledger:{tmp_path}/x.db")
    assert benchmark.share == 1 / 2
    assert benchmark.space.decode({"recipe.lr": 1e30}).row == MISSING


def test_open_fields_of_the_recipe_are_parameters_of_the_table_too(tmp_path):
    recipe = Recipe(epochs=2, batch_size=categorical(32, 64))
    experiment = searched(tmp_path / "x.db", recipe=recipe, space=Space(Conv(filters=4)), trials=2)
    benchmark = load_benchmark(f"ledger:{tmp_path}/x.db")
    assert dict(benchmark.space.hyperparameters) == experiment.hyperparameters
    study = nasopt.run(experiment, sampler="random", storage=tmp_path / "x.db", device="cpu")
    for trial in study.trials:
        assert trial.value == benchmark.true[benchmark.space.decode(trial.params).row]


def test_a_database_that_makes_no_table_is_refused(tmp_path, table):
    experiment = searched(tmp_path / "few.db", space=small().space, trials=1)
    searched(tmp_path / "two.db", trials=1)
    searched(tmp_path / "two.db", trials=1, dataset="digits", name="other")
    wide = Space(*[Conv(filters=categorical(2, 4))] * 16)
    searched(tmp_path / "wide.db", space=wide, trials=1)
    open_recipe = Recipe(epochs=1, batch_size=32, lr=real(0.1, 0.2))
    searched(tmp_path / "real.db", recipe=open_recipe, trials=1)
    nasopt.run(Experiment.on_benchmark(table, trials=1), storage=tmp_path / "table.db")
    distinct = experiment.space.distinct
    for name, message in [
        (
            "few",
            f"1 of {distinct} networks are known (0.4%), fewer than 5%; search it more",
        ),
        ("two", "other/random/0 has another dataset than six/random/0; keep the studies of one"),
        ("wide", "its space can be chosen in 65,536 ways; a table is made of 50,000 or fewer"),
        ("real", "its space can be chosen in inf ways; a table is made of 50,000 or fewer"),
        ("table", "no study of nasopt's in it; name another database"),
    ]:
        with pytest.raises(BenchmarkError) as error:
            load_benchmark(f"ledger:{tmp_path}/{name}.db")
        assert str(error.value).startswith(f"benchmark=ledger:{tmp_path}/{name}.db: {message}")
    with pytest.raises(Error, match="no such file"):
        load_benchmark(f"ledger:{tmp_path}/none.db")
