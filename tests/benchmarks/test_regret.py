"""The measure of two states of the code: studies in memory are those of a worker."""

from argparse import Namespace

import numpy as np
import pytest

from nasopt import Experiment
from nasopt.search.search import Search
from tests.benchmarks import regret
from tests.benchmarks.perceptrons import mlp


@pytest.mark.parametrize("sampler", ["surrogate", "tpe"])
def test_what_is_measured_is_what_a_worker_would_train(table, tmp_path, sampler):
    experiment = Experiment.on_benchmark(table, trials=9, seed=2, pruner="none")
    search = Search(experiment, sampler=sampler, seed=2, storage=tmp_path / "x.db")
    list(search)
    paid = [trial for trial in search.study.trials if "free" not in trial.user_attrs]
    rows = [table.space.decode(trial.params).row for trial in paid]
    assert list(regret.trained(experiment, table.observed(2), sampler, 2, 9)) == rows
    row = regret.study("now", "mine", table, sampler, 2, 9)
    assert row.curve[-1] == table.optimum - table.true[table.observed(2).argmax()]
    assert len(row.curve) == 9


def test_what_is_there_is_not_measured_again_and_states_are_paired(
    table, tmp_path, monkeypatch, capsys
):
    monkeypatch.setattr(regret, "TABLES", {"mine": lambda: table})
    monkeypatch.setattr(regret, "TO", 9)
    monkeypatch.setattr(regret, "GOALS", (5, 8))
    rows, tables = tmp_path / "rows.csv", ["mine"]
    given = Namespace(rows=rows, tables=tables, trials=9, first_seed=0, seeds=2)
    for state, sampler in (("tpe", "tpe"), ("one", "random"), ("other", "random")):
        regret.run(Namespace(**vars(given), state=state, sampler=sampler))
    before = rows.read_text()
    regret.run(Namespace(**vars(given), state="one", sampler="random"))
    assert rows.read_text() == before
    given.seeds = 3
    regret.run(Namespace(**vars(given), state="one", sampler="random"))
    assert len(rows.read_text().splitlines()) == 7
    regret.compare(Namespace(rows=rows, tables=tables, states=["one", "other"]))
    out = capsys.readouterr().out
    assert "1.00 [1.00, 1.00] ( 2)" in out
    assert "other: trainings for TPE@100, TPE@200:" in out


def test_the_parameters_of_perceptrons_follow_from_their_widths():
    table = mlp("car")
    assert table.space.size == 30_000
    assert table.parameters is not None
    params = {"alpha": 1e-8, "batch_size": 4, "learning_rate_init": 1e-5}
    for depth, width, count in ((1, 16, 7 * 16 + 17 * 4), (3, 25, 7 * 25 + 2 * 26 * 25 + 26 * 4)):
        row = table.space.decode({**params, "depth": depth, "width": width}).row
        assert table.parameters[row] == count
    assert np.isfinite(table.true).all()
