"""Searches that are stopped, killed, paused or shared: no trial is lost, or trained twice."""

import os
import signal
import sqlite3
import subprocess
import sys
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import optuna
import pytest
from optuna.trial import TrialState

import nasopt
from nasopt import Conv, Interrupted, Recipe, Space
from nasopt.errors import StorageError
from nasopt.search.interruption import interruptible
from nasopt.search.search import Search
from nasopt.storage.opening import open_storage
from tests.examples import small
from tests.forked import Forked
from tests.trials import counted, told

FIVE = small(trials=5, recipe=Recipe(epochs=3, batch_size=32))


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM, signal.SIGUSR1])
def test_at_a_prompt_a_second_signal_ends_the_search_but_not_the_process(monkeypatch, signum):
    monkeypatch.setattr(sys, "ps1", ">>> ", raising=False)
    before = signal.getsignal(signum)
    asked = SimpleNamespace(signum=None)
    with pytest.raises(Interrupted), interruptible(asked):  # noqa: PT012
        signal.raise_signal(signum)
        assert asked.signum == signum
        signal.raise_signal(signum)
    assert signal.getsignal(signum) is before


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM, signal.SIGUSR1])
def test_a_signal_puts_the_trial_back_and_the_same_command_goes_on(tmp_path, signum):
    experiment = small(recipe=Recipe(epochs=4, batch_size=32), trials=4)
    search = Search(experiment, storage=tmp_path / "x.db", device="cpu")
    before = signal.getsignal(signum)
    with pytest.raises(Interrupted) as interrupted:  # noqa: PT012
        for progress in search:
            if progress.number == 2 and progress.epoch == 1:
                os.kill(os.getpid(), signum)
    assert interrupted.value.signum == signum
    assert signal.getsignal(signum) is before
    states = [trial.state for trial in search.study.trials]
    assert states == [TrialState.COMPLETE, TrialState.COMPLETE, TrialState.WAITING]
    resumed = nasopt.run(experiment, storage=tmp_path / "x.db", device="cpu")
    whole = nasopt.run(experiment, storage=tmp_path / "y.db", device="cpu")
    assert told(resumed) == told(whole)
    assert resumed.trials[2].user_attrs["replayed_epochs"] == 1


def test_a_consumer_that_stops_iterating_leaves_no_running_trial(tmp_path):
    search = Search(small(), storage=tmp_path / "x.db", device="cpu")
    running = iter(search)
    while next(running).epoch != 1:
        pass
    running.close()
    assert [trial.state for trial in search.study.trials] == [TrialState.WAITING]


def work(database: Path, experiment: nasopt.Experiment, **options: Any) -> None:
    for progress in Search(experiment, storage=database, device="cpu", **options):
        print(progress.number, progress.epoch, flush=True)


def worker(database: Path, experiment: nasopt.Experiment = FIVE, **options: Any) -> Forked:
    return Forked(partial(work, database, experiment, **options), stdout=subprocess.PIPE)


def read_until(process: subprocess.Popen, line: str) -> None:
    assert process.stdout is not None
    while process.stdout.readline().strip() != line:
        assert process.poll() is None


def test_a_killed_worker_costs_no_trial(tmp_path):
    killed = worker(tmp_path / "x.db")
    read_until(killed, "1 2")
    killed.kill()
    killed.communicate()
    resumed = nasopt.run(FIVE, storage=tmp_path / "x.db", device="cpu")
    whole = nasopt.run(FIVE, storage=tmp_path / "y.db", device="cpu")
    assert told(resumed) == told(whole)
    assert resumed.trials[1].user_attrs["replayed_epochs"] >= 2


def test_two_workers_share_an_exact_budget(tmp_path):
    workers = [worker(tmp_path / "x.db") for _ in range(2)]
    for each in workers:
        each.communicate(timeout=120)
        assert each.returncode == 0
    study = optuna.load_study(
        study_name="experiment/surrogate/0", storage=f"sqlite:///{tmp_path}/x.db"
    )
    assert len(counted(study)) == 5
    assert {trial.state for trial in study.trials} == {TrialState.COMPLETE}
    assert [trial.number for trial in study.trials] == list(range(len(study.trials)))


def test_a_network_that_another_worker_has_in_hand_is_not_trained_beside_it(tmp_path):
    one = small(trials=2, space=Space(Conv(filters=4)), recipe=Recipe(epochs=3, batch_size=32))
    search = Search(one, sampler="random", storage=tmp_path / "x.db", device="cpu")
    running = iter(search)
    while next(running).epoch != 1:
        pass
    beside = worker(tmp_path / "x.db", one, sampler="random", profile=True)
    read_until(beside, "1 1")  # replayed, as the other waits for what is still in hand here
    for _ in running:
        pass
    beside.communicate(timeout=120)
    assert beside.returncode == 0
    first, second = search.study.trials[:2]
    assert second.user_attrs["repeat_of"] == 0
    assert second.values == first.values
    assert second.intermediate_values == first.intermediate_values
    assert search.study.user_attrs["ended"] == "all 1 networks of the space are known"


def test_a_full_disk_stops_the_run_with_a_line_and_it_goes_on_once_there_is_room(
    tmp_path, monkeypatch
):
    whole = nasopt.run(small(), storage=tmp_path / "y.db", device="cpu")
    search = Search(small(), storage=tmp_path / "x.db", device="cpu")
    with pytest.raises(StorageError) as error:  # noqa: PT012
        for progress in search:
            if progress.done == 2:
                with search.storage.engine.connect() as connection:
                    connection.exec_driver_sql("PRAGMA max_page_count = 1")  # no page more
    assert str(error.value).startswith("storage: database or disk is full; make room and run the")
    kept = told(search.study)
    assert [trial[1] for trial in kept[:2]] == ["COMPLETE", "COMPLETE"]
    resumed = nasopt.run(small(), storage=tmp_path / "x.db", device="cpu")
    assert told(resumed) == told(whole)
    assert told(resumed)[:2] == kept[:2]
    assert not list((tmp_path / "x.db.leases").glob("*.lease"))


def test_a_database_that_becomes_read_only_stops_the_run_with_a_line(tmp_path):
    whole = nasopt.run(small(), storage=tmp_path / "y.db", device="cpu")
    search = Search(small(), storage=tmp_path / "x.db", device="cpu")
    with pytest.raises(StorageError) as error:  # noqa: PT012
        for progress in search:
            if progress.done == 2:
                with search.storage.engine.connect() as connection:
                    connection.exec_driver_sql("PRAGMA query_only = 1")
    assert str(error.value).startswith("storage: attempt to write a readonly database; make it w")
    resumed = nasopt.run(small(), storage=tmp_path / "x.db", device="cpu")
    assert told(resumed) == told(whole)


def test_a_worker_paused_until_its_trial_was_taken_changes_nothing(tmp_path):
    paused = worker(tmp_path / "x.db")
    read_until(paused, "1 1")
    paused.send_signal(signal.SIGSTOP)
    try:
        storage = open_storage(tmp_path / "x.db")
        with storage.engine.begin() as connection:  # it seems to be on another host, and silent
            connection.exec_driver_sql("UPDATE nasopt_workers SET host = 'other', seen = 0")
        for held in (tmp_path / "x.db.leases").iterdir():  # nor are its locks to be seen
            held.unlink()
        finished = told(nasopt.run(FIVE, storage=tmp_path / "x.db", device="cpu"))
    finally:
        paused.send_signal(signal.SIGCONT)
    paused.communicate(timeout=120)
    assert paused.returncode == 0
    study = optuna.load_study(
        study_name="experiment/surrogate/0", storage=f"sqlite:///{tmp_path}/x.db"
    )
    assert told(study) == finished
    assert told(nasopt.run(FIVE, storage=tmp_path / "y.db", device="cpu")) == finished


def test_a_paused_worker_keeps_its_trial_on_the_same_host(tmp_path):
    paused = worker(tmp_path / "x.db")
    read_until(paused, "0 1")
    paused.send_signal(signal.SIGSTOP)
    try:
        storage = open_storage(tmp_path / "x.db")
        assert storage.requeue_orphans(1) == []
        assert storage.unfinished(1) == 1
    finally:
        paused.send_signal(signal.SIGCONT)
    paused.communicate(timeout=120)
    assert paused.returncode == 0


def test_a_worker_whose_trial_was_taken_changes_nothing_and_asks_for_the_next(tmp_path, caplog):
    experiment = small(recipe=Recipe(epochs=3, batch_size=32), trials=3)
    whole = nasopt.run(experiment, storage=tmp_path / "y.db", device="cpu")
    search = Search(experiment, storage=tmp_path / "x.db", device="cpu")
    for progress in search:
        if progress.number == 1 and progress.epoch == 1 and "took" not in caplog.text:
            thief = open_storage(tmp_path / "x.db")
            thief.owner = search.storage.owner  # as if its worker had been taken for dead
            thief.requeue(2)  # trial ids begin at 1
            thief.owner = "thief"
            assert thief.next_trial(1, 3) == 2
            thief.requeue(2)
    assert "another worker took the trial in hand" in caplog.text
    assert told(search.study) == told(whole)


def test_a_database_that_is_locked_for_a_while_only_delays_the_run(tmp_path):
    running = worker(tmp_path / "x.db")
    read_until(running, "1 1")
    locked = sqlite3.connect(tmp_path / "x.db", timeout=60, isolation_level=None)
    locked.execute("BEGIN IMMEDIATE")
    with pytest.raises(subprocess.TimeoutExpired):
        running.wait(timeout=6)  # a second longer than SQLite waits by itself
    locked.execute("ROLLBACK")
    running.communicate(timeout=120)
    assert running.returncode == 0


def test_a_consumer_may_stop_right_after_a_trial(tmp_path):
    search = Search(small(), storage=tmp_path / "x.db", device="cpu")
    for progress in search:
        if progress.finished:
            break
    assert [trial.state for trial in search.study.trials] == [TrialState.COMPLETE]


def test_a_search_may_be_iterated_again_after_it_was_interrupted(tmp_path):
    search = Search(small(), storage=tmp_path / "x.db", device="cpu")
    with pytest.raises(Interrupted):  # noqa: PT012
        for progress in search:
            if progress.epoch == 1:
                os.kill(os.getpid(), signal.SIGINT)
    list(search)
    assert len(counted(search.study)) == 6


def test_a_second_signal_ends_the_process_at_once_and_nothing_is_lost(tmp_path):
    def work() -> None:
        for progress in Search(small(), storage=tmp_path / "x.db", device="cpu"):
            if (progress.number, progress.epoch) == (1, 1):
                os.kill(os.getpid(), signal.SIGINT)
                os.kill(os.getpid(), signal.SIGINT)
                print("still here", flush=True)

    done = Forked(work, stdout=subprocess.PIPE)
    said, _ = done.communicate(timeout=60)
    assert (done.returncode, said) == (130, "")
    resumed = nasopt.run(small(), storage=tmp_path / "x.db", device="cpu")
    assert told(resumed) == told(nasopt.run(small(), storage=tmp_path / "y.db", device="cpu"))
