"""The scores of a trial after its epochs, and pruning by them, with two objectives."""

from contextlib import closing
from dataclasses import replace

import optuna
import pytest
from optuna.pruners import MedianPruner
from optuna.trial import TrialState

import nasopt
from nasopt import Conv, Recipe, Space, integer
from nasopt.search.search import Search
from tests.examples import small

EAGER = MedianPruner(n_startup_trials=1, n_warmup_steps=0)


def learnt(architecture, recipe, seed):
    """A training in which the smaller network is the better one, after each epoch."""
    filters = architecture.layers[0].filters
    for epoch in range(1, recipe.epochs + 1):
        yield (1 - filters / 50) * (0.5 + epoch / 20)


WIDTHS = Space(Conv(filters=integer(1, 40), kernel_size=1, stride=2))


def widths(**settings):
    fields = {"objectives": ("accuracy", "macs"), "pruner": "median", "trials": 20}
    return small(space=WIDTHS, recipe=Recipe(epochs=6), train=learnt, **(fields | settings))


@pytest.mark.parametrize("sampler", ["random", "tpe", "nsga2", "surrogate"])
def test_with_two_objectives_what_cannot_reach_the_front_is_pruned(tmp_path, sampler):
    study = nasopt.run(widths(), sampler=sampler, storage=tmp_path / "x.db", device="cpu")
    pruned = [trial for trial in study.trials if trial.state is TrialState.PRUNED]
    assert pruned
    for trial in pruned:
        assert trial.values is None
        assert trial.user_attrs["ended_by"] == "pruner"
        assert 1 <= len(trial.user_attrs["reports"]) == trial.user_attrs["epochs"] < 6
    smallest = min(study.trials, key=lambda trial: trial.user_attrs["macs"])
    found = {trial.user_attrs["macs"] for trial in study.best_trials}
    assert found == {smallest.user_attrs["macs"]}


def test_pruned_trials_of_two_objectives_stay_pruned_when_their_network_is_met_again(tmp_path):
    space = Space(Conv(filters=integer(1, 8), kernel_size=1, stride=2))
    study = nasopt.run(
        replace(widths(trials=8), space=space, pruner=EAGER),
        sampler="random", storage=tmp_path / "x.db", device="cpu",
    )  # fmt: skip
    again = [t for t in study.trials if "repeat_of" in t.user_attrs]
    repeats = [t for t in again if t.state is TrialState.PRUNED]
    assert repeats
    for trial in repeats:
        known = study.trials[trial.user_attrs["repeat_of"]]
        assert trial.user_attrs["reports"] == known.user_attrs["reports"]


def test_the_objective_of_a_plain_study_prunes_as_well(tmp_path):
    study = optuna.create_study(
        directions=["maximize", "minimize"],
        pruner=EAGER,
        sampler=optuna.samplers.TPESampler(seed=0),
    )
    objective = nasopt.Objective(widths(), storage=tmp_path / "x.db")
    study.optimize(objective, n_trials=20)
    assert TrialState.PRUNED in {trial.state for trial in study.trials}
    assert objective(study.best_trials[0]) == tuple(study.best_trials[0].values)


def test_a_trial_that_goes_on_is_not_judged_anew_by_epochs_that_it_has_passed(tmp_path):
    """It passed them before others were there to compare it with."""
    first = [{"conv01.filters": filters} for filters in (30, 2, 3, 4)]
    search = Search(
        widths(first=tuple(first), pruner="none"),
        sampler="random", storage=tmp_path / "x.db", device="cpu",
    )  # fmt: skip
    with closing(iter(search)) as running:
        for progress in running:
            if (progress.number, progress.epoch) == (3, 5):
                break
    study = nasopt.run(
        replace(widths(first=tuple(first)), pruner=EAGER),
        sampler="random", storage=tmp_path / "x.db", device="cpu",
    )  # fmt: skip
    assert len(study.trials[3].user_attrs["reports"]) >= 5


def test_a_comparison_from_before_two_objectives_were_pruned_can_be_read(tmp_path):
    given = {"samplers": "random", "seeds": 1, "device": "cpu", "storage": tmp_path / "x.db"}
    before = nasopt.compare(widths(trials=3, pruner="none"), **given)
    assert nasopt.compare(widths(trials=3), **given).standings == before.standings
