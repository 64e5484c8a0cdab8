"""`LocalSearch`: up the hill, and then up another."""

import optuna
import pytest

from nasopt.samplers.baselines.local import CLIMBS_FROM, LocalSearch

NAMES = ["a", "b", "c"]


def study(objective, trials: int, direction: str = "maximize") -> optuna.Study:
    made = optuna.create_study(direction=direction, sampler=LocalSearch(seed=0))
    made.optimize(objective, n_trials=trials)
    return made


def hill(trial: optuna.Trial) -> float:
    """One top; each of three parameters has six values."""
    return -sum(abs(trial.suggest_int(name, 0, 5) - 3) for name in NAMES)


def differences(one: optuna.trial.FrozenTrial, other: optuna.trial.FrozenTrial) -> int:
    return sum(one.params[name] != other.params[name] for name in NAMES)


def test_each_step_is_next_to_the_best_of_its_climb():
    trials = study(hill, 60).trials
    climb: list[optuna.trial.FrozenTrial] = []
    for trial in trials:
        climbs_from = trial.system_attrs.get(CLIMBS_FROM)
        if climbs_from is None:
            climb = []
        else:
            top = max(climb, key=lambda each: each.value)
            assert trials[climbs_from].value == top.value
            assert differences(trial, trials[climbs_from]) == 1
        climb.append(trial)


@pytest.mark.parametrize(("direction", "sign"), [("maximize", 1), ("minimize", -1)])
def test_a_hill_is_climbed_to_its_top(direction, sign):
    assert study(lambda trial: sign * hill(trial), 40, direction).best_value == 0


def test_a_new_climb_begins_where_all_neighbours_are_known():
    trials = study(hill, 60).trials
    begins = [trial.number for trial in trials if trial.system_attrs.get(CLIMBS_FROM) is None]
    assert begins[0] == 0
    assert len(begins) > 1
    before = trials[: begins[1]]
    top = max(before, key=lambda trial: trial.value)
    assert sum(differences(trial, top) == 1 for trial in before) == 3 * 5


def test_of_equal_values_the_first_stays_the_top():
    trials = study(lambda trial: 0 * hill(trial), 16).trials
    assert [trial.system_attrs.get(CLIMBS_FROM) for trial in trials] == [None] + [0] * 15


def test_what_was_enqueued_is_where_a_climb_begins():
    made = optuna.create_study(direction="maximize", sampler=LocalSearch(seed=0))
    made.optimize(hill, n_trials=3)
    made.enqueue_trial({"a": 3, "b": 3, "c": 3})
    made.optimize(hill, n_trials=4)
    assert [trial.system_attrs.get(CLIMBS_FROM) for trial in made.trials[4:]] == [3, 3, 3]
