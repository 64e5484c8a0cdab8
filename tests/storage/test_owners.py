"""Owners of trials: who lost one writes nothing, and what a dead worker left is given back."""

import multiprocessing
import os
import signal
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import closing
from multiprocessing.connection import Connection
from typing import Any

import optuna
import pytest
from optuna.study import StudyDirection

from nasopt.storage.attributes import OWNER
from nasopt.storage.leases import SILENCE_SECONDS, WORKERS, Owner
from nasopt.storage.opening import open_storage
from nasopt.storage.owners import Lost
from nasopt.storage.rdb import Storage
from tests.storage.studies import COMPLETE, DISTRIBUTIONS, PARAMS, PRUNED, RUNNING, WAITING, trials

WRITES: dict[str, Callable[[Storage, int], Any]] = {
    "report": lambda storage, trial_id: storage.set_trial_intermediate_value(trial_id, 1, 0.9),
    "report of a new step": lambda storage, trial_id: storage.set_trial_intermediate_value(
        trial_id, 2, 0.9
    ),
    "user attribute": lambda storage, trial_id: storage.set_trial_user_attr(trial_id, "a", 1),
    "system attribute": lambda storage, trial_id: storage.set_trial_system_attr(trial_id, "a", 1),
    "parameter": lambda storage, trial_id: storage.set_trial_param(
        trial_id, "width", 20.0, DISTRIBUTIONS["width"]
    ),
    "state": lambda storage, trial_id: storage.set_trial_state_values(trial_id, COMPLETE, [0.5]),
    "begin": lambda storage, trial_id: storage.begin(
        trial_id, PARAMS, DISTRIBUTIONS, user_attrs={"a": 1}, constraints={"b": 1.0}
    ),
    "finish": lambda storage, trial_id: storage.finish(trial_id, COMPLETE, [0.9], {"a": 1}, {2: 1}),
    "requeue": lambda storage, trial_id: storage.requeue(trial_id),
}


@pytest.mark.parametrize("write", WRITES)
def test_a_worker_that_lost_its_trial_to_another_writes_nothing(storage, study_id, other, write):
    trial_id = storage.next_trial(study_id, budget=1)
    storage.set_trial_intermediate_value(trial_id, 1, 0.25)
    storage.requeue(trial_id)
    assert other.next_trial(study_id, budget=1) == trial_id
    before = other.get_trial(trial_id)
    with pytest.raises(Lost):
        WRITES[write](storage, trial_id)
    assert other.get_trial(trial_id) == before
    WRITES[write](other, trial_id)
    assert other.get_trial(trial_id) != before or write == "report"


@pytest.mark.parametrize("write", ["report", "finish", "requeue"])
@pytest.mark.parametrize("gone", ["waiting", "finished", "never claimed"])
def test_a_trial_that_is_not_in_hand_cannot_be_written_to(storage, study_id, gone, write):
    if gone == "never claimed":
        trial_id = storage.create_new_trial(study_id)
    else:
        trial_id = storage.next_trial(study_id, budget=1)
    if gone == "waiting":
        storage.requeue(trial_id)
    elif gone == "finished":
        storage.finish(trial_id, COMPLETE, [0.5], {})
    before = storage.get_trial(trial_id)
    with pytest.raises(Lost):
        WRITES[write](storage, trial_id)
    assert storage.get_trial(trial_id) == before


def test_a_trial_of_plain_optuna_lets_go_as_well(storage, study_id, other):
    name = storage.get_study_name_from_id(study_id)
    study = optuna.load_study(storage=storage, study_name=name)
    trial = optuna.Trial(study, storage.next_trial(study_id, budget=1))
    trial.report(0.25, step=1)
    storage.requeue(trial._trial_id)
    other.next_trial(study_id, budget=1)
    with pytest.raises(Lost):
        trial.report(0.5, step=2)
    with pytest.raises(Lost):
        trial.set_user_attr("a", 1)
    assert other.get_trial(trial._trial_id).intermediate_values == {1: 0.25}


def test_a_trial_that_is_given_back_keeps_all_but_its_owner(storage, study_id):
    storage.next_trial(study_id, budget=2)
    trial_id = storage.next_trial(study_id, budget=2)
    storage.begin(trial_id, PARAMS, DISTRIBUTIONS, user_attrs={"key": "k"}, constraints={"c": 0.5})
    storage.set_trial_intermediate_value(trial_id, 1, 0.25)
    storage.set_trial_system_attr(trial_id, "completed_rung_0", 0.25)
    before = storage.get_trial(trial_id)
    storage.requeue(trial_id)
    after = storage.get_trial(trial_id)
    assert after.state is WAITING
    assert after.number == before.number == 1
    assert after.params == before.params == PARAMS
    assert after.distributions == before.distributions
    assert after.intermediate_values == before.intermediate_values == {1: 0.25}
    assert after.user_attrs == before.user_attrs == {"key": "k"}
    assert after.system_attrs | {OWNER: "me"} == before.system_attrs
    assert OWNER not in after.system_attrs
    assert storage.next_trial(study_id, budget=2) == trial_id
    assert storage.get_trial(trial_id).system_attrs == before.system_attrs


def test_unfinished_trials_are_those_that_run_or_wait(storage, study_id):
    assert storage.unfinished(study_id) == 0
    claimed = [storage.next_trial(study_id, budget=4) for _ in range(4)]
    storage.requeue(claimed[0])
    storage.finish(claimed[1], COMPLETE, [0.5], {})
    storage.finish(claimed[2], PRUNED, None, {})
    assert storage.unfinished(study_id) == 2


def work(location: str, study_id: int, sender: Connection) -> None:
    storage = open_storage(location)
    with Owner(storage.engine, storage.leases) as owner:
        storage.owner = owner.token
        trial_id = storage.next_trial(study_id, budget=1)
        storage.set_trial_intermediate_value(trial_id, 1, 0.25)
        sender.send(trial_id)
        time.sleep(600)


@pytest.fixture
def worker(location: str, study_id: int) -> Iterator[tuple[int, int]]:
    """A worker in a process of its own, with a trial in hand: (pid, trial id)."""
    spawn = multiprocessing.get_context("spawn")
    ours, theirs = spawn.Pipe()
    arguments = (location, study_id, theirs)
    process = spawn.Process(target=work, args=arguments, daemon=True)
    process.start()
    with closing(ours):
        assert ours.poll(60), "the worker has not begun"
        trial_id = ours.recv()
    yield process.pid, trial_id
    process.kill()
    process.join()


def kill(pid: int) -> None:
    os.kill(pid, signal.SIGKILL)
    os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)


def test_a_killed_workers_trial_is_given_back_at_once_and_once(storage, study_id, worker):
    pid, trial_id = worker
    assert storage.requeue_orphans(study_id) == []
    kill(pid)
    assert storage.requeue_orphans(study_id) == [0]
    trial = storage.get_trial(trial_id)
    assert (trial.state, trial.number) == (WAITING, 0)
    assert trial.intermediate_values == {1: 0.25}
    assert OWNER not in trial.system_attrs
    assert storage.requeue_orphans(study_id) == []
    assert storage.next_trial(study_id, budget=1) == trial_id


def test_a_stopped_workers_trial_stays_with_it(storage, study_id, worker):
    pid, trial_id = worker
    os.kill(pid, signal.SIGSTOP)
    os.waitid(os.P_PID, pid, os.WSTOPPED | os.WNOWAIT)
    assert storage.requeue_orphans(study_id) == []
    assert storage.get_trial(trial_id).state is RUNNING
    kill(pid)
    assert storage.requeue_orphans(study_id) == [0]


@pytest.mark.parametrize(("age", "orphans"), [(SILENCE_SECONDS - 30, []), (SILENCE_SECONDS, [0])])
def test_a_worker_elsewhere_is_dead_when_its_row_is_old(
    storage, study_id, monkeypatch, age, orphans
):
    monkeypatch.setenv("NASOPT_TAKEOVER", "1")  # ours: a server may have been there as shortly
    storage.owner = uuid.uuid4().hex
    storage.next_trial(study_id, budget=1)
    row = {"token": storage.owner, "host": "elsewhere", "lease": "/x", "seen": time.time() - age}
    with storage.engine.begin() as connection:
        connection.execute(WORKERS.insert().values(**row))
    assert storage.requeue_orphans(study_id) == orphans


def test_ones_own_trial_is_no_orphan(storage, study_id):
    with Owner(storage.engine, storage.leases) as owner:
        storage.owner = owner.token
        storage.next_trial(study_id, budget=1)
        assert storage.requeue_orphans(study_id) == []
    assert storage.requeue_orphans(study_id) == [0]  # its worker has ended


def test_only_running_trials_of_the_study_that_had_an_owner_are_orphans(storage, study_id):
    other = storage.create_new_study([StudyDirection.MAXIMIZE])
    storage.next_trial(other, budget=1)
    storage.create_new_trial(study_id)  # plain Optuna's, which runs
    finished = storage.next_trial(study_id, budget=9)
    storage.finish(finished, COMPLETE, [0.5], {})
    orphan = storage.next_trial(study_id, budget=9)
    assert storage.requeue_orphans(study_id) == [2]
    states = [each.state for each in trials(storage, study_id)]
    assert states == [RUNNING, COMPLETE, WAITING]
    assert storage.get_trial(orphan).state is WAITING
    assert [each.state for each in trials(storage, other)] == [RUNNING]
