"""What is read without Optuna's ORM is what Optuna reads, to the order of keys and the last bit."""

import time
from collections.abc import Callable, Iterator
from datetime import datetime
from typing import Any

import optuna
import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from optuna.storages import RDBStorage
from optuna.trial import FrozenTrial, TrialState

from nasopt.errors import StorageError
from nasopt.storage.reading import (
    PARAMS,
    REPORTS,
    TRIALS,
    USER_ATTRS,
    VALUES,
)
from tests.storage.stock import ATTRS, INF, NAN, file_storage, read

CHOICES = (None, True, 2, 0.5, "naïve 'x' \"y\" 層")
DISTRIBUTIONS: dict[str, BaseDistribution] = {
    "z float": FloatDistribution(-1, 1),
    "log": FloatDistribution(1e-5, 1, log=True),
    "step": FloatDistribution(0, 1, step=0.25),
    "int": IntDistribution(-5, 5),
    "a step": IntDistribution(0, 10, step=5),
    "int log": IntDistribution(1, 1000, log=True),
    "choice": CategoricalDistribution(CHOICES),
    "層": CategoricalDistribution(("one",)),
}
PARAMS_OF_ALL = {
    "z float": -0.0, "log": 0.1 + 0.2, "step": 0.75, "int": -3, "a step": 5, "int log": 999,
    "choice": None, "層": "one",
}  # fmt: skip


def seen(trials: list[FrozenTrial]) -> list[dict[str, str]]:
    """All of each trial, where NaN is NaN, 1 is not 1.0, and params have their order.

    The other mappings are filled in the order of their rows, which a server is free to choose.
    """
    unordered = ("_user_attrs", "_system_attrs", "intermediate_values")
    return [
        {
            name: repr(sorted(value.items()) if name in unordered else value)
            for name, value in vars(trial).items()
        }
        for trial in trials
    ]


def assert_same(storage: RDBStorage, study: optuna.Study) -> list[FrozenTrial]:
    """Read a study, and each of its trials alone, both ways."""
    theirs = storage.get_all_trials(study._study_id)
    ours = read(storage, TRIALS.c.study_id == study._study_id)
    assert seen(ours) == seen(theirs)
    alone = [read(storage, TRIALS.c.trial_id == trial._trial_id) for trial in theirs]
    assert [seen(each) for each in alone] == [seen([trial]) for trial in theirs]
    return ours


def test_a_study_of_all_that_optuna_writes_is_read_as_optuna_reads_it(stock):
    study = optuna.create_study(storage=stock)
    for state in TrialState:
        finished = state.is_finished()
        study.add_trial(
            optuna.create_trial(
                state=state,
                value=0.1 + 0.2 if state is TrialState.COMPLETE else None,
                params=PARAMS_OF_ALL,
                distributions=DISTRIBUTIONS,
                user_attrs=ATTRS,
                system_attrs=ATTRS,
                intermediate_values={7: 0.5, 1: NAN, 3: INF, 2: -INF, 0: -0.0} if finished else {},
            )
        )
    for value in (INF, -INF, -0.0, 5e-324, 1.7976931348623157e308):
        study.add_trial(optuna.create_trial(value=value))
    study.ask()  # it takes the one that was waiting
    study.tell(study.ask(), state=TrialState.FAIL)
    study.tell(study.ask(), state=TrialState.PRUNED)
    study.ask()
    study.enqueue_trial({"x": 0.5, "choice": None}, user_attrs={"note": "層"})
    trials = assert_same(stock, study)
    assert {trial.state for trial in trials} == set(TrialState)
    assert trials[0].params == PARAMS_OF_ALL
    assert trials[0].distributions == DISTRIBUTIONS


def test_a_trial_without_nan_equals_the_one_of_optuna(stock):
    study = optuna.create_study(storage=stock)
    study.optimize(lambda trial: trial.suggest_float("x", 0, 1), n_trials=3)
    assert read(stock, TRIALS.c.study_id == study._study_id) == study.trials


def test_parameters_come_in_the_order_in_which_they_were_suggested(stock):
    study = optuna.create_study(storage=stock)
    orders = [list("zabc"), list("cbaz"), list("ab"), [], list("z")]
    for names in orders:
        trial = study.ask()
        for name in names:
            trial.suggest_int(name, 0, 9)
    trials = assert_same(stock, study)
    assert [list(trial.params) for trial in trials] == orders
    assert [list(trial.distributions) for trial in trials] == orders


def test_conditional_parameters_and_ranges_that_change_are_each_trial_s_own(stock):
    study = optuna.create_study(storage=stock)
    for number in range(6):
        trial = study.ask()
        trial.suggest_int("width", 0, 10 + number)
        if number % 2:
            trial.suggest_float("lr", 1e-3, 1, log=True)
    trials = assert_same(stock, study)
    assert [trial.distributions["width"].high for trial in trials] == list(range(10, 16))
    assert ["lr" in trial.params for trial in trials] == [False, True] * 3


def test_several_values_come_in_the_order_of_the_objectives(stock):
    study = optuna.create_study(storage=stock, directions=["maximize", "minimize", "minimize"])
    values = [[0.5, INF, -0.0], [-INF, 3, 0.1]]
    for each in values:
        study.add_trial(optuna.create_trial(values=each))
    with stock.engine.begin() as connection:  # as if the first had been written last
        first = connection.execute(sa.select(VALUES).where(VALUES.c.objective == 0)).all()
        connection.execute(sa.delete(VALUES).where(VALUES.c.objective == 0))
        for row in first:
            later = row._asdict() | {"trial_value_id": row.trial_value_id + 10_000}
            connection.execute(sa.insert(VALUES).values(later))
    assert [trial.values for trial in assert_same(stock, study)] == values


def test_constraints_are_read_in_the_order_in_which_optuna_adds_them_up(tmp_path):
    stock = file_storage(tmp_path / "x.db")
    study = optuna.create_study(storage=stock)
    for _ in range(3):
        trial = study.ask()
        for name, value in (("z", 0.1), ("a", 0.7), ("m", 1e16), ("b", -1.0)):
            trial.set_constraint(name, value)
    study.add_trial(optuna.create_trial(value=1, system_attrs={"constraints": [0.5, -1]}))
    theirs = [list(trial.constraints.items()) for trial in study.get_trials()]
    assert [list(trial.constraints.items()) for trial in assert_same(stock, study)] == theirs
    assert len(theirs[0]) == 4


def test_two_studies_in_one_database_are_kept_apart(stock):
    first, second = (optuna.create_study(storage=stock) for _ in range(2))
    for number in range(6):
        study = (first, second)[number % 2]
        trial = study.ask()
        trial.suggest_int("x", 0, 99)
        trial.set_user_attr("number", number)
        study.tell(trial, number)
    assert [trial.user_attrs["number"] for trial in assert_same(stock, first)] == [0, 2, 4]
    assert [trial.user_attrs["number"] for trial in assert_same(stock, second)] == [1, 3, 5]
    both = read(stock, TRIALS.c.study_id.in_((first._study_id, second._study_id)))
    assert seen(both) == seen(sorted((*first.trials, *second.trials), key=lambda t: t._trial_id))


def test_more_rows_than_are_fetched_at_once_are_all_there(tmp_path):
    stock = file_storage(tmp_path / "x.db")
    study = optuna.create_study(storage=stock)
    trial_ids = [stock.create_new_trial(study._study_id) for _ in range(3)]
    rows = [
        {"trial_id": trial_id, "step": step, "intermediate_value": step / 7}
        | {"intermediate_value_type": "FINITE"}
        for trial_id in trial_ids
        for step in range(4_000)
    ]
    with stock.engine.begin() as connection:
        connection.execute(sa.insert(REPORTS), rows)
    trials = read(stock, TRIALS.c.study_id == study._study_id)
    assert [len(trial.intermediate_values) for trial in trials] == [4_000] * 3
    assert trials == study.get_trials(deepcopy=False)


def test_nothing_is_no_trial(stock):
    assert read(stock, TRIALS.c.study_id == 9_999) == []
    assert read(stock, sa.false()) == []


OLD = {
    '{"name": "UniformDistribution", "attributes": {"low": 0.0, "high": 2.0}}': 0.5,
    '{"name": "LogUniformDistribution", "attributes": {"low": 0.1, "high": 2.0}}': 0.5,
    '{"name": "DiscreteUniformDistribution", "attributes": {"low": 0.0, "high": 2.0, "q": 0.5}}': 1,
    '{"name": "IntUniformDistribution", "attributes": {"low": 0, "high": 4, "step": 2}}': 2.0,
    '{"name": "IntLogUniformDistribution", "attributes": {"low": 1, "high": 4, "step": 1}}': 2.0,
    '{"name": "CategoricalDistribution", "attributes": {"choices": ["a", null, 3]}}': 1.0,
    '{"type": "float", "low": 0.0, "high": 2.0}': 0.5,
    '{"type": "float", "low": 0.0, "high": 2.0, "step": 0.5}': 0.5,
    '{"type": "int", "low": 1, "high": 4, "log": true}': 2.0,
    '{"type": "categorical", "choices": ["a", null, 3]}': 2.0,
}


@pytest.mark.filterwarnings("ignore:.*has been deprecated:FutureWarning")
def test_distributions_as_older_versions_spelled_them_are_understood(stock):
    study = optuna.create_study(storage=stock)
    trial_id = stock.create_new_trial(study._study_id)
    with stock.engine.begin() as connection:
        for number, (spelled, value) in enumerate(OLD.items()):
            row = {"param_name": f"p{number}", "param_value": value, "distribution_json": spelled}
            connection.execute(sa.insert(PARAMS).values(trial_id=trial_id, **row))
    (trial,) = assert_same(stock, study)
    assert trial.params["p3"] == 2
    assert trial.params["p5"] is None
    assert trial.distributions["p7"] == FloatDistribution(0, 2, step=0.5)


def test_null_is_read_as_optuna_reads_it(tmp_path):
    stock = file_storage(tmp_path / "x.db")
    study = optuna.create_study(storage=stock)
    trial = study.ask()
    trial.suggest_float("x", 0, 1)
    trial.report(NAN, 1)
    study.tell(trial, INF)
    with stock.engine.begin() as connection:
        connection.execute(sa.update(PARAMS).values(param_value=None))
        connection.execute(sa.update(TRIALS).values(datetime_start=None))
    (trial,) = assert_same(stock, study)
    assert (trial.params, trial.datetime_start, trial.value) == ({"x": None}, None, INF)


@pytest.mark.parametrize(
    ("table", "column", "value"),
    [
        (PARAMS, "distribution_json", '{"name": "Lost", "attributes": {}}'),
        (PARAMS, "distribution_json", '{"type": "lost", "low": 0, "high": 1}'),
        (PARAMS, "distribution_json", "no json"),
        (USER_ATTRS, "value_json", "no json"),
        (VALUES, "value", None),
        (REPORTS, "intermediate_value", None),
    ],
)
def test_what_optuna_cannot_read_is_a_line_or_its_error(tmp_path, table, column, value):
    stock = file_storage(tmp_path / "x.db")
    study = optuna.create_study(storage=stock)
    trial = study.ask()
    trial.suggest_float("x", 0, 1)
    trial.set_user_attr("a", 1)
    trial.report(0.5, 1)
    study.tell(trial, 0.5)
    with stock.engine.begin() as connection:
        connection.execute(sa.update(table).values({column: value}))
    with pytest.raises((ValueError, AssertionError)) as theirs:
        stock.get_all_trials(study._study_id)
    with pytest.raises((theirs.type, StorageError)) as ours:
        read(stock, TRIALS.c.study_id == study._study_id)
    assert str(theirs.value) in str(ours.value)


@pytest.fixture
def zone(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], None]]:
    """Call it to move this process to another time zone."""

    def move(name: str) -> None:
        monkeypatch.setenv("TZ", name)
        time.tzset()

    yield move
    monkeypatch.undo()
    time.tzset()


@pytest.mark.parametrize("name", ["UTC", "America/New_York", "Asia/Kolkata"])
def test_times_are_those_of_the_place_where_they_are_read(tmp_path, zone, name):
    zone(name)
    stock = file_storage(tmp_path / "x.db")
    study = optuna.create_study(storage=stock)
    utc = [datetime(2026, 7, 1, 12), datetime(2026, 1, 1, 12)]
    utc += [datetime(2026, 11, 1, hour, 30, 0, 123456) for hour in (4, 5, 6)]  # clocks go back
    trial_ids = [stock.create_new_trial(study._study_id) for _ in utc]
    with stock.engine.begin() as connection:
        for trial_id, start in zip(trial_ids, utc, strict=True):
            mine = sa.update(TRIALS).where(TRIALS.c.trial_id == trial_id)
            connection.execute(mine.values(datetime_start=start, datetime_complete=start))
    trials = assert_same(stock, study)
    hours = {"UTC": 12, "America/New_York": 8, "Asia/Kolkata": 17}
    assert trials[0].datetime_start.hour == hours[name]
    assert trials[0].datetime_start == trials[0].datetime_complete


def test_a_trial_can_be_changed_without_a_change_to_any_other(tmp_path):
    """As scripts do that move trials to another study, less a parameter."""
    stock = file_storage(tmp_path / "x.db")
    study = optuna.create_study(storage=stock)
    for _ in range(3):
        study.tell(study.ask(DISTRIBUTIONS), 1.0)
    before = seen(stock.get_all_trials(study._study_id))
    trials = read(stock, TRIALS.c.study_id == study._study_id)
    for trial in trials:
        for held in (trial.params, trial.distributions):
            assert list(held) == list(DISTRIBUTIONS)
            held.clear()
        trial.user_attrs["new"] = trial.system_attrs["new"] = trial.intermediate_values[1] = 1.0
    assert seen(read(stock, TRIALS.c.study_id == study._study_id)) == before


floats = st.floats(allow_nan=False, allow_infinity=False, min_value=-1e9, max_value=1e9)
names = st.text(
    st.characters(exclude_categories=("Cs",), exclude_characters="\0"), min_size=1, max_size=8
)
choices = st.none() | st.booleans() | st.integers(-9, 9) | floats | names


@st.composite
def distributions(draw: st.DrawFn) -> tuple[BaseDistribution, Any]:
    """A distribution, and a value in it."""
    kind = draw(st.sampled_from(["categorical", "int", "int log", "float", "float log", "step"]))
    if kind == "categorical":
        some = draw(st.lists(choices, min_size=1, max_size=4, unique_by=repr))
        return CategoricalDistribution(some), draw(st.sampled_from(some))
    if kind == "int":
        low, step, steps = (
            draw(st.integers(-99, 99)),
            draw(st.integers(1, 9)),
            draw(st.integers(0, 9)),
        )
        value = low + step * draw(st.integers(0, steps))
        return IntDistribution(low, low + step * steps, step=step), value
    if kind == "int log":
        low, more = draw(st.integers(1, 99)), draw(st.integers(0, 99))
        return IntDistribution(low, low + more, log=True), low + draw(st.integers(0, more))
    if kind == "step":
        steps = draw(st.integers(0, 9))
        return FloatDistribution(0, steps / 4, step=0.25), draw(st.integers(0, steps)) / 4
    low = draw(st.floats(1e-9, 1e3) if kind == "float log" else floats)
    high = draw(st.floats(low, max(2 * low, low + 1)))
    return FloatDistribution(low, high, log=kind == "float log"), draw(st.floats(low, high))


nested = st.recursive(
    choices, lambda each: st.lists(each) | st.dictionaries(names, each), max_leaves=4
)
attrs = st.dictionaries(names, nested, max_size=3)


@st.composite
def trials(draw: st.DrawFn) -> FrozenTrial:
    state = draw(st.sampled_from(list(TrialState)))
    chosen = draw(st.dictionaries(names, distributions(), max_size=5))
    any_float = st.floats(width=64)
    return optuna.create_trial(
        state=state,
        value=draw(st.floats(allow_nan=False)) if state is TrialState.COMPLETE else None,
        params={name: value for name, (_, value) in chosen.items()},
        distributions={name: each for name, (each, _) in chosen.items()},
        user_attrs=draw(attrs),
        system_attrs=draw(attrs),
        intermediate_values=draw(st.dictionaries(st.integers(-9, 99), any_float, max_size=4)),
    )


@settings(max_examples=20, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(trials(), min_size=1, max_size=3))
def test_whatever_trials_a_study_has_they_are_read_as_optuna_reads_them(stock, some):
    study = optuna.create_study(storage=stock)
    for number, trial in enumerate(some):  # in a study a name has one kind of distribution
        for held in (trial.params, trial.distributions):
            for name in list(held):
                held[f"{number} {name}"] = held.pop(name)
        stock.create_new_trial(study._study_id, trial)
    assert len(assert_same(stock, study)) == len(some)
