"""`TrialCounts`: whoever finishes what when, it counts what the study has."""

from pathlib import Path
from typing import Any

import optuna
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from optuna.storages import RDBStorage
from optuna.study import StudyDirection
from optuna.trial import TrialState

from nasopt.space.limits import parameters
from nasopt.storage.attributes import FREE
from nasopt.storage.counts import TrialCounts
from nasopt.storage.opening import open_storage
from nasopt.storage.rdb import Storage
from nasopt.storage.reading import MOST_VARIABLES

COMPLETE, PRUNED, FAIL = TrialState.COMPLETE, TrialState.PRUNED, TrialState.FAIL
INF = float("inf")


@pytest.fixture(scope="module")
def storage(location: str) -> Storage:
    opened = open_storage(location)
    opened.owner = "me"
    return opened


def begin(storage: Storage, study_id: int, key: str | None = "k") -> int:
    trial_id = storage.next_trial(study_id, budget=10**6)
    assert trial_id is not None
    attrs = {} if key is None else {"key": key}
    storage.begin(trial_id, {}, {}, user_attrs=attrs, constraints={})
    return trial_id


def finish(
    storage: Storage,
    trial_id: int,
    state: TrialState = COMPLETE,
    value: float = 0.5,
    **attrs: Any,
) -> None:
    storage.finish(trial_id, state, [value] if state is COMPLETE else None, attrs)


def numbers_of(tally: TrialCounts) -> tuple[Any, ...]:
    return tally.done, tally.pruned, tally.free, tally.best, tally.trained


def refreshed(storage: Storage, study_id: int) -> TrialCounts:
    tally = TrialCounts(storage, study_id)
    tally.refresh()
    return tally


def counted(storage: Storage, study_id: int) -> tuple[Any, ...]:
    """The same from all the trials that plain Optuna reads, each time anew."""
    plain = RDBStorage(storage.url)
    trials = [each for each in plain.get_all_trials(study_id) if each.state.is_finished()]
    plain.remove_session()
    plain.engine.dispose()
    paid = [each for each in trials if FREE not in each.user_attrs]
    trained: dict[str, int] = {}
    for each in trials:
        if {"key", "epochs"} <= each.user_attrs.keys():
            trained.setdefault(each.user_attrs["key"], each._trial_id)
    return (
        len(paid),
        sum(each.state is PRUNED for each in paid),
        len(trials) - len(paid),
        max(
            (
                each.value
                for each in trials
                if each.state is COMPLETE and {"key", "epochs"} <= each.user_attrs.keys()
            ),
            default=None,
        ),
        trained,
    )


def test_nothing_has_been_tried_in_an_empty_study(storage, study_id):
    assert numbers_of(refreshed(storage, study_id)) == (0, 0, 0, None, {})


def test_trials_count_once_they_have_ended(storage, study_id):
    tally = TrialCounts(storage, study_id)
    first, second, third = (begin(storage, study_id, key) for key in ("a", "b", "c"))
    tally.refresh()
    assert numbers_of(tally) == (0, 0, 0, None, {})
    finish(storage, second, PRUNED, epochs=2)
    tally.refresh()
    assert numbers_of(tally) == (1, 1, 0, None, {"b": second})
    finish(storage, first, value=0.25, epochs=2)
    finish(storage, third, FAIL)
    for _ in range(2):
        tally.refresh()
        assert numbers_of(tally) == (3, 1, 0, 0.25, {"a": first, "b": second})


def test_free_trials_cost_nothing_whether_complete_or_pruned(storage, study_id):
    first = begin(storage, study_id)
    finish(storage, first, COMPLETE, 0.75, epochs=2, **{FREE: True})
    for state, value in ((PRUNED, 0), (COMPLETE, 0.5)):
        finish(storage, begin(storage, study_id), state, value, epochs=2, **{FREE: True})
    finish(storage, begin(storage, study_id), value=0.25, epochs=2)
    assert numbers_of(refreshed(storage, study_id)) == (1, 0, 3, 0.75, {"k": first})


def test_a_network_that_was_not_trained_to_its_outcome_is_not_known(storage, study_id):
    finish(storage, begin(storage, study_id, "a"), FAIL)
    finish(storage, begin(storage, study_id, None), epochs=2)
    assert refreshed(storage, study_id).trained == {}


@pytest.mark.parametrize("refresh_between", [False, True])
def test_the_first_trial_of_a_network_is_named_whichever_ended_first(
    storage, study_id, refresh_between
):
    tally = TrialCounts(storage, study_id)
    first, second, third = (begin(storage, study_id, "a") for _ in range(3))
    for trial_id in (second, third, first):
        finish(storage, trial_id, epochs=2)
        if refresh_between:
            tally.refresh()
    tally.refresh()
    assert tally.trained == {"a": first}


@pytest.mark.parametrize(
    ("values", "best"),
    [
        ([INF], INF),
        ([0.5, INF], INF),
        ([INF, 0.5], INF),
        ([-INF], -INF),
        ([-INF, 0.5], 0.5),
        ([0.0, -0.5], 0.0),
    ],
)
def test_the_best_may_be_infinite(storage, study_id, values, best):
    tally = TrialCounts(storage, study_id)
    for value in values:
        finish(storage, begin(storage, study_id), value=value, epochs=2)
        tally.refresh()
    assert tally.best == refreshed(storage, study_id).best == best


def test_of_several_objectives_the_best_is_that_of_the_first(storage):
    study_id = storage.create_new_study([StudyDirection.MAXIMIZE, StudyDirection.MINIMIZE])
    for values in ([0.5, 9.0], [0.25, 99.0]):
        storage.finish(begin(storage, study_id), COMPLETE, values, {"epochs": 2})
    tally = refreshed(storage, study_id)
    assert (tally.best, tally.done) == (0.5, 2)


def test_a_trial_that_waits_again_counts_when_it_ends(storage, study_id):
    tally = TrialCounts(storage, study_id)
    trial_id = begin(storage, study_id, "a")
    tally.refresh()
    storage.requeue(trial_id)
    tally.refresh()
    assert tally.done == 0
    assert begin(storage, study_id, None) == trial_id
    finish(storage, trial_id, epochs=2)
    tally.refresh()
    assert numbers_of(tally) == (1, 0, 0, 0.5, {"a": trial_id})


def test_another_study_of_the_database_does_not_count(storage, study_id):
    other = storage.create_new_study([StudyDirection.MAXIMIZE])
    tallies = [TrialCounts(storage, each) for each in (study_id, other)]
    mine, foreign = begin(storage, study_id, "a"), begin(storage, other, "a")
    for tally in tallies:
        tally.refresh()
    finish(storage, mine, value=0.25, epochs=2)
    finish(storage, foreign, value=0.75, epochs=2)
    for tally in tallies:
        tally.refresh()
    assert numbers_of(tallies[0]) == (1, 0, 0, 0.25, {"a": mine})
    assert numbers_of(tallies[1]) == (1, 0, 0, 0.75, {"a": foreign})


def test_no_trial_counts_twice_where_more_wait_than_a_statement_takes(tmp_path: Path):
    storage = open_storage(tmp_path / "x.db")
    study = optuna.create_study(storage=storage)
    study.add_trial(optuna.create_trial(value=0.5))
    waiting = "INSERT INTO trials (number, study_id, state) VALUES (?, ?, 'WAITING')"
    with storage.engine.begin() as connection:
        rows = [(number, study._study_id) for number in range(1, MOST_VARIABLES + 2)]
        connection.exec_driver_sql(waiting, rows)
    tally = refreshed(storage, study._study_id)
    storage.owner = "me"
    for value in (0.75, 0.25):
        finish(storage, begin(storage, study._study_id), value=value, epochs=2)
    for _ in range(2):
        tally.refresh()
        assert (tally.done, tally.best) == (3, 0.75)


outcomes = st.tuples(
    st.sampled_from([COMPLETE, PRUNED, FAIL]),
    st.sampled_from([0.25, 0.5, -INF, INF]),
    st.sampled_from([{}, {"epochs": 2}, {FREE: True}, {FREE: True, "epochs": 2}]),
)
steps = st.one_of(
    st.tuples(st.just("begin"), st.sampled_from(["a", "b", None])),
    st.tuples(st.just("finish"), st.integers(0, 3), outcomes),
    st.tuples(st.just("requeue"), st.integers(0, 3)),
    st.tuples(st.just("refresh")),
)


@settings(max_examples=15, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(steps, max_size=14))
def test_it_counts_what_the_study_has_in_whatever_order_workers_finish(storage, some):
    study_id = storage.create_new_study([StudyDirection.MAXIMIZE])
    tally, running = TrialCounts(storage, study_id), []
    for verb, *arguments in some:
        if verb == "begin":
            running.append(begin(storage, study_id, *arguments))
        elif verb == "refresh":
            tally.refresh()
        elif running:
            trial_id = running.pop(arguments[0] % len(running))
            if verb == "requeue":
                storage.requeue(trial_id)
            else:
                state, value, attrs = arguments[1]
                finish(storage, trial_id, state, value, **attrs)
    tally.refresh()
    assert numbers_of(tally) == counted(storage, study_id)


def test_the_best_is_within_the_limits_in_force(storage, study_id):
    for value, amount in ((0.5, 100), (0.75, 200), (0.25, 50)):
        finish(storage, begin(storage, study_id), value=value, epochs=2, parameters=amount)
    for limits, best in (((), 0.75), ((parameters <= 100,), 0.5), ((parameters <= 99,), 0.25)):
        tally = TrialCounts(storage, study_id, limits)
        tally.refresh()
        assert (tally.best, tally.done) == (best, 3)
    tally = TrialCounts(storage, study_id, (parameters <= 49,))
    tally.refresh()
    assert tally.best is None


def test_trials_of_plain_optuna_count_and_are_no_networks(storage, study_id):
    finish(storage, begin(storage, study_id), value=0.25, epochs=2)
    plain = optuna.load_study(
        study_name=storage.get_study_name_from_id(study_id), storage=storage.url
    )
    attrs = [
        {},
        {"key": "k"},
        {"key": "k", "epochs": "many"},
        {"key": ["k"], "epochs": 2},
        {"epochs": None},
    ]
    for user_attrs in attrs:
        plain.add_trial(optuna.create_trial(value=0.5, user_attrs=user_attrs))
    plain.add_trial(optuna.create_trial(value=0.75))
    plain.add_trial(optuna.create_trial(state=FAIL))
    tally = refreshed(storage, study_id)
    assert (tally.done, tally.foreign, tally.best) == (8, 7, 0.25)
    assert tally.epochs == {"k": 2}
