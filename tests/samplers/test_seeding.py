"""`Seeded`: the samplers of Optuna as they are, but for their seeds and the limits."""

import hashlib
from typing import Any

import optuna
import pytest
from optuna.samplers import RandomSampler, TPESampler

from nasopt.samplers import Seeded, make_sampler
from nasopt.samplers.problem import Problem
from nasopt.samplers.seeding import DRAWS_PER_TRIAL, SAMPLER_DRAWS_PER_TRIAL
from nasopt.space.architecture import Architecture
from nasopt.space.limits import Limit, macs, parameters
from nasopt.space.model import Cost
from tests.samplers.driving import (
    LIMITS,
    SEED,
    SPACE,
    driven,
    length,
    problem,
    suggest,
    suggestions,
)

# the samplers of Optuna, as they are


def reseed(states: list[Any], *coordinates: int | str) -> None:
    for index, state in enumerate(states):
        key = repr((SEED, *coordinates, index)).encode()
        seed = int.from_bytes(hashlib.blake2b(key, digest_size=4).digest(), "big")
        state.rng.seed(seed)


class StockRandom(RandomSampler):
    def sample_independent(self, study: Any, trial: Any, name: str, distribution: Any) -> Any:
        reseed([self._rng], trial.number, "param", name, 0)
        return super().sample_independent(study, trial, name, distribution)


class StockTPE(TPESampler):
    @property
    def states(self) -> list[Any]:
        return [self._random_sampler._rng, self._rng]

    def sample_relative(self, study: Any, trial: Any, space: Any) -> dict[str, Any]:
        reseed(self.states, trial.number, "relative", 0)
        return super().sample_relative(study, trial, space)

    def sample_independent(self, study: Any, trial: Any, name: str, distribution: Any) -> Any:
        reseed(self.states, trial.number, "param", name, 0)
        return super().sample_independent(study, trial, name, distribution)


@pytest.mark.parametrize(
    ("name", "stock"),
    [
        ("random", StockRandom),
        ("tpe", StockTPE),
        ("tpe-univariate", lambda: StockTPE(multivariate=False)),
    ],
)
def test_a_seeded_sampler_is_the_stock_one_seeded_trial_by_trial(name, stock):
    assert suggestions(name) == driven(stock, length(name))


# limits


def limited(limits: tuple[Limit, ...]) -> tuple[Seeded, list[Architecture]]:
    """A random sampler, and the networks whose costs it has asked for."""
    asked = []
    plain = problem(limits)

    def counted(architecture: Architecture) -> Cost:
        asked.append(architecture)
        return plain.cost(architecture)

    counting = Problem(plain.search_space, plain.decode, counted, limits)
    return make_sampler("random", counting, SEED), asked


def test_draws_are_counted_until_one_is_within_the_limits():
    sampler, asked = limited(LIMITS)
    study = optuna.create_study(sampler=sampler)
    draws = []
    for _ in range(20):
        trial = study.ask()
        asked.clear()
        proposal = sampler.propose(trial)
        assert proposal.feasible
        assert proposal.draws == len(asked)
        assert proposal.params == suggest(trial)
        del asked[proposal.draws :]
        within = [max(problem(LIMITS).violations(problem().cost(each)).values()) for each in asked]
        assert [violation <= 0 for violation in within] == [False] * (len(asked) - 1) + [True]
        draws.append(len(asked))
    assert 1 in draws
    assert max(draws) > 1


def test_the_first_draw_is_the_one_without_limits():
    for free, within in zip(
        suggestions("random"), suggestions("random", limits=LIMITS), strict=True
    ):
        feasible = max(problem(LIMITS).violations(problem().cost(SPACE.decode(free))).values()) <= 0
        assert (free == within) == feasible


def test_without_limits_there_is_one_draw_and_no_cost_is_asked_for():
    sampler, asked = limited(())
    proposal = sampler.propose(optuna.create_study(sampler=sampler).ask())
    assert (proposal.draws, proposal.feasible, asked) == (1, True, [])


def test_a_proposal_that_never_meets_the_limits_says_so():
    sampler, asked = limited((parameters <= 50, macs <= 10**9))
    trial = optuna.create_study(sampler=sampler).ask()
    proposal = sampler.propose(trial)
    assert not proposal.feasible
    assert proposal.draws == len(asked) == DRAWS_PER_TRIAL == 200
    assert proposal.params == suggest(trial)
    del asked[proposal.draws :]
    costs = [problem().cost(each) for each in asked]
    assert sampler.smallest == {
        "parameters": min(each.parameters for each in costs),
        "macs": min(each.macs for each in costs),
    }


def test_what_was_enqueued_beyond_the_limits_is_not_drawn_a_hundred_times():
    sampler, asked = limited((parameters <= 50,))
    study = optuna.create_study(sampler=sampler)
    study.enqueue_trial(suggestions("random")[0])
    proposal = sampler.propose(study.ask())
    assert proposal.params == suggestions("random")[0]
    assert not proposal.feasible
    assert proposal.draws == len(asked) == 1


def test_where_a_sampler_finds_nothing_feasible_the_space_is_searched_at_random():
    class Stubborn(RandomSampler):  # always the first choice, which is far too large
        def sample_independent(self, study, trial, name, distribution):
            choices = getattr(distribution, "choices", None)
            return max(choices) if choices else distribution.high

    problem_ = limited((parameters <= 600,))[0].problem
    few = Seeded(Stubborn, problem_, seed=0)
    study = optuna.create_study(sampler=few)
    proposals = [few.propose(study.ask()) for _ in range(3)]
    assert all(each.feasible for each in proposals)
    assert all(each.draws > SAMPLER_DRAWS_PER_TRIAL for each in proposals)
    again = Seeded(Stubborn, problem_, seed=0)
    study = optuna.create_study(sampler=again)
    suggested = [study.ask().relative_params for _ in range(3)]
    assert suggested == [each.params for each in proposals]
