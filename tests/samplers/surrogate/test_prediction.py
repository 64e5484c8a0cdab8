"""`Prediction`: what the surrogate holds of a trial, against what comes."""

import math

import numpy as np
import optuna
import pytest

from nasopt.samplers import SurrogateSampler
from nasopt.storage.prediction import Prediction


def objective(trial: optuna.Trial) -> float:
    """One parameter decides nearly all of it."""
    x = trial.suggest_float("x", -2.0, 2.0)
    for name in "abc":
        trial.suggest_int(name, 0, 4)
    noise = np.random.default_rng(trial.number).normal(scale=0.02)
    return float(noise - (x - 0.5) ** 2)


@pytest.fixture(scope="module", params=["maximize", "minimize"])
def predictions(request):
    """(prediction, what was seen) of each trial of a search, and its study."""
    sampler = SurrogateSampler(seed=0)
    study = optuna.create_study(direction=request.param, sampler=sampler)
    found = []
    for _ in range(40):
        trial = study.ask()
        value = objective(trial)
        study.tell(trial, value if request.param == "maximize" else -value)
        found.append((sampler.prediction, study.trials[-1].value))
    return found, study


def test_there_is_none_before_there_is_a_model(predictions):
    found, _ = predictions
    assert [prediction is None for prediction, _ in found] == [True] * 5 + [False] * 35


def test_most_of_what_is_seen_lies_within_the_interval(predictions):
    """Every other trial: normal scores know nothing beyond the best, which a search goes for."""
    found, _ = predictions
    told = [(prediction, seen) for prediction, seen in found[11::2]]
    assert np.mean([prediction.low <= seen <= prediction.high for prediction, seen in told]) > 0.75
    assert all(prediction.low <= prediction.expected <= prediction.high for prediction, _ in told)


def test_it_expects_what_is_seen_more_closely_than_the_mean_of_all_would(predictions):
    found, _ = predictions
    expected, seen = np.array([(prediction.expected, seen) for prediction, seen in found[10:]]).T
    values = np.array([seen for _, seen in found])
    assert np.median(np.abs(expected - seen)) < 0.3 * np.median(np.abs(values.mean() - seen))


def test_what_decides_has_the_most_weight(predictions):
    found, _ = predictions
    prediction, _ = found[-1]
    assert next(iter(prediction.weights)) == "x"
    assert prediction.weights["x"] > 0.5
    assert list(prediction.weights.values()) == sorted(prediction.weights.values(), reverse=True)
    assert sum(prediction.weights.values()) == pytest.approx(1)  # there are no more than are told


def test_the_nearest_are_known_trials_the_most_alike_first(predictions):
    found, study = predictions
    for number, (prediction, _) in enumerate(found):
        if prediction is not None:
            distances = [near.distance for near in prediction.nearest]
            assert len(distances) == 3
            assert distances == sorted(distances)
            assert all(near.trial < number for near in prediction.nearest)
            assert all(near.value == study.trials[near.trial].value for near in prediction.nearest)


def test_no_accuracy_is_expected_above_one():
    prediction = Prediction(0.97, 0.9, 1.04, {"x": 1.0}, ())
    assert prediction.at_most(1.0) == Prediction(0.97, 0.9, 1.0, {"x": 1.0}, ())
    assert prediction.at_most(math.inf) == prediction
