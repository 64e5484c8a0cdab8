"""The private names of Optuna's samplers that we use: what fails here has moved in Optuna."""

import inspect
import json
from pathlib import Path

import optuna
import pytest
from optuna.samplers import (
    BaseSampler,
    GPSampler,
    GridSampler,
    NSGAIISampler,
    PartialFixedSampler,
    RandomSampler,
    TPESampler,
)
from optuna.samplers._lazy_random_state import LazyRandomState
from optuna.samplers._tpe.parzen_estimator import _ParzenEstimator

from nasopt.samplers.tpe import RememberingTPESampler


@pytest.fixture
def study(tmp_path: Path) -> optuna.Study:
    return optuna.create_study(storage=f"sqlite:///{tmp_path / 'x.db'}", study_name="study")


def test_a_lazy_random_state_has_a_generator_that_can_be_seeded():
    state = LazyRandomState(1)
    state.rng.seed(7)
    first = state.rng.rand()
    state.rng.seed(7)
    assert state.rng.rand() == first


@pytest.mark.parametrize(
    ("make", "names"),
    [
        (RandomSampler, ["_rng"]),
        (TPESampler, ["_rng", "_random_sampler._rng"]),
        (GPSampler, ["_rng", "_independent_sampler._rng"]),
        (NSGAIISampler, ["_rng", "_random_sampler._rng"]),
    ],
)
def test_a_sampler_keeps_its_generators_where_they_are_found(make, names):
    sampler = make(seed=1)
    for name in names:
        value = sampler
        for part in name.split("."):
            value = vars(value)[part]
        assert isinstance(value, LazyRandomState)


def test_threads_would_reseed_a_sampler_from_entropy():
    """Why `Seeded.reseed_rng` does nothing."""
    assert "reseed_rng" in vars(BaseSampler)
    sampler = RandomSampler(seed=1)
    before = sampler._rng.rng.get_state()[1].tolist()
    sampler.reseed_rng()
    assert sampler._rng.rng.get_state()[1].tolist() != before


@pytest.mark.parametrize("multivariate", [None, False])
def test_tpe_samples_through_the_methods_that_we_override(multivariate):
    called = set()

    class Called(TPESampler):
        def _sample_relative(self, study, trial, search_space):
            called.add("_sample_relative")
            return super()._sample_relative(study, trial, search_space)

        def _sample(self, study, trial, search_space):
            called.add("_sample")
            return super()._sample(study, trial, search_space)

        def _build_parzen_estimator(self, study, search_space, trials, handle_below):
            fitted = super()._build_parzen_estimator(study, search_space, trials, handle_below)
            assert type(fitted) is _ParzenEstimator
            called.add(("_build_parzen_estimator", handle_below, *search_space))
            return fitted

        def _get_internal_repr(self, trials, search_space, study):
            arrays = super()._get_internal_repr(trials, search_space, study)
            assert [*arrays] == [*search_space] == ["op"]
            assert arrays["op"].tolist() == [("b", "a").index(t.params["op"]) for t in trials]
            called.add("_get_internal_repr")
            return arrays

    study = optuna.create_study(sampler=Called(seed=1, multivariate=multivariate))
    study.optimize(lambda trial: trial.suggest_categorical("op", ("b", "a")) == "a", n_trials=12)
    fits = {("_build_parzen_estimator", below, "op") for below in (True, False)}
    assert called >= fits | {"_sample_relative", "_sample", "_get_internal_repr"}


def test_the_methods_of_tpe_take_what_ours_take():
    for name in ("_sample_relative", "_sample", "_build_parzen_estimator", "_get_internal_repr"):
        theirs, mine = (
            list(inspect.signature(getattr(each, name)).parameters)
            for each in (TPESampler, RememberingTPESampler)
        )
        assert mine == theirs


def test_tpe_announces_relative_parameters_and_nothing_else_before_it_returns_them(study):
    """Our `sample_relative` leaves that out, so there must be no more to it."""
    study.sampler = TPESampler(seed=1)
    study.optimize(lambda trial: trial.suggest_float("x", 0, 1), n_trials=10)
    trial = study.ask()
    frozen = study._storage.get_trial(trial._trial_id)
    space = {"x": optuna.distributions.FloatDistribution(0, 1)}
    study.sampler._rng.rng.seed(7)
    params = study.sampler.sample_relative(study, frozen, space)
    attrs = study._storage.get_trial_system_attrs(trial._trial_id)
    assert [json.loads(value) for value in attrs.values()] == [params]
    study.sampler._rng.rng.seed(7)
    assert study.sampler._sample_relative(study, frozen, space) == params


def test_a_sampler_that_fixes_some_parameters_keeps_them_and_the_one_that_it_wraps():
    inner = RandomSampler(seed=1)
    with pytest.warns(optuna.exceptions.ExperimentalWarning):
        wrapper = PartialFixedSampler({"op": "b"}, inner)
    assert wrapper._fixed_params == {"op": "b"}
    assert wrapper._base_sampler is inner


def test_a_grid_notes_its_point_in_a_trial_unless_that_was_enqueued(study):
    study.sampler = GridSampler({"x": [0, 1]})
    study.enqueue_trial({"x": 7})
    study.ask(), study.ask()
    assert ["grid_id" in trial.system_attrs for trial in study.trials] == [False, True]


def test_a_sampler_asks_for_the_end_of_a_study_in_a_loop_by_a_flag(study):
    study._thread_local.in_optimize_loop = True
    assert not study._stop_flag
    study.stop()
    assert study._stop_flag
