"""The Gaussian process: its gradient, its weights, and what it makes of what it has not seen."""

import numpy as np
import pytest
from scipy.optimize import approx_fprime

from nasopt.samplers.surrogate.gaussian_process import (
    AMPLITUDE,
    NO_TREND,
    Kernel,
    Posterior,
    Trend,
    _log_likelihood,
    fit,
)

RNG = np.random.default_rng(0)
COLUMNS = RNG.normal(size=(40, 5))
GROUPS = np.array([0, 1, 1, 2, 3])
TRUTH = np.sin(COLUMNS[:, 0]) + COLUMNS[:, 1] * COLUMNS[:, 2]
VALUES = (TRUTH - TRUTH.mean()) / TRUTH.std()
ONES = np.ones(40)
TREND = Trend(lambda columns: columns[:, :2], np.array([0.5, -0.2]), np.array([0.4, 0.3]))


@pytest.mark.parametrize("trend", [NO_TREND, TREND])
def test_the_gradient_is_that_of_the_likelihood(trend):
    noise = RNG.uniform(1, 2, size=40)
    logs = np.array([-0.3, 0.2, -1.0, 0.5, -2.0, -1.5])

    uncertain = trend.covariance(COLUMNS, COLUMNS)

    def value(at):
        return _log_likelihood(at, COLUMNS, GROUPS, VALUES, noise, uncertain)[0]

    gradient = _log_likelihood(logs, COLUMNS, GROUPS, VALUES, noise, uncertain)[1]
    assert gradient == pytest.approx(approx_fprime(logs, value, 1e-6), rel=1e-3, abs=1e-3)


def test_columns_that_matter_get_weight_and_a_group_shares_one():
    kernel = fit(COLUMNS, GROUPS, VALUES, ONES)
    assert kernel.weights[1] == kernel.weights[2]
    assert min(kernel.weights[:3]) > 3 * max(kernel.weights[3:])


def test_it_foresees_what_it_has_not_seen_and_knows_how_well():
    kernel = fit(COLUMNS[:30], GROUPS, VALUES[:30], ONES[:30])
    model = Posterior(kernel, COLUMNS[:30], VALUES[:30], ONES[:30])
    mean, deviation = model.mean_and_deviation(COLUMNS[30:])
    assert np.corrcoef(mean, VALUES[30:])[0, 1] > 0.8
    assert (np.abs(mean - VALUES[30:]) < 3 * deviation + 0.3).all()
    assert mean == pytest.approx(model.mean(COLUMNS[30:]))


def test_doubt_is_small_where_a_value_is_known_and_whole_far_away():
    kernel = Kernel(amplitude=2.0, weights=np.ones(5), noise=1e-4)
    model = Posterior(kernel, COLUMNS, VALUES, ONES)
    mean, deviation = model.mean_and_deviation(COLUMNS)
    assert mean == pytest.approx(VALUES, abs=0.02)
    assert deviation.max() < 0.02
    assert model.mean_and_deviation(COLUMNS + 100)[1] == pytest.approx(np.sqrt(2))


def test_a_noisy_value_is_believed_less():
    kernel = Kernel(amplitude=1.0, weights=np.ones(5), noise=0.1)
    far = np.stack([np.zeros(5), np.full(5, 50.0)])
    mean = Posterior(kernel, far, np.ones(2), np.array([1.0, 4.0])).mean(far)
    assert mean == pytest.approx([1 / 1.1, 1 / 1.4], rel=1e-4)


def test_a_believed_point_takes_doubt_away_and_no_more():
    kernel = Kernel(amplitude=1.0, weights=np.ones(5), noise=0.01)
    model = Posterior(kernel, COLUMNS[:20], VALUES[:20], ONES[:20])
    believing = model.condition_on_pending(COLUMNS[20:22])
    assert believing.mean(COLUMNS) == pytest.approx(model.mean(COLUMNS), abs=1e-3)
    before, after = (each.mean_and_deviation(COLUMNS)[1] for each in (model, believing))
    assert (after <= before + 1e-9).all()
    assert (after[20:22] < 0.2 * before[20:22]).all()
    assert model.condition_on_pending(COLUMNS[:0]) is model


def test_numbers_that_tell_nothing_are_fitted_without_a_warning():
    for columns, values in ((COLUMNS, 0 * VALUES), (0 * COLUMNS, VALUES), (COLUMNS[:, :0], VALUES)):
        kernel = fit(columns, GROUPS[: columns.shape[1]], values, ONES)
        mean, deviation = Posterior(kernel, columns, values, ONES).mean_and_deviation(columns)
        assert np.isfinite(mean).all()
        assert np.isfinite(deviation).all()


def test_without_values_the_trend_is_all_and_its_doubt_grows_with_it():
    kernel = fit(COLUMNS[:0], GROUPS, VALUES[:0], ONES[:0], TREND)
    model = Posterior(kernel, COLUMNS[:0], VALUES[:0], ONES[:0], TREND)
    mean, deviation = model.mean_and_deviation(COLUMNS)
    assert mean == pytest.approx(TREND.mean(COLUMNS))
    assert mean == pytest.approx(model.mean(COLUMNS))
    variance = AMPLITUDE + 0.16 * COLUMNS[:, 0] ** 2 + 0.09 * COLUMNS[:, 1] ** 2
    assert deviation == pytest.approx(np.sqrt(variance))


@pytest.mark.parametrize("slope", [2.0, 0.5, -0.5])
def test_values_say_how_much_of_a_trend_is_true(slope):
    """Far beyond the values only the trend tells anything: its slope has become theirs."""
    trend = Trend(lambda columns: columns[:, :1], np.array([0.8]), np.array([1.0]))
    columns = COLUMNS * 3
    values = slope * columns[:, 0]
    kernel = Kernel(amplitude=0.5, weights=np.full(5, 0.1), noise=0.05)
    far = np.zeros((1, 5))
    far[0, 0] = 1_000
    learnt = Posterior(kernel, columns, values, ONES, trend).mean(far)[0] / 1_000
    assert learnt == pytest.approx(slope, abs=0.1)
    assert Posterior(kernel, columns, values, ONES).mean(far)[0] == pytest.approx(0, abs=1e-6)
