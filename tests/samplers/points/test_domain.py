"""`Domain`: what is known of points before any is tried."""

import math

import numpy as np
import pytest
from numpy.random import RandomState
from optuna.distributions import FloatDistribution, IntDistribution

from nasopt.errors import StudyError
from nasopt.samplers.points.domain import Domain
from nasopt.samplers.problem import Problem
from nasopt.space.fields import categorical, integer, real
from nasopt.space.layers import Conv, Pool
from nasopt.space.limits import macs, parameters
from nasopt.space.model import cost
from nasopt.space.space import Space, repeat
from nasopt.space.vectorized import Networks

SPACE = Space(
    repeat(Conv(filters=categorical(4, 8, 16, 32), stride=categorical(1, 2)), 1, 6),
).on((1, 8, 8))
PLAIN = {"x": IntDistribution(0, 9), "y": FloatDistribution(0, 1)}


def problem(*limits, space=SPACE, networks=True) -> Problem:
    return Problem(
        search_space=space.hyperparameters | {"recipe.lr": real(0.01, 1)},
        decode=space.decode,
        cost=lambda architecture: cost(architecture, (1, 8, 8), 10),
        limits=limits,
        surveys=Networks(space, 10) if networks else None,
    )


def domain(of: Problem, costs=()) -> Domain:
    return Domain(of.distributions, of, costs=costs)


@pytest.mark.parametrize("networks", [True, False])
def test_excess_is_the_share_over_the_worst_limit(networks):
    limited = problem(parameters <= 2_000, macs <= 30_000, networks=networks)
    points = domain(limited).axes.draw(30, RandomState(0))
    encoded = domain(limited).encode(points)
    for point, excess in zip(points, encoded.excess, strict=True):
        architecture = limited.decode(domain(limited).axes.decode(point))
        violations = limited.violations(limited.cost(architecture))
        assert excess == pytest.approx(max(violations.values()))
    assert 0 < (encoded.excess <= 0).sum() < 30


@pytest.mark.parametrize("networks", [True, False])
def test_costs_that_are_asked_for_are_told_in_their_order(networks):
    limited = problem(parameters <= 2_000, networks=networks)
    one = domain(limited, costs=("macs", "parameters"))
    points = one.axes.draw(5, RandomState(0))
    for point, told in zip(points, one.encode(points).costs, strict=True):
        counted = limited.cost(limited.decode(one.axes.decode(point)))
        assert told.tolist() == [counted.macs, counted.parameters]


def test_without_a_problem_there_are_no_costs_and_no_limits():
    encoded = Domain(PLAIN).encode(np.array([[1, 0.5], [2, math.nan]]))
    assert encoded.costs.shape == (2, 0)
    assert (encoded.excess <= 0).all()
    assert encoded.active.tolist() == [[True, True], [True, False]]


def test_points_are_canonical_and_keep_their_recipe():
    one = domain(problem())
    first = one.axes.draw(1, RandomState(0))[0]
    first[0] = 0  # one layer
    other = first.copy()
    other[3:-1] = 0
    encoded = one.encode(np.stack([first, other]))
    assert (encoded.points[0] == encoded.points[1]).all()
    assert encoded.points[0, -1] == first[-1]
    assert encoded.active[0].tolist() == [True, True, True, *[False] * 10, True]


def test_random_points_are_within_limits_that_few_meet():
    limited = problem(parameters <= 100)
    share = (
        domain(limited).encode(domain(limited).axes.draw(2_000, RandomState(1))).excess <= 0
    ).mean()
    assert 0.02 < share < 0.06
    encoded = domain(limited).encode(domain(limited).random(10, RandomState(0)))
    assert len(encoded) == 10
    assert (encoded.excess <= 0).all()


def test_where_none_of_many_is_within_the_limits_the_way_down_leads_there():
    space = Space(repeat(Conv(filters=integer(8, 64)), 12)).on((1, 8, 8))
    least = sum(8 * cin * 9 + 16 for cin in (1, *[8] * 11)) + 9 * 10
    limited = problem(parameters <= least, space=space)
    point = domain(limited).random(10, RandomState(0))
    assert len(point) == 1
    assert domain(limited).encode(point).excess.tolist() == [0]
    impossible = problem(parameters <= least - 1, space=space)
    assert domain(impossible).encode(domain(impossible).random(9, RandomState(0))).excess[0] > 0


def test_two_spellings_of_one_network_have_one_identity_and_another_recipe_has_another():
    space = Space(
        Conv(filters=4), Pool(kernel_size=categorical(2, 9)), Pool(kernel_size=categorical(2, 9))
    ).on((1, 8, 8))
    one = domain(problem(space=space))
    idle_first, idle_last = np.array([1, 0, 0.5]), np.array([0, 1, 0.5])
    assert one.encode(np.stack([idle_first, idle_last])).points.tolist()[0] == idle_first.tolist()
    assert one.identity(idle_first) == one.identity(idle_last)
    assert one.identity(idle_first) != one.identity(np.array([0, 0, 0.5]))
    assert one.identity(idle_first) != one.identity(np.array([1, 0, 0.6]))


def test_features_are_standardised_over_random_points_and_clipped():
    one = Domain(PLAIN, features=lambda params: (params["x"], 7.0, math.exp(20 * params["y"])))
    encoded = one.encode(np.array([[0, 0.0], [9, 1.0]]))
    assert one.groups.tolist() == [0, 1, 2, 3, 4]
    x = encoded.columns[:, 2]
    assert x == pytest.approx([-4.5 / 2.87, 4.5 / 2.87], abs=0.1)
    assert encoded.columns[:, 3].tolist() == [0, 0]  # always the same
    assert encoded.columns[1, 4] == 4
    assert one.encode(np.zeros((0, 2))).columns.shape == (0, 5)


def test_features_are_asked_for_what_a_trial_has_asked_for():
    asked = []
    Domain(PLAIN, features=lambda params: (asked.append(params), [1.0])[1]).encode(
        np.array([[3, math.nan]])
    )
    assert {"x": 3} in asked


@pytest.mark.parametrize(
    "features",
    [
        lambda params: [math.nan],
        lambda params: [math.inf],
        lambda params: [1.0] * params["x"],
        lambda params: 3,
        lambda params: None,
        lambda params: ["wide"],
    ],
    ids=["nan", "inf", "number", "not a list", "nothing", "words"],
)
def test_features_that_are_no_numbers_or_not_always_as_many_are_refused(features):
    with pytest.raises(StudyError, match=r"SurrogateSampler.features: .* for \{'x': .*; give a"):
        Domain(PLAIN, features=features).encode(np.array([[1, 0.5], [2, 0.5]]))
