"""`Problem`: what a sampler may know of a study beforehand."""

import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

from nasopt.samplers.problem import Problem
from nasopt.space.fields import categorical, integer, real
from nasopt.space.layers import Conv, Dense
from nasopt.space.limits import macs, parameters
from nasopt.space.model import Cost, cost
from nasopt.space.space import Space, repeat

SPACE = Space(
    repeat(Conv(filters=categorical(8, 4), kernel_size=integer(1, 6, step=2)), 1, 2),
    Dense(width=integer(10, 20)),
).on((1, 8, 8))
PROBLEM = Problem(
    search_space=SPACE.hyperparameters | {"recipe.lr": real(0.001, 1, log=True), "x": real(-1, 1)},
    decode=SPACE.decode,
    cost=lambda architecture: cost(architecture, (1, 8, 8), 10),
    limits=(parameters <= 1_000, macs <= 50_000),
)


def test_parameters_are_distributions_of_optuna_in_their_order():
    assert list(PROBLEM.distributions.items()) == [
        ("conv.depth", IntDistribution(1, 2)),
        ("conv01.filters", CategoricalDistribution((8, 4))),
        ("conv01.kernel_size", IntDistribution(1, 5, step=2)),
        ("conv02.filters", CategoricalDistribution((8, 4))),
        ("conv02.kernel_size", IntDistribution(1, 5, step=2)),
        ("dense01.width", IntDistribution(10, 20)),
        ("recipe.lr", FloatDistribution(0.001, 1, log=True)),
        ("x", FloatDistribution(-1, 1)),
    ]


def test_what_a_trial_suggests_has_the_distributions_of_the_problem():
    class Asked(dict):
        """A trial that notes what it is asked for, in the place of Optuna's."""

        def suggest_categorical(self, name, choices):
            self[name] = CategoricalDistribution(choices)

        def suggest_int(self, name, low, high, *, step=1):
            self[name] = IntDistribution(low, high, step=step)

        def suggest_float(self, name, low, high, *, log=False):
            self[name] = FloatDistribution(low, high, log=log)

    asked = Asked()
    for name, field in PROBLEM.search_space.items():
        field.suggest(asked, name)
    assert asked == PROBLEM.distributions


def test_violations_are_shares_of_the_bound():
    assert PROBLEM.violations(Cost(parameters=1_500, macs=25_000)) == {
        "parameters <= 1,000": pytest.approx(1_500 / 1_000 - 1),
        "macs <= 50,000": pytest.approx(25_000 / 50_000 - 1),
    }


def test_a_cost_at_its_bound_is_no_violation():
    assert PROBLEM.violations(Cost(1_000, 50_000)) == {
        "parameters <= 1,000": 0,
        "macs <= 50,000": 0,
    }


def test_without_limits_there_are_no_violations():
    problem = Problem(search_space=SPACE.hyperparameters, decode=SPACE.decode, cost=PROBLEM.cost)
    assert problem.violations(Cost(10**9, 10**9)) == {}
