"""`SurrogateSampler`: fewer trials than others need, and nothing that a cache could change."""

import math
import sys
from statistics import median

import numpy as np
import optuna
import pytest

import nasopt
from nasopt.errors import StudyError, Unsuitable
from nasopt.samplers import SurrogateSampler, make_sampler
from nasopt.samplers.points.domain import EncodedPoints
from nasopt.samplers.problem import Problem
from nasopt.samplers.surrogate.sampler import (
    FITS,
    MOST_FITTED,
    STEADY,
    _acquisition,
    _fitted,
    _log_gain,
    _parents,
    _some,
)
from nasopt.space.fields import categorical
from nasopt.space.layers import Conv
from nasopt.space.model import cost
from nasopt.space.space import Space, repeat
from nasopt.space.vectorized import Networks
from tests.examples import small

SHAPE, CLASSES = (3, 16, 16), 10
SPACE = Space(
    repeat(
        Conv(
            filters=categorical(8, 16, 32, 64),
            kernel_size=categorical(1, 3, 5),
            stride=categorical(1, 2),
        ),
        2,
        8,
    )
).on(SHAPE)


def problem(**fields) -> Problem:
    return Problem(
        search_space=SPACE.hyperparameters,
        decode=SPACE.decode,
        cost=lambda architecture: cost(architecture, SHAPE, CLASSES),
        surveys=Networks(SPACE, CLASSES),
        **fields,
    )


def accuracy(params: dict, noise: float) -> float:
    """Something like that of a network: size pays less and less, and three halvings are best."""
    architecture = SPACE.decode(params)
    macs = cost(architecture, SHAPE, CLASSES).macs
    halvings = sum(layer.stride == 2 for layer in architecture.layers)
    wide = sum(
        (layer.filters - before.filters) / 64
        for before, layer in zip(architecture.layers, architecture.layers[1:], strict=False)
    )
    return math.tanh(math.log(macs) / 10) + 0.05 * wide - 0.02 * abs(halvings - 3) + noise


def search(sampler, trials: int, seed: int = 0, objectives=1) -> optuna.Study:
    directions = ["maximize", "minimize"][:objectives]
    study = optuna.create_study(directions=directions, sampler=sampler)
    rng = np.random.default_rng(seed)
    for _ in range(trials):
        trial = study.ask()
        for name, field in SPACE.hyperparameters.items():
            field.suggest(trial, name)
        values = [accuracy(trial.params, rng.normal(scale=0.002))]
        if objectives == 2:
            values.append(cost(SPACE.decode(trial.params), SHAPE, CLASSES).macs)
        study.tell(trial, values)
    return study


def best(name: str, trials: int, seed: int) -> float:
    study = search(make_sampler(name, problem(), seed), trials, seed)
    return accuracy(study.best_params, 0)


def test_after_30_trials_it_has_what_tpe_has_not_after_60():
    seeds = range(3)
    surrogate = [best("surrogate", 30, seed) for seed in seeds]
    assert median(surrogate) > median(best("tpe", 60, seed) for seed in seeds)


def test_a_kernel_that_was_kept_is_the_one_that_is_fitted_anew():
    """A new sampler for each trial has kept none; 40 trials go beyond the steady steps."""
    kept = search(make_sampler("surrogate", problem(), 0), 40)
    study = optuna.create_study(direction="maximize")
    rng = np.random.default_rng(0)
    for number in range(40):
        if number > 35:
            study.sampler = make_sampler("surrogate", problem(), 0)
            trial = study.ask()
            for name, field in SPACE.hyperparameters.items():
                field.suggest(trial, name)
            study.tell(trial, accuracy(trial.params, rng.normal(scale=0.002)))
        else:
            study.add_trial(kept.trials[number])
            rng.normal(scale=0.002)
    assert [trial.params for trial in study.trials] == [trial.params for trial in kept.trials]


def test_the_kernel_is_fitted_at_every_trial_at_first_and_then_where_a_tenth_is_new():
    fitted = [_fitted(n) for n in range(1, 60)]
    assert fitted[: STEADY + 1] == [*range(1, STEADY + 1), STEADY]
    assert sorted(set(fitted[STEADY:])) == [20, 22, 25, 28, 31, 35, 39, 43, 48, 53, 59]
    assert all(n / _fitted(n) < 1.1 + 1 / STEADY for n in range(1, 5_000))


def test_of_many_values_a_third_are_the_best_and_all_are_different():
    values = np.random.default_rng(0).normal(size=1_000)
    rows = _some(values, MOST_FITTED)
    assert len(set(rows.tolist())) == MOST_FITTED
    third = MOST_FITTED // 3
    assert set(np.argsort(-values)[:third].tolist()) <= set(rows.tolist())
    assert values[rows].mean() < 1
    assert _some(values[:9], 9).tolist() == list(range(9))


def test_no_more_fits_are_kept_than_are_of_use():
    sampler = SurrogateSampler(seed=0)
    study = optuna.create_study(sampler=sampler)
    study.optimize(lambda trial: trial.suggest_float("x", 0, 1), n_trials=20)
    assert 0 < len(sampler._kernels) <= FITS


def test_a_numerical_failure_is_a_warning_with_its_reason_and_a_random_point(monkeypatch):
    def fail(*args, **kwargs):
        raise np.linalg.LinAlgError("7-th leading minor not positive definite")

    study = search(make_sampler("surrogate", problem(), 0), 8)
    monkeypatch.setattr("nasopt.samplers.surrogate.gaussian_process.cho_factor", fail)
    trial = study.ask()
    with pytest.warns(UserWarning, match="SurrogateSampler: 7-th leading .*; a random point inst"):
        params = trial.relative_params
    assert params not in [each.params for each in study.trials[:-1]]


def test_workers_in_parallel_spread_out():
    """Eight that wait for each other would all get the same suggestion without belief."""
    study = search(make_sampler("surrogate", problem(), 0), 20)
    points = []
    for _ in range(8):
        trial = study.ask()
        for name, field in SPACE.hyperparameters.items():
            field.suggest(trial, name)
        points.append(SPACE.decode(trial.params).key)
    assert len(set(points)) == 8


def test_features_tell_what_parameters_alone_do_not():
    """The value depends on how many of 16 switches are on: two halves of them fight."""

    def objective(trial):
        on = sum(trial.suggest_categorical(f"switch{i}", [0, 1]) for i in range(16))
        return -abs(on - 11)

    def trials(features):
        study = optuna.create_study(
            direction="maximize", sampler=SurrogateSampler(seed=1, features=features)
        )
        study.optimize(objective, n_trials=16)
        return sum(trial.value for trial in study.trials[6:])

    told = trials(lambda params: [sum(params.values())])
    assert told > trials(None)


def test_features_that_are_no_numbers_are_refused_in_a_study():
    sampler = SurrogateSampler(features=lambda params: [math.nan])
    study = optuna.create_study(sampler=sampler)
    with pytest.raises(StudyError, match=r"SurrogateSampler\.features"):
        study.optimize(lambda trial: trial.suggest_float("x", 0, 1), n_trials=3)


# costs


def test_with_a_budget_of_time_networks_are_quicker():
    """Of seconds that grow with MACs, as many trainings take fewer."""

    def seconds(timed):
        sampler = make_sampler("surrogate", problem(has_time_budget=timed), 0)
        study = optuna.create_study(direction="maximize", sampler=sampler)
        for _ in range(30):
            trial = study.ask()
            SPACE.suggest(trial)
            macs = cost(SPACE.decode(trial.params), SHAPE, CLASSES).macs
            trial.set_user_attr("seconds", 1 + macs / 1e6)
            study.tell(trial, accuracy(trial.params, 0.0))
        return sum(trial.user_attrs["seconds"] for trial in study.trials)

    assert seconds(timed=True) < 0.8 * seconds(timed=False)


class Expected:
    """A model of points whose only column is their mean, all with the same deviation."""

    def mean_and_deviation(self, columns):
        return columns[:, 0], np.full(len(columns), 0.25)


class Slow:
    """Times that double with the mean."""

    def logs(self, columns):
        return math.log(2) * columns[:, 0]


def test_a_gain_is_divided_by_a_power_of_its_seconds():
    columns = np.array([[0.0], [1.0], [3.0]])
    nothing = np.zeros((3, 0))
    points = EncodedPoints(columns, columns > -1, columns, np.zeros(3), nothing)
    heights = _acquisition(Expected(), None, -1.5, Slow())(points)
    assert heights == pytest.approx(
        [math.log(2), math.log(3) - 0.3 * math.log(2), math.log(5) - 0.9 * math.log(2)]
    )
    assert _acquisition(Expected(), None, -1.5, None)(points).tolist() == [0.5, 1.5, 3.5]
    cheap, dear = points[[0]], points[[2]]
    large, small = (
        [_acquisition(Expected(), None, best, Slow())(each)[0] for each in (cheap, dear)]
        for best in (-100.0, 0.49)
    )
    assert large[0] > large[1]  # nearly the same gain: the quicker one
    assert small[0] < small[1]  # hardly any gain: not even in no time


def test_what_is_gained_is_beyond_the_best_that_is_expected_of_those_tried(monkeypatch):
    told = []

    def noted(model, front, best, durations):
        told.append((best, float(model.mean(model.columns).max())))
        return _acquisition(model, front, best, durations)

    monkeypatch.setattr("nasopt.samplers.surrogate.sampler._acquisition", noted)
    search(SurrogateSampler(seed=0), 9)
    assert len(told) == 4
    assert all(best == pytest.approx(highest) for best, highest in told)


def test_of_too_many_trials_the_best_that_are_modelled_are_looked_at(monkeypatch):
    monkeypatch.setattr("nasopt.samplers.surrogate.sampler.MOST_SEEN", 9)
    seen = []

    def noted(encoded, means, has_front):
        seen.append(len(encoded))
        return _parents(encoded, means, has_front)

    monkeypatch.setattr("nasopt.samplers.surrogate.sampler._parents", noted)
    study = search(SurrogateSampler(seed=0), 14)
    assert max(seen) == 9
    assert len(study.trials) == 14


def test_what_is_no_gain_is_still_told_apart():
    gains = np.array([-3.0, -1.0, -0.5, 0.0, 0.005, 0.01, 0.02, 1.0, 10.0])
    logs = _log_gain(gains)
    assert (np.diff(logs) > 0).all()
    assert logs[-2:] == pytest.approx([0, math.log(10)])
    assert logs[5] == pytest.approx(math.log(0.01))


def test_a_table_that_does_not_know_seconds_is_refused_with_the_remedy():
    with pytest.raises(Unsuitable) as raised:
        SurrogateSampler(problem=problem(knows_seconds=False), cost_aware=True)
    assert str(raised.value) == ("cost_aware=True: the table does not know seconds; leave it out")


def test_with_two_objectives_a_budget_of_time_changes_nothing():
    two = {"objectives": ("accuracy", "macs"), "directions": ("maximize", "minimize")}

    def params(timed):
        sampler = make_sampler("surrogate", problem(has_time_budget=timed, **two), 0)
        return [trial.params for trial in search(sampler, 10, objectives=2).trials]

    assert params(True) == params(False)


def test_a_weight_of_seconds_beside_two_objectives_is_refused_with_the_remedy():
    two = problem(objectives=("accuracy", "parameters"), directions=("maximize", "minimize"))
    with pytest.raises(StudyError) as raised:
        SurrogateSampler(problem=two, cost_aware=True)
    assert str(raised.value) == (
        "cost_aware=True: parameters is an objective already; leave it out"
    )


def area(study: optuna.Study) -> float:
    """Between the front and the worst, costs on a logarithmic scale up to 10^8."""
    total = 0.0
    front = sorted(study.best_trials, key=lambda trial: trial.values[1])
    ends = [*(trial.values[1] for trial in front[1:]), 1e8]
    for trial, end in zip(front, ends, strict=True):
        total += max(0.0, accuracy(trial.params, 0) - 0.7) * math.log(end / trial.values[1])
    return total


def test_with_a_known_cost_as_second_objective_it_raises_the_front():
    two = problem(objectives=("accuracy", "macs"), directions=("maximize", "minimize"))
    areas = {
        name: median(area(search(make_sampler(name, two, s), 30, s, 2)) for s in range(3))
        for name in ("surrogate", "tpe", "nsga2")
    }
    assert areas["surrogate"] > max(areas["tpe"], areas["nsga2"])


def test_a_search_for_two_objectives_is_run_and_resumed(tmp_path):
    experiment = small(objectives=("accuracy", "macs"), trials=12)
    settings = {"sampler": "surrogate", "device": "cpu"}
    whole = nasopt.run(experiment, storage=tmp_path / "x.db", **settings)
    for trials in (7, 12):
        resumed = nasopt.run(experiment, storage=tmp_path / "y.db", trials=trials, **settings)
    assert [t.params for t in whole.trials] == [t.params for t in resumed.trials]
    assert [t.values for t in whole.trials] == [t.values for t in resumed.trials]


@pytest.mark.parametrize("penalty", [sys.float_info.max, 1e300, 1e154])
def test_penalties_at_the_edge_of_numbers_do_not_stop_it(penalty):
    def objective(trial):
        x, y = trial.suggest_float("x", 0, 1), trial.suggest_float("y", 0, 1)
        return penalty if (trial.number * 7) % 10 < 6 else (x - 0.3) ** 2 + (y - 0.6) ** 2

    study = optuna.create_study(sampler=SurrogateSampler(seed=0))
    study.optimize(objective, n_trials=16)  # warnings are errors
    assert len(study.trials) == 16
