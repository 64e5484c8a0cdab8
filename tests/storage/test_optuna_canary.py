"""The private names of Optuna that we use, one test each: what fails here has moved in Optuna.

Those of its samplers have theirs in tests/samplers/test_optuna_canary.py.
"""

import inspect
import sys
import time
from datetime import timedelta
from pathlib import Path

import optuna
import pytest
import sqlalchemy as sa
from optuna.samplers import RandomSampler
from optuna.storages import RDBStorage
from optuna.storages._cached_storage import _CachedStorage
from optuna.storages._rdb import models
from optuna.study._constrained_optimization import _CONSTRAINTS_KEY
from optuna.trial import FrozenTrial, TrialState

from nasopt.storage import rdb as ours
from nasopt.storage.database import SCHEMA, TABLES
from nasopt.storage.opening import open_storage


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
        (ours.PARAMS, {"param_id", "trial_id", "param_name", "param_value", "distribution_json"}),
        (ours.VALUES, {"trial_id", "objective", "value", "value_type"}),
        (
            ours.REPORTS,
            {"trial_id", "step", "intermediate_value", "intermediate_value_type"},
        ),
        (ours.USER_ATTRS, {"trial_id", "key", "value_json"}),
        (ours.SYSTEM_ATTRS, {"trial_id", "key", "value_json"}),
    ],
    ids=lambda each: "" if isinstance(each, set) else str(each),
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


def test_times_are_stored_in_utc_and_shown_in_local_time(study, monkeypatch):
    try:
        monkeypatch.setenv("TZ", "Asia/Kolkata")  # 5:30 ahead
        time.tzset()
        study.ask()
        with backend(study).engine.connect() as connection:
            stored = connection.execute(sa.select(ours.TRIALS.c.datetime_start)).scalar()
        (trial,) = study.get_trials()
        assert trial.datetime_start - stored == timedelta(hours=5, minutes=30)
    finally:
        monkeypatch.undo()
        time.tzset()


def test_parameters_are_numbered_in_the_order_in_which_they_were_suggested(study):
    trial = study.ask()
    for name in "cab":
        trial.suggest_int(name, 0, 9)
    with backend(study).engine.connect() as connection:
        query = sa.select(ours.PARAMS.c.param_name).order_by(ours.PARAMS.c.param_id)
        assert connection.execute(query).scalars().all() == ["c", "a", "b"]
    assert list(study.get_trials()[0].params) == ["c", "a", "b"]


def test_a_trial_is_made_of_what_its_rows_say():
    values = [0.5, 1.0]
    trial = FrozenTrial(
        number=3, state=TrialState.COMPLETE, value=None, values=values, datetime_start=None,
        datetime_complete=None, params={}, distributions={}, user_attrs={}, system_attrs={},
        intermediate_values={}, trial_id=7,
    )  # fmt: skip
    assert (trial.number, trial.values, trial._trial_id) == (3, values, 7)


def test_what_is_not_there_is_a_key_error_with_the_text_that_we_give(study):
    for read in (backend(study).get_trial, backend(study).get_trial_user_attrs):
        with pytest.raises(KeyError) as raised:
            read(99)
        assert raised.value.args == (models.NOT_FOUND_MSG,)
    with pytest.raises(KeyError) as raised:
        backend(study)._get_trials(99, None, set(), -1)
    assert raised.value.args == (models.NOT_FOUND_MSG,)


def test_the_wrapper_asks_for_new_and_unfinished_trials_in_the_way_that_we_answer(tmp_path):
    asked = []

    class Asked(RDBStorage):
        def _get_trials(self, study_id, states, included_trial_ids, trial_id_greater_than):
            asked.append((states, set(included_trial_ids), trial_id_greater_than))
            return super()._get_trials(study_id, states, included_trial_ids, trial_id_greater_than)

    study = optuna.create_study(storage=Asked(f"sqlite:///{tmp_path / 'x.db'}"))
    study.get_trials()
    study.ask()
    study.tell(study.ask(), 0.5)
    asked.clear()
    study.get_trials()
    study.get_trials()
    study._storage._backend.get_all_trials(study._study_id, states=(TrialState.COMPLETE,))
    assert asked[-2:] == [(None, {1}, 2), ((TrialState.COMPLETE,), set(), -1)]
    signature = inspect.signature(RDBStorage._get_trials)
    assert list(signature.parameters) == list(
        inspect.signature(ours.Storage._get_trials).parameters
    )


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


def test_the_schemas_of_a_database_and_of_optuna_can_be_asked_for(study):
    storage = RDBStorage(backend(study).url, skip_compatibility_check=True)
    assert storage.get_current_version() == storage.get_head_version()
    with storage.engine.begin() as connection:
        connection.execute(sa.text("UPDATE alembic_version SET version_num = 'v2.6.0.a'"))
    assert storage.get_current_version() == "v2.6.0.a" != storage.get_head_version()


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
