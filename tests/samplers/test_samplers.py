"""Every sampler by name obeys this suite: it is a function of the seed and of the study."""

import copy
import hashlib
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from typing import Any

import optuna
import pytest
from optuna.samplers import BaseSampler, GPSampler, RandomSampler, TPESampler

import nasopt
from nasopt.errors import StudyError
from nasopt.samplers import SAMPLERS, Seeded, make_sampler, sampler_name
from nasopt.samplers.problem import Problem
from nasopt.samplers.seeding import DRAWS_PER_TRIAL, SAMPLER_DRAWS_PER_TRIAL
from nasopt.search.comparison import Comparison
from nasopt.space.architecture import Architecture
from nasopt.space.fields import categorical, integer, real
from nasopt.space.layers import Conv, Dense
from nasopt.space.limits import Limit, macs, parameters
from nasopt.space.model import Cost, cost
from nasopt.space.space import Space, repeat
from nasopt.space.vectorized import Networks
from nasopt.storage.opening import open_storage
from tests.examples import small

INPUT_SHAPE, CLASSES = (1, 8, 8), 10
SPACE = Space(
    repeat(Conv(filters=categorical(4, 8), stride=categorical(1, 2)), 1, 3),
    Dense(width=integer(4, 32)),
).on(INPUT_SHAPE)
LIMITS = (parameters <= 600, macs <= 20_000)
SEED = 7


def problem(limits: tuple[Limit, ...] = ()) -> Problem:
    return Problem(
        search_space=SPACE.parameters | {"recipe.lr": real(0.01, 1, log=True)},
        decode=SPACE.decode,
        cost=lambda architecture: cost(architecture, INPUT_SHAPE, CLASSES),
        limits=limits,
        trials=24,
        epochs=4,
        surveys=Networks(SPACE, CLASSES),
    )


def quality(params: dict[str, Any]) -> float:
    """Something to be learnt."""
    depth, width = params["conv.depth"], params["dense01.width"]
    return float(
        depth - abs(width - 20) / 20 + (params["conv01.filters"] == 8) - params["recipe.lr"]
    )


def suggest(trial: optuna.Trial) -> dict[str, Any]:
    for name, field in problem().search_space.items():
        field.suggest(trial, name)
    return trial.params


def driven(
    sampler: Callable[[], BaseSampler], trials: int, restart_every: int | None = None
) -> list[dict[str, Any]]:
    """The parameters of a study's trials, with a new sampler now and then."""
    storage = optuna.storages.InMemoryStorage()
    study = optuna.create_study(
        storage=storage, study_name="study", direction="maximize", sampler=sampler()
    )
    for number in range(trials):
        if restart_every and number % restart_every == 0:
            study = optuna.load_study(storage=storage, study_name="study", sampler=sampler())
        tell(study, study.ask())
    return [trial.params for trial in study.trials]


def tell(study: optuna.Study, trial: optuna.Trial) -> None:
    """End a trial as a worker does: without a value if it is beyond the limits."""
    params = suggest(trial)
    if isinstance(study.sampler, Seeded):
        limited = study.sampler.problem
        excesses = limited.violations(limited.cost(limited.decode(params)))
        for limit, excess in excesses.items():
            trial.set_constraint(limit, excess)
        if max(excesses.values(), default=0) > 0:
            study.tell(trial, state=optuna.trial.TrialState.PRUNED)
            return
    study.tell(trial, quality(params))


def length(name: str) -> int:
    """So many trials that it has left its random beginning; few where a trial takes a second."""
    return 14 if name == "gp" else 60 if name in ("nsga2", "evolution", "local") else 24


@cache
def suggestions(
    name: str, seed: int = SEED, limits: tuple[Limit, ...] = (), restart_every: int | None = None
) -> list[dict[str, Any]]:
    return driven(lambda: make_sampler(name, problem(limits), seed), length(name), restart_every)


NAMES = sorted(SAMPLERS)
QUICK = sorted(set(NAMES) - {"gp"})  # with limits it would fit a model for each draw


@pytest.mark.parametrize("name", NAMES)
def test_suggestions_follow_from_the_seed(name):
    again = driven(lambda: make_sampler(name, problem(), SEED), length(name))
    assert suggestions(name) == again
    assert suggestions(name) != suggestions(name, seed=8)
    assert suggestions(name)[0] != suggestions(name, seed=8)[0]


@pytest.mark.parametrize("name", NAMES)
def test_a_resumed_study_suggests_what_the_uninterrupted_one_would(name):
    assert suggestions(name, restart_every=3) == suggestions(name)


@pytest.mark.parametrize("name", QUICK)
def test_a_resumed_study_with_limits_suggests_what_the_uninterrupted_one_would(name):
    assert suggestions(name, limits=LIMITS, restart_every=3) == suggestions(name, limits=LIMITS)


@pytest.mark.parametrize("name", NAMES)
def test_trials_differ(name):
    rows = [tuple(params.values()) for params in suggestions(name)]
    assert len(set(rows)) > 0.8 * len(rows)


@pytest.mark.parametrize("name", NAMES)
def test_every_parameter_is_suggested_within_its_distribution(name):
    distributions = problem().distributions
    for params in suggestions(name):
        assert list(params) == list(distributions)
        for parameter, value in params.items():
            distribution = distributions[parameter]
            assert distribution._contains(distribution.to_internal_repr(value))


@pytest.mark.parametrize("name", QUICK)
def test_networks_are_within_the_limits(name):
    """All but a few: what a sampler insists on may be beyond them, and is then told as that."""
    limited = problem(LIMITS)
    costs = [limited.cost(limited.decode(params)) for params in suggestions(name, limits=LIMITS)]
    within = [max(limited.violations(each).values()) <= 0 for each in costs]
    assert sum(within) >= 0.75 * length(name)


@pytest.mark.parametrize("name", sorted(set(QUICK) - {"random", "largest"}))
def test_a_sampler_learns_from_the_study(name):
    """What was told must matter: a sampler that never saw a trial would be random search."""
    blind = driven(lambda: make_sampler("random", problem(), SEED), length(name))
    learnt, random = (sum(map(quality, params[-12:])) for params in (suggestions(name), blind))
    assert learnt > random


@pytest.mark.parametrize("name", NAMES)
def test_what_was_enqueued_is_what_a_trial_gets(name):
    study = optuna.create_study(sampler=make_sampler(name, problem(), SEED))
    study.enqueue_trial({"dense01.width": 11, "recipe.lr": 0.5})
    params = suggest(study.ask())
    assert (params["dense01.width"], params["recipe.lr"]) == (11, 0.5)
    assert params.keys() == problem().search_space.keys()


@pytest.mark.parametrize("name", QUICK)
def test_trials_that_pass_by_ask_and_tell_see_what_was_told(name, tmp_path):
    """A worker's do, and it is in those that Optuna forgets what it has read."""
    storage = open_storage(tmp_path / "x.db")
    storage.owner = "me"
    study = optuna.create_study(
        storage=storage,
        study_name="study",
        direction="maximize",
        sampler=make_sampler(name, problem(), SEED),
    )
    for _ in range(length(name)):
        trial = optuna.Trial(study, storage.next_trial(study._study_id, length(name)))
        params = trial.relative_params
        storage.begin(
            trial._trial_id, params, problem().distributions, user_attrs={}, constraints={}
        )
        state, values = optuna.trial.TrialState.COMPLETE, [quality(params)]
        study.sampler.after_trial(study, storage.get_trial(trial._trial_id), state, values)
        storage.finish(trial._trial_id, state, values, {})
    assert [trial.params for trial in study.trials] == suggestions(name)


def test_what_a_trial_gets_at_random_depends_on_its_number_alone():
    study = optuna.create_study(sampler=make_sampler("random", problem(), SEED))
    at_once = [suggest(study.ask()) for _ in range(length("random"))]
    assert at_once == suggestions("random")


def test_reseeding_as_optuna_does_for_threads_does_not_lose_the_seed():
    def reseeded() -> Seeded:
        sampler = make_sampler("tpe", problem(), SEED)
        sampler.reseed_rng()
        return sampler

    assert driven(reseeded, 5) == suggestions("tpe")[:5]


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


@pytest.mark.parametrize("log", [False, True])
@pytest.mark.parametrize("name", NAMES)
def test_a_field_with_one_value_has_it_in_every_trial(name, log):
    one = {"x": real(0.1, 0.1, log=log), "n": integer(3, 3), "c": categorical("a")}
    plain = problem()
    several = replace(plain, search_space=plain.search_space | one)
    study = optuna.create_study(direction="maximize", sampler=make_sampler(name, several, SEED))
    for _ in range(13):  # after ten TPE begins
        trial = study.ask()
        for field, each in several.search_space.items():
            each.suggest(trial, field)
        study.tell(trial, quality(trial.params))
        assert {field: trial.params[field] for field in one} == {"x": 0.1, "n": 3, "c": "a"}


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


# names, objects and seeds


def test_an_object_is_copied_and_seeded_like_one_by_name():
    mine = RandomSampler(seed=3)
    before = copy.deepcopy(mine)
    assert driven(lambda: make_sampler(mine, problem(), SEED), 5) == suggestions("random")[:5]
    assert mine._rng.rng.rand() == before._rng.rng.rand()


def test_an_object_is_pristine_for_each_trial_where_one_by_name_is():
    mine = GPSampler(seed=3)
    objects = driven(lambda: make_sampler(mine, problem(), SEED), length("gp"))
    assert objects == suggestions("gp")


def test_a_sampler_is_called_by_its_name_or_its_class():
    assert sampler_name("tpe") == "tpe"
    assert sampler_name(TPESampler()) == "TPESampler"


def test_the_case_of_a_name_does_not_matter(tmp_path):
    given = {"storage": tmp_path / "x.db", "trials": 1, "device": "CPU"}
    study = nasopt.run(small(pruner="Median", dataset="Digits"), sampler="TPE", **given)
    assert study.study_name == "experiment/tpe/0"
    assert (study.user_attrs["sampler"], study.user_attrs["pruner"]) == ("tpe", "median")
    again = nasopt.run(small(pruner="median", dataset="digits"), sampler="tpe", **given)
    assert len(again.trials) == 1
    comparison = Comparison(
        small(), samplers="Random,TPE,tpe", baseline="RANDOM", storage=tmp_path / "y.db"
    )
    assert list(comparison.samplers) == ["random", "tpe"]
    assert comparison.baseline == "random"


def test_a_name_that_is_unknown_is_refused_with_the_remedy():
    with pytest.raises(StudyError) as raised:
        make_sampler("tbe", problem(), 0)
    assert str(raised.value) == "sampler='tbe': unknown; did you mean tpe?"
    with pytest.raises(StudyError) as raised:
        make_sampler("xyzw", problem(), 0)
    assert str(raised.value) == f"sampler='xyzw': unknown; choose from {', '.join(NAMES)}"


@pytest.mark.parametrize("seed", [-1, 2**32, 1.0, True, "0", None])
def test_a_seed_that_cannot_be_is_refused_with_the_remedy(seed):
    with pytest.raises(StudyError) as raised:
        make_sampler("random", problem(), seed)
    assert str(raised.value) == f"seed={seed!r}: use a whole number from 0 to 4294967295"


@pytest.mark.parametrize("seed", [0, 2**32 - 1])
def test_the_lowest_and_the_highest_seed_work(seed):
    for name in NAMES:
        make_sampler(name, problem(), seed)
