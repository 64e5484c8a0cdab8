"""The replay of pruning stops what the pruners stop, and its figures are right."""

import numpy as np
import optuna
import pytest
from optuna.trial import TrialState

from nasopt.samplers.by_cost import prunes_by_cost
from nasopt.samplers.pruners import make_pruner
from nasopt.storage.attributes import REPORTS
from tests.benchmarks.pruning import (
    Networks,
    Rule,
    area,
    lower,
    modelled_reach,
    reach,
    replay,
    rules,
    table,
)

EPOCHS = 6
DICE = np.random.default_rng(0)
CURVES = np.cumsum(DICE.uniform(0, 1, (40, EPOCHS)), axis=1)
COSTS = DICE.integers(1, 9, 40).astype(float)
NETWORKS = Networks(CURVES, COSTS, DICE.normal(size=(40, 2)), np.arange(2))


@pytest.mark.parametrize(("name", "number"), [("quarter", 0), ("median", 2)])
def test_a_rule_stops_what_the_pruner_of_that_name_stops(name, number):
    study = optuna.create_study(direction="maximize", pruner=make_pruner(name, EPOCHS))

    def objective(trial: optuna.Trial) -> float:
        for epoch in range(1, EPOCHS + 1):
            trial.report(CURVES[trial.number, epoch - 1], step=epoch)
            if epoch < EPOCHS and trial.should_prune():
                raise optuna.TrialPruned
        return CURVES[trial.number, -1]

    study.optimize(objective, n_trials=40)
    complete = [t.number for t in study.trials if t.state is TrialState.COMPLETE]
    found = replay(NETWORKS, range(40), rules(EPOCHS)[number])
    assert found.complete == complete
    assert found.epochs == sum(len(t.intermediate_values) for t in study.trials)
    assert 5 < len(complete) < 40


def test_so_it_is_with_two_objectives():
    study = optuna.create_study(
        directions=["maximize", "minimize"], pruner=make_pruner("quarter", EPOCHS)
    )

    def objective(trial: optuna.Trial) -> tuple[float, float]:
        trial.set_user_attr("macs", COSTS[trial.number])
        own = CURVES[trial.number].tolist()
        for epoch in range(1, EPOCHS):
            if prunes_by_cost(trial, "macs", dict(enumerate(own[:epoch], 1))):
                raise optuna.TrialPruned
        trial.set_user_attr(REPORTS, own)
        return own[-1], COSTS[trial.number]

    study.optimize(objective, n_trials=40)
    complete = [t.number for t in study.trials if t.state is TrialState.COMPLETE]
    assert replay(NETWORKS, range(40), rules(EPOCHS)[0], by_cost=True).complete == complete
    assert 10 < len(complete) < 40


def networks_of(scores: list[list[float]], columns: list[list[float]] | None = None) -> Networks:
    given = np.zeros((len(scores), 1)) if columns is None else np.array(columns)
    return Networks(np.array(scores), np.ones(len(scores)), given, np.arange(given.shape[1]))


def test_what_will_surely_not_reach_the_best_is_stopped():
    seen = networks_of([[0.1, 0.2], [0.2, 0.4], [0.3, 0.6], [0.4, 0.8]])
    assert reach(3)(seen, networks_of([[0.1, 0]]), 1)
    assert not reach(3)(seen, networks_of([[0.45, 0]]), 1)
    assert lower(0.5)(seen, networks_of([[0.24, 0]]), 1)
    assert not lower(0.5)(seen, networks_of([[0.26, 0]]), 1)


def test_a_model_of_networks_tells_what_equal_beginnings_do_not():
    size = np.linspace(-1, 1, 12)
    seen = networks_of([[0.5, 0.7 + each / 10] for each in size], [[each] for each in size])
    small, large = ([networks_of([[0.5, 0]], [[each]])] for each in (-0.9, 1.1))
    assert modelled_reach(2)(seen, *small, 1)
    assert not modelled_reach(2)(seen, *large, 1)
    assert not reach(2)(seen, *small, 1)


def test_a_budget_of_epochs_is_spent_on_as_many_trials_as_it_lasts():
    never = Rule("never", lambda complete, own, epochs: False)
    assert replay(NETWORKS, range(40), never, budget=5 * EPOCHS).trials == 5
    assert replay(NETWORKS, range(40), None).epochs == 40 * EPOCHS


def test_the_area_under_a_front():
    assert area(np.array([3.0, 2.0, 1.0]), np.array([2.0, 1.0, 1.5]), 4, 0) == 2 * 3 + 1 * 2
    assert len(list(table(NETWORKS, 20, 2))) == 2 + len(rules(EPOCHS))
