"""A sampler's settings belong to its study, and are told alike in every process."""

import optuna
import pytest
from optuna.samplers import NSGAIISampler, PartialFixedSampler, TPESampler

import nasopt
from nasopt.errors import StorageError, StudyError
from nasopt.samplers.settings import has_own_seed, settings_of
from nasopt.storage.opening import open_storage
from tests.examples import small

pytestmark = pytest.mark.filterwarnings("ignore::optuna.exceptions.ExperimentalWarning")


def test_settings_are_those_of_the_constructor_and_nested_ones():
    told = settings_of(PartialFixedSampler({"a": 1}, TPESampler(n_startup_trials=3)))
    assert told["fixed_params"] == {"a": 1}
    assert told["base_sampler"]["n_startup_trials"] == 3
    assert settings_of(NSGAIISampler()) == settings_of(NSGAIISampler(seed=3))
    assert " at 0x" not in str(settings_of(NSGAIISampler()) | told)


def test_a_seed_of_its_own_is_seen():
    assert has_own_seed(PartialFixedSampler({}, TPESampler(seed=7)))
    assert not has_own_seed(TPESampler())


def test_a_study_is_not_taken_up_with_other_settings(tmp_path):
    def run(n: int) -> optuna.Study:
        sampler = TPESampler(n_startup_trials=n)
        return nasopt.run(small(), sampler=sampler, storage=tmp_path / "x.db", trials=2)

    run(5)
    run(5)
    with pytest.raises(StudyError, match=r"n_startup_trials is 2 now, was 5 .* Experiment\(name="):
        run(2)


def test_a_storage_object_is_refused():
    with pytest.raises(StorageError, match="InMemoryStorage"):
        open_storage(optuna.storages.InMemoryStorage())
