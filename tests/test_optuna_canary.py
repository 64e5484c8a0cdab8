"""The private names of Optuna that we use, one test each: what fails here has moved in Optuna."""

import sys
from pathlib import Path

import optuna
import pytest
import sqlalchemy as sa
from optuna.samplers import BaseSampler, GPSampler, NSGAIISampler, RandomSampler, TPESampler
from optuna.samplers._lazy_random_state import LazyRandomState
from optuna.storages import RDBStorage
from optuna.storages._cached_storage import _CachedStorage
from optuna.storages._rdb import models
from optuna.study._constrained_optimization import _CONSTRAINTS_KEY
from optuna.trial import TrialState

from nasopt import claims as ours
from nasopt.database import SCHEMA, TABLES
from nasopt.storage import open_storage


@pytest.fixture
def study(tmp_path: Path) -> optuna.Study:
    return optuna.create_study(storage=f"sqlite:///{tmp_path / 'x.db'}", study_name="study")


def backend(study: optuna.Study) -> RDBStorage:
    storage = study._storage._backend
    assert isinstance(storage, RDBStorage)
    return storage


# storage


def test_the_schema_has_the_version_that_we_know():
    assert RDBStorage("sqlite://").get_head_version() == SCHEMA


def test_a_database_has_the_tables_by_which_we_know_it(study):
    assert set(sa.inspect(backend(study).engine).get_table_names()) >= TABLES


def test_the_schema_version_is_where_we_read_it(study):
    with backend(study).engine.connect() as connection:
        query = sa.text("SELECT version_num FROM alembic_version")
        assert connection.execute(query).fetchall() == [(SCHEMA,)]


@pytest.mark.parametrize(
    ("table", "columns"),
    [
        (ours.STUDIES, {"study_id"}),
        (
            ours.TRIALS,
            {
                "trial_id",
                "number",
                "study_id",
                "state",
                "datetime_start",
                "datetime_complete",
            },
        ),
        (ours.PARAMS, {"trial_id", "param_name", "param_value", "distribution_json"}),
        (ours.VALUES, {"trial_id", "objective", "value", "value_type"}),
        (
            ours.REPORTS,
            {"trial_id", "step", "intermediate_value", "intermediate_value_type"},
        ),
        (ours.USER_ATTRS, {"trial_id", "key", "value_json"}),
        (ours.SYSTEM_ATTRS, {"trial_id", "key", "value_json"}),
    ],
    ids=str,
)
def test_a_table_has_the_columns_that_we_write_and_fills_the_others_itself(table, columns):
    assert {column.name for column in table.c} >= columns
    others = [column for column in table.c if column.name not in columns]
    assert all(each.nullable or each.primary_key or each.default for each in others) or (
        table is ours.STUDIES
    )


@pytest.mark.parametrize(
    ("table", "columns"),
    [
        (ours.PARAMS, ("trial_id", "param_name")),
        (ours.VALUES, ("trial_id", "objective")),
        (ours.REPORTS, ("trial_id", "step")),
        (ours.USER_ATTRS, ("trial_id", "key")),
        (ours.SYSTEM_ATTRS, ("trial_id", "key")),
    ],
    ids=str,
)
def test_a_table_has_the_unique_constraint_that_our_inserts_meet(table, columns):
    unique = [
        tuple(column.name for column in constraint.columns)
        for constraint in table.constraints
        if isinstance(constraint, sa.UniqueConstraint)
    ]
    assert columns in unique


def test_states_are_stored_as_an_enumeration(study):
    study.ask()
    with backend(study).engine.connect() as connection:
        assert connection.execute(sa.select(ours.TRIALS.c.state)).scalar() is TrialState.RUNNING
        assert connection.execute(sa.text("SELECT state FROM trials")).scalar() == "RUNNING"


@pytest.mark.parametrize("value", [0.5, float("inf"), float("-inf")])
def test_values_are_stored_in_two_columns(value):
    stored, kind = models.TrialValueModel.value_to_stored_repr(value)
    assert models.TrialValueModel.stored_repr_to_value(stored, kind) == value


@pytest.mark.parametrize("value", [0.5, float("nan"), float("inf")])
def test_reports_are_stored_in_two_columns(value):
    model = models.TrialIntermediateValueModel
    stored, kind = model.intermediate_value_to_stored_repr(value)
    assert repr(model.stored_repr_to_intermediate_value(stored, kind)) == repr(value)


def test_times_are_stored_as_naive_utc():
    column = models.TrialModel._datetime_start_utc.property.columns[0]
    assert column.name == "datetime_start"
    assert not column.type.timezone


def test_constraints_are_system_attributes_under_the_name_that_we_write(study):
    trial = study.ask()
    trial.set_constraint("parameters <= 5", 0.5)
    attributes = study._storage.get_trial_system_attrs(trial._trial_id)
    assert attributes == {"constraints:parameters <= 5": 0.5}
    assert _CONSTRAINTS_KEY == "constraints"


def test_what_was_enqueued_is_a_system_attribute_under_the_name_that_we_read(study):
    study.enqueue_trial({"x": 1})
    (waiting,) = study.get_trials(states=[TrialState.WAITING])
    assert waiting.system_attrs["fixed_params"] == {"x": 1}


def test_the_names_of_metrics_are_a_system_attribute_under_the_name_that_we_write(study):
    study._storage.set_study_system_attr(study._study_id, "study:metric_names", ["accuracy"])
    assert study.metric_names == ["accuracy"]


def test_a_storage_object_is_wrapped_and_reached_through_the_wrapper(tmp_path):
    storage = open_storage(tmp_path / "x.db")
    study = optuna.create_study(storage=storage)
    assert isinstance(study._storage, _CachedStorage)
    assert study._storage._backend is storage


def test_the_wrapper_reads_unfinished_trials_anew(tmp_path):
    """It must: we claim, begin and finish trials behind its back."""
    storage = open_storage(tmp_path / "x.db")
    study = optuna.create_study(storage=storage)
    storage.owner = "me"
    trial_id = storage.next_trial(study._study_id, budget=1)
    assert [trial.state for trial in study.get_trials()] == [TrialState.RUNNING]
    storage.finish(trial_id, TrialState.COMPLETE, [0.5], {"note": 1})
    (trial,) = study.get_trials()
    assert (trial.state, trial.value, trial.user_attrs) == (
        TrialState.COMPLETE,
        0.5,
        {"note": 1},
    )


def test_a_storage_has_an_engine_a_url_and_a_session_that_can_be_removed(study):
    storage = backend(study)
    assert isinstance(storage.engine, sa.Engine)
    assert storage.url.startswith("sqlite:///")
    storage.remove_session()


def test_a_storage_can_be_opened_without_making_tables(tmp_path):
    RDBStorage(f"sqlite:///{tmp_path / 'x.db'}", skip_compatibility_check=True).engine.dispose()
    made = (tmp_path / "x.db").read_bytes()
    RDBStorage(f"sqlite:///{tmp_path / 'x.db'}", skip_table_creation=True).engine.dispose()
    assert (tmp_path / "x.db").read_bytes() == made


def test_another_schema_is_a_runtime_error(study):
    storage = backend(study)
    with storage.engine.begin() as connection:
        connection.execute(sa.text("UPDATE alembic_version SET version_num = 'v2.6.0.a'"))
    with pytest.raises(RuntimeError, match="optuna storage upgrade"):
        RDBStorage(storage.url)


def test_a_driver_that_is_missing_is_an_import_error_caused_by_one_with_its_name(monkeypatch):
    monkeypatch.setitem(sys.modules, "psycopg", None)
    with pytest.raises(ImportError) as raised:
        RDBStorage("postgresql+psycopg://host/x")
    assert raised.value.__cause__.name == "psycopg"


# trials and studies


def test_a_trial_of_a_known_id_can_be_made(study):
    trial_id = study._storage.create_new_trial(study._study_id)
    trial = optuna.Trial(study, trial_id)
    assert trial._trial_id == trial_id
    assert trial.number == 0
    assert trial.storage is study._storage


def test_a_trial_asks_its_sampler_before_it_begins_and_for_its_relative_parameters_once(study):
    asked = []

    class Asked(RandomSampler):
        def before_trial(self, study, trial):
            asked.append("before")

        def infer_relative_search_space(self, study, trial):
            asked.append("space")
            return {"x": optuna.distributions.IntDistribution(0, 9)}

        def sample_relative(self, study, trial, search_space):
            asked.append(list(search_space))
            return {"x": 5}

    study.sampler = Asked()
    trial = optuna.Trial(study, study._storage.create_new_trial(study._study_id))
    assert asked == ["before"]
    assert trial.relative_params == trial.relative_params == {"x": 5}
    assert asked == ["before", "space", ["x"]]
    assert trial.suggest_int("x", 0, 9) == 5


def test_what_is_put_into_the_trial_in_hand_is_what_it_suggests(study):
    trial = study.ask()
    trial._cached_frozen_trial.params["x"] = 5
    trial._cached_frozen_trial.distributions["x"] = optuna.distributions.IntDistribution(0, 9)
    assert trial.suggest_int("x", 0, 9) == 5
    assert trial.params == {"x": 5}


def test_a_trial_knows_its_last_step(study):
    trial = study.ask()
    assert study._storage.get_trial(trial._trial_id).last_step is None
    trial.report(0.5, step=3)
    assert study._storage.get_trial(trial._trial_id).last_step == 3


def test_a_study_keeps_the_trials_that_a_sampler_sees_where_we_forget_them(study):
    study.ask()
    assert study._thread_local.cached_all_trials is None
    assert len(study._get_trials(deepcopy=False, use_cache=True)) == 1
    assert len(study._thread_local.cached_all_trials) == 1
    study._thread_local.cached_all_trials = None
    study._storage.create_new_trial(study._study_id)
    assert len(study._get_trials(deepcopy=False, use_cache=True)) == 2


# samplers


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
