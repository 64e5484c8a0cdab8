"""Dependent ranges, equal choices and fixed parameters, with the project's samplers in Optuna."""

import optuna
import pytest

from nasopt.samplers import LocalSearch, RegularizedEvolution, SurrogateSampler

pytestmark = pytest.mark.filterwarnings("ignore::optuna.exceptions.ExperimentalWarning")


@pytest.mark.parametrize("value", [2, 2.0], ids=repr)
@pytest.mark.parametrize("sampler", [SurrogateSampler, RegularizedEvolution, LocalSearch])
def test_all_points_beside_a_fixed_parameter_are_tried_and_then_it_stops(sampler, value):
    def objective(trial: optuna.Trial) -> float:
        trial.suggest_categorical("op", ["a", 2])
        return trial.suggest_int("n", 1, 4) + trial.suggest_int("m", 1, 3)

    fixed = optuna.samplers.PartialFixedSampler({"op": value}, sampler(seed=0))
    study = optuna.create_study(sampler=fixed)
    study.optimize(objective, n_trials=30)
    assert len(study.trials) < 30
    assert len({tuple(trial.params.values()) for trial in study.trials}) == 12


def test_points_of_ranges_that_depend_on_another_are_hardly_repeated():
    study = optuna.create_study(sampler=SurrogateSampler(seed=0))
    study.optimize(lambda t: t.suggest_int("b", t.suggest_int("a", 1, 10), 10), n_trials=30)
    assert len({tuple(trial.params.values()) for trial in study.trials}) >= 28


def test_choices_that_are_equal_to_optuna_are_one():
    study = optuna.create_study(sampler=SurrogateSampler(seed=0))
    study.optimize(lambda t: float(t.suggest_categorical("c", [None, 0, False]) is None), 10)
    assert len(study.trials) == 3  # two points, and one to find out
