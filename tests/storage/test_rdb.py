"""`Storage` on SQLite and on a real PostgreSQL: claims and an exact budget, with real processes."""

import math
import multiprocessing
import os
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import datetime
from itertools import chain
from multiprocessing.connection import Connection
from multiprocessing.synchronize import Barrier

import pytest
from optuna.storages import RDBStorage
from optuna.study import StudyDirection

from nasopt.storage.attributes import FREE
from nasopt.storage.opening import open_storage
from nasopt.storage.owners import OWNER
from nasopt.storage.rdb import Storage
from tests.storage.studies import (
    COMPLETE,
    DISTRIBUTIONS,
    FAIL,
    PARAMS,
    PRUNED,
    RUNNING,
    WAITING,
    close,
    plain,
    trials,
    wait,
)


def test_trials_are_made_up_to_the_budget_exactly(storage, study_id):
    claimed = [storage.next_trial(study_id, budget=3) for _ in range(5)]
    assert claimed[3:] == [None, None]
    assert [(each.number, each.state) for each in trials(storage, study_id)] == [
        (0, RUNNING),
        (1, RUNNING),
        (2, RUNNING),
    ]
    assert [each._trial_id for each in trials(storage, study_id)] == claimed[:3]


def test_a_finished_study_makes_no_trial(storage, study_id):
    for _ in range(3):
        storage.finish(storage.next_trial(study_id, budget=3), COMPLETE, [0.5], {})
    assert storage.next_trial(study_id, budget=3) is None
    assert storage.next_trial(study_id, budget=2) is None
    assert storage.next_trial(study_id, budget=4) is not None


@pytest.mark.parametrize("state", [COMPLETE, PRUNED, FAIL])
def test_free_trials_do_not_count(storage, study_id, state):
    first, second = (storage.next_trial(study_id, budget=2) for _ in range(2))
    values = [0.5] if state is COMPLETE else None
    storage.finish(first, state, values, {FREE: True, "reason": "a repeat"})
    storage.finish(second, state, values, {})
    third = storage.next_trial(study_id, budget=2)
    assert storage.get_trial(third).number == 2
    assert storage.next_trial(study_id, budget=2) is None


def test_free_trials_are_counted_once_whenever_they_end(storage, study_id):
    """A trial that waits or runs meanwhile may become free after younger ones."""
    late = storage.next_trial(study_id, budget=3)
    for _ in range(4):
        storage.finish(storage.next_trial(study_id, budget=3), FAIL, None, {FREE: True})
    waiting = storage.next_trial(study_id, budget=3)
    storage.requeue(waiting)
    assert storage.next_trial(study_id, budget=3) == waiting
    storage.finish(late, FAIL, None, {FREE: True})
    storage.finish(waiting, FAIL, None, {FREE: True})
    made = [storage.next_trial(study_id, budget=3) for _ in range(4)]
    assert made.count(None) == 1
    assert max(trial.number for trial in trials(storage, study_id)) == 5 + 3


def test_a_study_with_the_id_of_a_deleted_one_begins_anew(tmp_path):
    storage = open_storage(tmp_path / "x.db")
    storage.owner = "me"
    for _ in range(2):  # SQLite gives the same ids
        study_id = storage.create_new_study([StudyDirection.MAXIMIZE])
        for _ in range(3):
            trial_id = storage.next_trial(study_id, budget=2)
            storage.finish(trial_id, FAIL, None, {FREE: True})
        claimed = [storage.next_trial(study_id, budget=2) for _ in range(3)]
        assert claimed.count(None) == 1
        storage.delete_study(study_id)


def test_each_study_has_numbers_and_a_budget_of_its_own(storage, study_id):
    other = storage.create_new_study([StudyDirection.MAXIMIZE])
    storage.finish(storage.next_trial(other, budget=2), COMPLETE, [0.5], {FREE: True})
    wait(storage, other, count=1)
    claimed = [storage.next_trial(study_id, budget=2) for _ in range(3)]
    assert [each.number for each in trials(storage, study_id)] == [0, 1]
    assert claimed[2] is None


def test_waiting_trials_come_first_and_the_lowest_number_before_others(storage, study_id):
    running = [storage.next_trial(study_id, budget=5) for _ in range(4)]
    for trial_id in (running[2], running[0], running[3]):
        storage.requeue(trial_id)
    claimed = [storage.next_trial(study_id, budget=5) for _ in range(5)]
    assert claimed[:3] == [running[0], running[2], running[3]]
    assert storage.get_trial(claimed[3]).number == 4
    assert claimed[4] is None


def test_waiting_trials_are_claimed_though_the_budget_is_spent(storage, study_id):
    wait(storage, study_id, count=2)
    claimed = [storage.next_trial(study_id, budget=1) for _ in range(3)]
    assert claimed[2] is None
    assert {storage.get_trial(trial_id).number for trial_id in claimed[:2]} == {0, 1}


def test_an_enqueued_trial_keeps_what_was_asked_of_it(storage, study_id, location):
    plain(location, study_id).enqueue_trial({"x": 0.25}, user_attrs={"note": "mine"})
    claimed = storage.get_trial(storage.next_trial(study_id, budget=1))
    assert claimed.system_attrs["fixed_params"] == {"x": 0.25}
    assert claimed.user_attrs == {"note": "mine"}


def test_a_claim_names_its_owner(storage, study_id):
    wait(storage, study_id, count=1)
    for _ in range(2):
        claimed = storage.get_trial(storage.next_trial(study_id, budget=2))
        assert claimed.system_attrs[OWNER] == "me"


def test_times_are_those_of_the_clock_in_every_time_zone(storage, study_id, monkeypatch):
    try:
        monkeypatch.setenv("TZ", "Asia/Tokyo")
        time.tzset()
        before = datetime.now()
        trial_id = storage.next_trial(study_id, budget=1)
        storage.finish(trial_id, COMPLETE, [0.5], {})
        trial = storage.get_trial(trial_id)
        assert before <= trial.datetime_start <= trial.datetime_complete <= datetime.now()
    finally:
        monkeypatch.undo()
        time.tzset()


def drain(location: str, study_id: int, barrier: Barrier, budget: int, sender: Connection) -> None:
    storage = open_storage(location)
    storage.owner = f"process {os.getpid()}"
    claimed = []
    barrier.wait()
    while (trial_id := storage.next_trial(study_id, budget)) is not None:
        claimed.append(trial_id)
    sender.send((storage.owner, claimed))


def test_four_processes_claim_each_waiting_trial_once_and_keep_to_the_budget(
    storage, study_id, location
):
    wait(storage, study_id, count=200)
    spawn = multiprocessing.get_context("spawn")
    barrier = spawn.Barrier(4, timeout=60)
    pipes = [spawn.Pipe(duplex=False) for _ in range(4)]
    workers = [
        spawn.Process(target=drain, args=(location, study_id, barrier, 240, sender))
        for _, sender in pipes
    ]
    for worker, (_, sender) in zip(workers, pipes, strict=True):
        worker.start()
        sender.close()  # so that the end of a worker can be told
    claims = dict(receiver.recv() for receiver, _ in pipes)
    for worker in workers:
        worker.join()
    everything = trials(storage, study_id)
    assert sorted(chain(*claims.values())) == [each._trial_id for each in everything]
    assert [each.number for each in everything] == list(range(240))
    assert {each.state for each in everything} == {RUNNING}
    owners = {each._trial_id: each.system_attrs[OWNER] for each in everything}
    assert owners == {each: owner for owner, claimed in claims.items() for each in claimed}


# what is written to a trial


def test_a_trial_begins_with_all_that_is_known_of_it(storage, study_id, location):
    trial_id = storage.next_trial(study_id, budget=1)
    storage.begin(
        trial_id,
        PARAMS,
        DISTRIBUTIONS,
        user_attrs={"key": "k", "parameters": 90},
        constraints={"parameters <= 100": -0.1, "macs <= 5": 0.5},
    )
    (trial,) = plain(location, study_id).trials
    assert trial.params == PARAMS
    assert trial.distributions == DISTRIBUTIONS
    assert trial.user_attrs == {"key": "k", "parameters": 90}
    assert trial.constraints == {"parameters <= 100": -0.1, "macs <= 5": 0.5}
    assert trial.state is RUNNING


def test_parameters_that_a_trial_has_stand(storage, study_id):
    trial_id = storage.next_trial(study_id, budget=1)
    for params in (PARAMS, PARAMS | {"width": 99}):
        storage.begin(trial_id, params, DISTRIBUTIONS, user_attrs={}, constraints={})
    assert storage.get_trial(trial_id).params == PARAMS


def test_a_trial_may_have_no_parameters(storage, study_id):
    trial_id = storage.next_trial(study_id, budget=1)
    storage.begin(trial_id, {}, {}, user_attrs={"key": "k"}, constraints={})
    assert storage.get_trial(trial_id).user_attrs == {"key": "k"}


def test_a_beginning_is_written_whole_or_not_at_all(storage, study_id):
    trial_id = storage.next_trial(study_id, budget=1)
    before = storage.get_trial(trial_id)
    with pytest.raises(TypeError):
        storage.begin(trial_id, PARAMS, DISTRIBUTIONS, user_attrs={"no JSON": {1}}, constraints={})
    assert storage.get_trial(trial_id) == before


@pytest.mark.parametrize(
    ("state", "values"), [(COMPLETE, [0.1 + 0.2]), (PRUNED, [0.5]), (PRUNED, None), (FAIL, None)]
)
def test_an_outcome_is_what_plain_optuna_reads(storage, study_id, location, state, values):
    trial_id = storage.next_trial(study_id, budget=1)
    storage.set_trial_intermediate_value(trial_id, 1, 0.25)
    reports = {1: 0.75, 2: 0.5, 3: math.nan, 4: math.inf}
    storage.finish(trial_id, state, values, {"epochs": 4}, reports)
    (trial,) = plain(location, study_id).trials
    assert (trial.state, trial.values) == (state, values)
    assert trial.user_attrs == {"epochs": 4}
    first, second, third, fourth = (trial.intermediate_values[step] for step in (1, 2, 3, 4))
    assert (first, second, fourth) == (0.25, 0.5, math.inf)  # a report that is known stands
    assert math.isnan(third)


def test_an_outcome_has_a_value_for_each_objective(storage):
    directions = [StudyDirection.MAXIMIZE, StudyDirection.MINIMIZE]
    trial_id = storage.next_trial(storage.create_new_study(directions), budget=1)
    storage.finish(trial_id, COMPLETE, [0.5, 1e6], {})
    assert storage.get_trial(trial_id).values == [0.5, 1e6]


def test_an_outcome_is_written_whole_or_not_at_all(storage, study_id):
    trial_id = storage.next_trial(study_id, budget=1)
    before = storage.get_trial(trial_id)
    with pytest.raises(TypeError):
        storage.finish(trial_id, COMPLETE, [0.5], {"first": 1, "no JSON": {1}}, {1: 0.5})
    assert storage.get_trial(trial_id) == before


def test_of_two_workers_that_end_at_once_the_second_sees_what_the_first_has_told(
    storage, study_id, other
):
    ids = {each: each.next_trial(study_id, budget=2) for each in (storage, other)}
    both = threading.Barrier(2)

    def tell(worker: Storage) -> bool:
        theirs = next(trial_id for each, trial_id in ids.items() if each is not worker)

        def known() -> bool:
            with suppress(threading.BrokenBarrierError):
                both.wait(timeout=0.5)  # that they are both here must not happen
            return worker.get_trial(theirs).state.is_finished()

        return worker.finish(ids[worker], COMPLETE, [0.5], {"told": True}, unless=known)

    with ThreadPoolExecutor(2) as pool:
        told = list(pool.map(tell, ids))
    assert sorted(told) == [False, True]
    trials = [each.get_trial(trial_id) for each, trial_id in ids.items()]
    assert sorted(trial.state.name for trial in trials) == ["COMPLETE", "RUNNING"]
    assert [trial.user_attrs for trial in trials].count({"told": True}) == 1


# reading


def test_reading_a_study_is_reading_it_as_plain_optuna_does(storage, study_id, location):
    storage.owner = None
    study = plain(location, study_id)
    for number in range(4):
        study.enqueue_trial({"lr": 0.5})
        trial = study.ask()
        trial.suggest_float("lr", 1e-4, 1, log=True)
        trial.set_user_attr("number", number)
        trial.report(number / 3, step=1)
        if number < 3:
            study.tell(trial, number / 7)
    stock = RDBStorage(storage.url)
    for states in (None, (COMPLETE,), [RUNNING, WAITING], {PRUNED}):
        assert storage.get_all_trials(study_id, states=states) == stock.get_all_trials(
            study_id, states=states
        )
    for each in stock.get_all_trials(study_id):
        assert storage.get_trial(each._trial_id) == each
        assert storage.get_trial_user_attrs(each._trial_id) == each.user_attrs
        assert storage.get_trial_system_attrs(each._trial_id) == each.system_attrs
    close(stock)


def test_a_trial_or_study_that_is_not_there_is_the_error_that_optuna_has(storage):
    reads = ("get_trial", "get_trial_user_attrs", "get_trial_system_attrs", "get_all_trials")
    for read in reads:
        with pytest.raises(KeyError, match=r"^'Record does not exist\.'$"):
            getattr(storage, read)(10**6)


def test_a_study_without_trials_is_empty(storage, study_id):
    assert storage.get_all_trials(study_id) == []
