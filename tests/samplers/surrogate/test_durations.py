"""`Durations`: what trainings take, as far as trials say."""

import math

import numpy as np
import optuna
import pytest
from optuna.distributions import FloatDistribution
from optuna.trial import create_trial

from nasopt.samplers import SurrogateSampler
from nasopt.samplers.surrogate.durations import LEAST_TIMED, Durations
from nasopt.samplers.surrogate.gaussian_process import Posterior, fit
from nasopt.samplers.surrogate.sampler import STEADY

X = {"x": FloatDistribution(0, 1)}


def trial(seconds):
    return create_trial(
        value=1.0, params={"x": 0.5}, distributions=X, user_attrs={"seconds": seconds}
    )


def model(columns, scores, first):
    ones = np.ones(len(scores))
    groups = np.arange(columns.shape[1])
    kernel = fit(columns[:first], groups, scores[:first], ones[:first])
    return Posterior(kernel, columns, scores, ones)


def learnt(trials, columns, fitted=lambda n: n):
    return Durations.of(trials, columns, fitted, model)


def test_a_few_trials_have_to_tell():
    columns = np.linspace(-1, 1, LEAST_TIMED)[:, None]
    told = [trial(float(n + 1)) for n in range(LEAST_TIMED)]
    assert learnt(told[:-1], columns[:-1]) is None
    assert learnt([*told[:-1], trial(0)], columns) is None
    assert learnt(told, columns) is not None


def test_a_time_is_learnt_as_a_ratio():
    columns = np.linspace(-1, 1, 9)[:, None]
    told = [trial(float(100 * 4**x)) for x in columns[:, 0]]
    told[4] = trial(0)  # not known: those after it keep their own
    durations = learnt(told, columns)
    assert durations is not None
    low, high = durations.logs(np.array([[-0.6], [0.6]]))
    assert high - low == pytest.approx(1.2 * math.log(4), rel=0.1)


def test_times_that_hardly_differ_are_taken_for_alike():
    columns = np.linspace(-1, 1, 9)[:, None]
    told = [trial(100 + 1e-6 * n) for n in range(9)]
    durations = learnt(told, columns)
    assert durations is not None
    assert np.abs(durations.logs(columns)).max() < 1e-4


def test_scores_stay_while_the_kernel_does():
    columns = np.linspace(-1, 1, 9)[:, None]
    told = [trial(float(100 * 4**x)) for x in columns[:, 0]]
    given = []

    def noted(columns, scores, first):
        given.append((scores[:first], first))
        return model(columns, scores, first)

    for n in (6, 9):
        Durations.of(told[:n], columns[:n], lambda n: 5, noted)
    assert [first for _, first in given] == [5, 5]
    assert given[0][0].tolist() == given[1][0].tolist()
    assert given[0][0].mean() == pytest.approx(0)
    assert given[0][0].std() == pytest.approx(1)


def objective(t, seconds):
    """The best is at (.7, .5); `slow` changes the time alone."""
    x, y = t.suggest_float("x", 0, 1), t.suggest_float("y", 0, 1)
    slow = t.suggest_categorical("slow", [0, 1, 2])
    t.set_user_attr("seconds", seconds(slow))
    return -((x - 0.7) ** 2) - (y - 0.5) ** 2


def searched(seconds, trials=30, **settings):
    study = optuna.create_study(direction="maximize", sampler=SurrogateSampler(seed=0, **settings))
    study.optimize(lambda t: objective(t, seconds), n_trials=trials)
    return study


def test_where_time_counts_what_is_quick_is_tried_more_often():
    took = [1.0, 30.0, 900.0]
    plain, aware = (searched(lambda slow: took[slow], cost_aware=each) for each in (False, True))
    spent = [sum(t.user_attrs["seconds"] for t in study.trials) for study in (plain, aware)]
    assert spent[1] < 0.7 * spent[0]
    assert aware.best_value > -0.01


def test_without_times_it_is_the_plain_sampler():
    plain, aware = (searched(lambda slow: 0, cost_aware=each) for each in (False, True))
    assert [t.params for t in plain.trials] == [t.params for t in aware.trials]


def test_a_suggestion_follows_from_what_the_trials_tell():
    """As the others do: whoever has the trials goes on in the same way."""
    study = searched(lambda slow: [1.0, 30.0, 900.0][slow], trials=12, cost_aware=True)

    def suggested(speed):
        copy = optuna.create_study(
            direction="maximize", sampler=SurrogateSampler(seed=5, cost_aware=True)
        )
        for each in study.trials:
            each.user_attrs["seconds"] *= speed if each.params["slow"] == 2 else 1
            copy.add_trial(each)
            each.user_attrs["seconds"] /= speed if each.params["slow"] == 2 else 1
        asked = copy.ask()
        asked.suggest_float("x", 0, 1), asked.suggest_float("y", 0, 1)
        asked.suggest_categorical("slow", [0, 1, 2])
        return asked.params

    assert suggested(1) == suggested(1)
    assert suggested(1) != suggested(1e-4)


def test_a_kernel_is_fitted_to_times_as_rarely_as_to_values(monkeypatch):
    def fits(**settings):
        sizes = []

        def counted(columns, *others):
            sizes.append(len(columns))
            return fit(columns, *others)

        monkeypatch.setattr("nasopt.samplers.surrogate.gaussian_process.fit", counted)
        searched(lambda slow: [1.0, 30.0, 900.0][slow], trials=40, **settings)
        return sizes

    plain, aware = fits(), fits(cost_aware=True)
    late = [size for size in aware if size > STEADY]
    assert len(set(late)) == len({size for size in plain if size > STEADY})
    assert len(late) < 4 * len(set(late))  # two targets and the times, each hardly ever twice


def test_many_times_are_too_many_for_a_kernel_and_a_model(monkeypatch):
    monkeypatch.setattr("nasopt.samplers.surrogate.sampler.MOST_FITTED", 8)
    monkeypatch.setattr("nasopt.samplers.surrogate.sampler.MOST_SEEN", 12)
    sizes = []

    class Noted(Posterior):
        def __init__(self, kernel, columns, *others):
            sizes.append(len(columns))
            super().__init__(kernel, columns, *others)

    monkeypatch.setattr("nasopt.samplers.surrogate.gaussian_process.Posterior", Noted)
    fitted = []

    def counted(columns, *others):
        fitted.append(len(columns))
        return fit(columns, *others)

    monkeypatch.setattr("nasopt.samplers.surrogate.gaussian_process.fit", counted)
    study = searched(lambda slow: [1.0, 30.0, 900.0][slow], trials=20, cost_aware=True)
    assert (max(fitted), max(sizes)) == (8, 12)
    assert len(study.trials) == 20
