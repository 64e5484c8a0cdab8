import numpy as np
import optuna
import pytest

from nasopt.pareto import fronts, nondominated_sort


def test_fronts_follow_each_other():
    values = np.array([1.0, 2.0, 3.0, 2.0, 0.5, 2.0])
    costs = np.array([1.0, 2.0, 4.0, 5.0, 3.0, 2.0])
    assert [rows.tolist() for rows in fronts(values, costs)] == [[0, 1, 2], [5], [4, 3]]
    assert nondominated_sort(values, costs, 3).tolist() == [0, 1, 2]
    assert nondominated_sort(values, costs, 4).tolist() == [0, 1, 2, 5]
    assert nondominated_sort(values, costs, 99).tolist() == [0, 1, 2, 5, 4, 3]


def test_nothing_has_no_front():
    assert list(fronts([], [])) == []
    assert nondominated_sort([], [], 3).tolist() == []


@pytest.mark.parametrize("seed", range(3))
def test_the_first_front_of_different_points_is_that_of_optuna(seed):
    points = np.random.default_rng(seed).permutation(400).reshape(200, 2).astype(float)
    study = optuna.create_study(directions=["maximize", "minimize"])
    for values in points.tolist():
        study.add_trial(optuna.create_trial(values=values))
    front = next(fronts(*points.T)).tolist()
    assert sorted(front) == sorted(trial.number for trial in study.best_trials)
    assert front == sorted(front, key=lambda row: points[row, 1])


def test_of_equal_points_the_first_alone_is_on_the_front():
    assert [rows.tolist() for rows in fronts([1, 1, 1], [2, 2, 3])] == [[0], [1], [2]]
