"""A sampler's settings belong to its study, and are told alike in every process."""

import sqlite3
from contextlib import closing

import optuna
import pytest
from optuna.samplers import GridSampler, NSGAIISampler, PartialFixedSampler, TPESampler

import nasopt
from nasopt.errors import StorageError, StudyError
from nasopt.samplers.settings import has_own_seed, settings_of
from nasopt.search.comparison import Comparison
from nasopt.search.search import Search
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
    assert not has_own_seed(GridSampler({"a": [1, 2]}, seed=3))  # it is used


def test_a_study_is_not_taken_up_with_other_settings(tmp_path):
    def run(n: int) -> optuna.Study:
        sampler = TPESampler(n_startup_trials=n)
        return nasopt.run(small(), sampler=sampler, storage=tmp_path / "x.db", trials=2)

    run(5)
    run(5)
    with pytest.raises(StudyError, match=r"n_startup_trials is 2 now, was 5 .* Experiment\(name="):
        run(2)


def test_settings_that_an_older_version_did_not_note_are_filled_in(tmp_path):
    given = {"storage": tmp_path / "x.db", "trials": 1}
    nasopt.run(small(), sampler=TPESampler(n_startup_trials=5), **given)
    with closing(sqlite3.connect(tmp_path / "x.db")) as database, database:
        gone = database.execute(
            "DELETE FROM study_user_attributes WHERE key = ?", ("sampler_settings",)
        )
        assert gone.rowcount == 1
    study = nasopt.run(small(), sampler=TPESampler(n_startup_trials=2), **given)
    assert study.user_attrs["sampler_settings"]["n_startup_trials"] == 2
    with pytest.raises(StudyError, match="n_startup_trials is 5 now, was 2"):
        nasopt.run(small(), sampler=TPESampler(n_startup_trials=5), **given)


def test_a_comparison_refuses_other_settings_as_well(tmp_path):
    def compared(n: int) -> Comparison:
        samplers = ("random", TPESampler(n_startup_trials=n))
        given = {"seeds": 1, "trials": 1, "replicates": 0, "storage": tmp_path / "x.db"}
        return Comparison(small(), samplers=samplers, **given)

    list(compared(5))
    list(compared(5))
    with pytest.raises(StudyError, match="n_startup_trials is 2 now, was 5"):
        list(compared(2))


@pytest.mark.parametrize(
    "given", [{"conv01.filters": 4, "conv01.stride": 2}, {"conv01.filters": 4}], ids=len
)
def test_a_grid_passes_over_what_was_enqueued_and_tries_all_its_points(tmp_path, given):
    space = nasopt.Space(
        nasopt.Conv(filters=nasopt.categorical(2, 4), stride=nasopt.categorical(1, 2))
    )
    grid = GridSampler({"conv01.filters": [2, 4], "conv01.stride": [1, 2]})
    study = Search(small(space=space), sampler=grid, storage=tmp_path / "x.db").study
    study.enqueue_trial(given)
    study = nasopt.run(small(space=space), sampler=grid, storage=tmp_path / "x.db")
    first, *others = [trial.params for trial in study.trials]
    assert first.items() >= given.items()
    assert sorted(map(str, others)) == sorted(
        str({"conv01.filters": filters, "conv01.stride": stride})
        for filters in (2, 4)
        for stride in (1, 2)
    )


def test_a_storage_object_is_refused():
    with pytest.raises(StorageError, match="InMemoryStorage"):
        open_storage(optuna.storages.InMemoryStorage())
