"""`RegularizedEvolution`: one parameter of a good one among the youngest is changed."""

import optuna
import pytest

from nasopt.samplers.baselines.evolution import POPULATION, RegularizedEvolution

NAMES = [f"x{i}" for i in range(6)]


def objective(trial: optuna.Trial) -> float:
    return sum(trial.suggest_int(name, 0, 9) for name in NAMES)


def study(trials: int, direction: str = "maximize") -> optuna.Study:
    made = optuna.create_study(direction=direction, sampler=RegularizedEvolution(seed=0))
    made.optimize(objective, n_trials=trials)
    return made


def differences(one: optuna.trial.FrozenTrial, other: optuna.trial.FrozenTrial) -> int:
    return sum(one.params[name] != other.params[name] for name in NAMES)


def test_each_child_differs_in_one_parameter_from_one_of_the_twenty_youngest():
    trials = study(120).trials
    for child in trials[POPULATION:]:
        youngest = trials[child.number - POPULATION : child.number]
        assert 1 in [differences(child, other) for other in youngest]


def test_the_first_twenty_are_at_random():
    trials = study(POPULATION).trials
    apart = [differences(a, b) for a in trials for b in trials if a.number < b.number]
    assert sum(apart) / len(apart) == pytest.approx(6 * 0.9, abs=0.3)


@pytest.mark.parametrize(("direction", "sign"), [("maximize", 1), ("minimize", -1)])
def test_it_moves_where_values_are_better(direction, sign):
    values = [sign * trial.value for trial in study(120, direction).trials]
    first, last = sum(values[:20]) / 20, sum(values[-20:]) / 20
    assert last > first + 10


def test_the_old_die_however_good_they_are():
    """The only one that is worth anything has children until twenty younger ones have ended."""
    names = [f"x{i}" for i in range(30)]

    def lonely(trial):
        for name in names:
            trial.suggest_int(name, 0, 9)
        return float(trial.number == 15)

    made = optuna.create_study(direction="maximize", sampler=RegularizedEvolution(seed=0))
    made.optimize(lonely, n_trials=70)
    parent = made.trials[15].params
    children = [
        trial.number
        for trial in made.trials
        if sum(trial.params[name] != parent[name] for name in names) == 1
    ]
    assert len(children) > 3
    assert max(children) <= 15 + POPULATION


def test_where_all_children_are_known_another_is_found():
    made = optuna.create_study(direction="maximize", sampler=RegularizedEvolution(seed=0))
    made.optimize(
        lambda trial: trial.suggest_int("a", 0, 5) + trial.suggest_int("b", 0, 5), n_trials=36
    )
    assert len({tuple(trial.params.values()) for trial in made.trials}) == 36
