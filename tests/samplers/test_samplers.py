"""Every sampler by name obeys this suite: it is a function of the seed and of the study."""

import copy
from dataclasses import replace

import optuna
import pytest
from optuna.samplers import GPSampler, RandomSampler, TPESampler

import nasopt
from nasopt.errors import StudyError
from nasopt.samplers import SAMPLERS, Seeded, make_sampler, sampler_name
from nasopt.search.comparison import Comparison
from nasopt.space.fields import categorical, integer, real
from nasopt.storage.opening import open_storage
from tests.examples import small
from tests.samplers.driving import (
    LIMITS,
    SEED,
    driven,
    length,
    problem,
    quality,
    suggest,
    suggestions,
)

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
