"""`Storage` on SQLite and on a real PostgreSQL: claims, budget and fences, with real processes."""

import errno
import math
import multiprocessing
import os
import signal
import socket
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress
from datetime import datetime
from itertools import chain
from multiprocessing.connection import Connection
from multiprocessing.synchronize import Barrier
from pathlib import Path
from typing import Any

import optuna
import pytest
import sqlalchemy as sa
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.storages import RDBStorage
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState

from nasopt.errors import StorageError
from nasopt.storage.database import storage_url
from nasopt.storage.leases import SILENCE_SECONDS, WORKERS, Owner
from nasopt.storage.ledger import Ledger
from nasopt.storage.opening import folders, open_storage
from nasopt.storage.owners import OWNER, Lost
from nasopt.storage.rdb import FREE, TRIALS, USER_ATTRS, Storage

RUNNING, WAITING = TrialState.RUNNING, TrialState.WAITING
COMPLETE, PRUNED, FAIL = TrialState.COMPLETE, TrialState.PRUNED, TrialState.FAIL
MODES = ("create", "write", "read")
DISTRIBUTIONS = {
    "filters": CategoricalDistribution((8, 16)),
    "width": IntDistribution(10, 100),
    "lr": FloatDistribution(1e-4, 1, log=True),
}
PARAMS = {"filters": 16, "width": 32, "lr": 0.1 + 0.2}


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def location(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> str:
    """Of a database that the tests share: each has a study of its own."""
    if request.param == "sqlite":
        return str(tmp_path_factory.mktemp("shared") / "x.db")
    url: str = request.getfixturevalue("postgresql")()
    return url


@pytest.fixture(scope="module")
def opened(location: str) -> Iterator[tuple[Storage, Storage]]:
    """By two workers."""
    both = open_storage(location), open_storage(location)
    yield both
    for each in both:
        each.engine.dispose()


@pytest.fixture
def storage(opened: tuple[Storage, Storage]) -> Storage:
    opened[0].owner = "me"
    return opened[0]


@pytest.fixture
def other(opened: tuple[Storage, Storage]) -> Storage:
    """The same database, opened by another worker."""
    opened[1].owner = "the other"
    return opened[1]


@pytest.fixture
def study_id(storage: Storage) -> int:
    return storage.create_new_study([StudyDirection.MAXIMIZE])


def plain(location: str, study_id: int) -> optuna.Study:
    """The study as plain Optuna opens it."""
    storage = open_storage(location)
    return optuna.load_study(storage=storage, study_name=storage.get_study_name_from_id(study_id))


def file_storage(path: Path) -> Storage:
    storage = open_storage(path)
    storage.create_new_study([StudyDirection.MAXIMIZE], "study")
    return storage


def close(storage: Storage) -> None:
    storage.remove_session()
    storage.engine.dispose()


def contents(folder: Path) -> dict[str, bytes]:
    return {each.name: each.read_bytes() for each in folder.iterdir()}


def opening(path: Path, *modes: str) -> list[str]:
    """What another process gets in each mode: the names of the studies, or the error."""
    script = """
import sys, optuna
from nasopt.storage.database import storage_url
from nasopt.errors import StorageError
from nasopt.storage.opening import open_storage
for mode in sys.argv[2:]:
    try:
        storage = open_storage(sys.argv[1], mode)
        print([study.study_name for study in storage.get_all_studies()], storage.path)
    except StorageError as error:
        print(error)
"""
    command = [sys.executable, "-c", script, str(path), *modes]
    if os.getuid() == 0:  # root may read and write everywhere, unless it gives that up
        command = ["setpriv", "--bounding-set=-dac_override,-dac_read_search", *command]
    output = subprocess.run(command, capture_output=True, check=True, text=True).stdout
    return output.splitlines()


# opening


def test_a_database_is_made_where_there_is_none_and_plain_optuna_opens_it(tmp_path):
    path = tmp_path / "runs" / "new" / "x.db"
    storage = open_storage(path)
    optuna.create_study(storage=storage, study_name="study").add_trial(
        optuna.create_trial(value=0.5)
    )
    assert [each.name for each in path.parent.iterdir() if "-" not in each.name] == ["x.db"]
    plain = optuna.load_study(storage=f"sqlite:///{path}", study_name="study")
    assert plain.best_value == 0.5


def test_a_database_is_made_and_worked_on_where_no_file_has_two_names(tmp_path, monkeypatch):
    """As on exFAT, and on many file systems of a network."""

    def link(*_: Any, **__: Any) -> None:
        raise PermissionError(errno.EPERM, os.strerror(errno.EPERM))

    monkeypatch.setattr(os, "link", link)  # what Path.hardlink_to and shutil call as well
    storage = open_storage(tmp_path / "x.db")
    study = optuna.create_study(storage=storage)
    with Owner(storage.engine, storage.leases) as owner:
        storage.owner = owner.token
        assert storage.next_trial(study._study_id, budget=1) is not None


def test_a_database_of_plain_optuna_is_opened(tmp_path):
    url = f"sqlite:///{tmp_path / 'x.db'}"
    optuna.create_study(storage=url, study_name="study")
    for location in (tmp_path / "x.db", url):
        study = optuna.load_study(storage=open_storage(location, "write"), study_name="study")
        study.optimize(lambda trial: trial.suggest_float("x", 0, 1), n_trials=2)
    assert len(study.trials) == 4
    with Owner(open_storage(url).engine, tmp_path / "leases"):
        pass


@pytest.mark.parametrize("mode", ["write", "read"])
def test_a_database_that_should_be_there_is_not_made(tmp_path, mode):
    path = tmp_path / "x.db"
    with pytest.raises(StorageError) as raised:
        open_storage(path, mode)
    assert str(raised.value) == (
        f"storage={path}: no such file; look for the path that a run printed"
    )
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("mode", MODES)
def test_what_is_no_database_is_left_byte_for_byte_in_every_mode(tmp_path, mode):
    (tmp_path / "x.db").write_bytes(b"a text of mine")
    with pytest.raises(StorageError, match=r"x\.db: no SQLite database; move it away"):
        open_storage(tmp_path / "x.db", mode)
    assert contents(tmp_path) == {"x.db": b"a text of mine"}


def test_reading_writes_nothing(tmp_path):
    close(file_storage(tmp_path / "x.db"))
    before = contents(tmp_path)
    storage = open_storage(tmp_path / "x.db", "read")
    assert [study.study_name for study in storage.get_all_studies()] == ["study"]
    close(storage)
    assert contents(tmp_path) == before


def test_readers_and_a_writer_do_not_wait_for_each_other(tmp_path):
    with open_storage(tmp_path / "x.db").engine.connect() as connection:
        names = ("journal_mode", "synchronous", "busy_timeout")
        settings = [connection.exec_driver_sql(f"PRAGMA {name}").scalar() for name in names]
    assert settings == ["wal", 1, 120_000]  # 1 is NORMAL; milliseconds


def test_a_name_may_have_any_characters(tmp_path):
    for name in ("a folder.db", "ünï.db", "50%20.db", "a#b.db", "w?.db"):
        close(file_storage(tmp_path / name))
        storage = open_storage(tmp_path / name, "read")
        assert [study.study_name for study in storage.get_all_studies()] == ["study"]
        assert storage.path == tmp_path / name
        close(storage)
    assert len(list(tmp_path.iterdir())) == 5


def test_what_cannot_be_written_to_is_refused_and_can_be_read(tmp_path):
    """A file, its folder, or both are read-only."""
    path = tmp_path / "x.db"
    close(file_storage(path))
    path.chmod(0o444)
    create, write = (
        f"storage={path}: read-only; change its permissions, or {remedy}"
        for remedy in ("name another with --storage", "look on with --read-only")
    )
    studies = f"['study'] {path}"
    assert opening(path, *MODES) == [create, write, studies]
    tmp_path.chmod(0o555)
    try:
        before = contents(tmp_path)
        assert opening(path, *MODES) == [create, write, studies]
        path.chmod(0o644)
        assert opening(path, *MODES) == [create, write, studies]
        assert contents(tmp_path) == before
    finally:
        tmp_path.chmod(0o755)


def test_a_read_only_database_that_is_being_written_to_can_be_read(tmp_path):
    path = tmp_path / "x.db"
    storage = file_storage(path)
    storage.create_new_study([StudyDirection.MAXIMIZE], "newer")  # not in the file yet
    path.chmod(0o444)
    tmp_path.chmod(0o555)
    try:
        assert opening(path, "read") == [f"['study', 'newer'] {path}"]
    finally:
        tmp_path.chmod(0o755)


def test_what_cannot_be_read_is_refused(tmp_path):
    path = tmp_path / "x.db"
    close(file_storage(path))
    for part in (path, tmp_path):
        part.chmod(0o000)
        try:
            for message in opening(path, *MODES):
                assert message.startswith(f"storage={path}: cannot be read (Permission denied)")
        finally:
            part.chmod(0o755)


def test_what_cannot_be_made_is_refused(tmp_path):
    tmp_path.chmod(0o555)
    try:
        path = tmp_path / "runs" / "x.db"
        assert opening(path, "create") == [
            f"storage={path}: cannot be made (Permission denied); choose another --storage"
        ]
    finally:
        tmp_path.chmod(0o755)
    (tmp_path / "file").touch()
    with pytest.raises(StorageError, match=r"cannot be made .*; choose another --storage"):
        open_storage(tmp_path / "file" / "x.db")


@pytest.mark.parametrize("mode", MODES)
def test_a_server_that_refuses_is_named_without_its_password(mode):
    with socket.socket() as taken:  # bound, and nobody listens
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
        with pytest.raises(StorageError) as raised:
            open_storage(f"postgresql+psycopg://me:secret@127.0.0.1:{port}/x", mode)
    message = str(raised.value)
    assert message.startswith(f"storage=postgresql+psycopg://me@127.0.0.1:{port}/x: ")
    assert "Connection refused" in message
    assert "secret" not in message
    assert "\n" not in message


@pytest.mark.parametrize("mode", ["write", "read"])
def test_a_server_without_studies_is_refused_and_left_empty(postgresql, mode):
    url = postgresql()
    with pytest.raises(StorageError, match=r"^storage=postgresql"):
        open_storage(url, mode)
    assert sa.inspect(sa.create_engine(url)).get_table_names() == []


def test_a_server_of_another_schema_is_refused(postgresql):
    url = postgresql()
    with open_storage(url).engine.begin() as connection:
        connection.execute(sa.text("UPDATE alembic_version SET version_num = 'v2.6.0.a'"))
    for mode in MODES:
        with pytest.raises(StorageError) as raised:
            open_storage(url, mode)
        assert str(raised.value) == (
            f"storage={url}: made by another version of Optuna; "
            f"run: optuna storage upgrade --storage {url}"
        )


def test_a_driver_that_is_missing_is_named_with_the_command_that_installs_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "psycopg", None)
    with pytest.raises(StorageError) as raised:
        open_storage("postgresql+psycopg://host/x")
    assert str(raised.value) == (
        "storage=postgresql+psycopg://host/x: psycopg is not installed; "
        "run: pip install 'nasopt[postgresql]'"
    )


@pytest.mark.parametrize("location", ["mysql://host/x", ":memory:"])
def test_another_kind_of_database_is_refused(location):
    with pytest.raises(StorageError, match=f"^storage='?{location}"):
        open_storage(location)


def make(location: str, barrier: Barrier, name: str) -> None:
    barrier.wait()
    storage = open_storage(location)
    barrier.wait()
    Ledger(storage.engine, Path(f"{name}.checkpoints"))
    storage.create_new_study([StudyDirection.MAXIMIZE], name)
    close(storage)


def test_workers_that_make_one_database_at_once_all_get_it(empty_database, tmp_path):
    spawn = multiprocessing.get_context("spawn")
    names = ["a", "b"]
    barrier = spawn.Barrier(len(names), timeout=20)  # should one of them fail
    workers = [spawn.Process(target=make, args=(empty_database, barrier, name)) for name in names]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert [worker.exitcode for worker in workers] == [0, 0]
    storage = open_storage(empty_database)
    assert sorted(study.study_name for study in storage.get_all_studies()) == names
    close(storage)
    assert [path.name for path in tmp_path.iterdir()] in (["x.db"], [])  # no drafts


def test_workers_that_begin_at_once_on_a_database_of_plain_optuna_all_get_it(postgresql):
    for _ in range(4):  # it is a race: without the lock most of them are lost
        url = postgresql()
        plain = RDBStorage(storage_url(url))
        plain.remove_session()
        plain.engine.dispose()
        barrier = threading.Barrier(3)

        def begin(url: str = url, barrier: threading.Barrier = barrier) -> None:
            barrier.wait(timeout=20)
            close(open_storage(url))

        with ThreadPoolExecutor(3) as threads:
            for begun in [threads.submit(begin) for _ in range(3)]:
                begun.result()


def add_study(path: Path, name: str) -> None:
    storage = open_storage(path)
    storage.create_new_study([StudyDirection.MAXIMIZE], name)
    close(storage)


def test_opening_a_database_again_loses_nothing(tmp_path):
    path = tmp_path / "x.db"
    storage = file_storage(path)
    open_storage(path)
    spawn = multiprocessing.get_context("spawn")
    another = spawn.Process(target=add_study, args=(path, "theirs"))
    another.start()
    another.join()
    storage.create_new_study([StudyDirection.MAXIMIZE], "ours")
    assert opening(path, "read") == [f"['study', 'theirs', 'ours'] {path}"]


def test_a_file_has_one_folder_under_whatever_link(tmp_path):
    open_storage(tmp_path / "x.db")
    (tmp_path / "link.db").symlink_to(tmp_path / "x.db")
    assert folders(open_storage(tmp_path / "link.db")) == folders(open_storage(tmp_path / "x.db"))


def test_what_lies_beside_a_database(tmp_path, postgresql):
    beside = folders(open_storage(tmp_path / "x.db"))
    assert beside.checkpoints == tmp_path / "x.db.checkpoints"
    assert beside.leases == tmp_path / "x.db.leases"
    url = postgresql()
    beside = folders(open_storage(url))
    assert beside.checkpoints == Path(f"{sa.make_url(url).database}.checkpoints")
    assert beside.leases == Path(os.environ["XDG_STATE_HOME"]) / "nasopt" / "leases"


def test_the_database_is_the_file_or_none(tmp_path, postgresql):
    assert open_storage(tmp_path / "x.db").path == tmp_path / "x.db"
    assert open_storage(f"sqlite:///{tmp_path / 'x.db'}").path == tmp_path / "x.db"
    assert open_storage(postgresql()).path is None


def test_without_an_owner_it_is_optunas_own_storage(location):
    study = optuna.create_study(storage=open_storage(location), direction="maximize")

    def objective(trial: optuna.Trial) -> float:
        trial.report(0.25, step=1)
        trial.set_user_attr("note", [1, 2])
        if trial.number == 1:
            raise optuna.TrialPruned
        return trial.suggest_float("x", 0, 1)

    study.enqueue_trial({"x": 1.0})
    study.optimize(objective, n_trials=3)
    assert [trial.state for trial in study.trials] == [COMPLETE, PRUNED, COMPLETE]
    assert study.best_trial.number == 0
    assert study.best_trial.user_attrs == {"note": [1, 2]}


# the next trial


def wait(storage: Storage, study_id: int, count: int) -> None:
    """Put `count` trials into the queue."""
    with storage.engine.begin() as connection:
        rows = [{"study_id": study_id, "state": WAITING, "number": n} for n in range(count)]
        connection.execute(sa.insert(TRIALS), rows)


def trials(storage: Storage, study_id: int) -> list[FrozenTrial]:
    return storage.get_all_trials(study_id)


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


# fences

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


# giving back


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
def test_a_worker_elsewhere_is_dead_when_its_row_is_old(storage, study_id, age, orphans):
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


# indices

NAMES = {"nasopt_state", "nasopt_number", "nasopt_free"}


def indices(storage: Storage) -> set[str]:
    inspector = sa.inspect(storage.engine)
    tables = ("trials", "trial_user_attributes")
    return {each["name"] for table in tables for each in inspector.get_indexes(table)} & NAMES


@pytest.mark.filterwarnings("ignore:Skipped unsupported reflection of expression-based index")
def test_a_database_has_the_indices_when_it_is_made_and_one_of_optuna_when_it_is_written_to(
    empty_database, postgresql, tmp_path
):
    assert indices(open_storage(empty_database)) == NAMES
    url = postgresql() if "://" in empty_database else f"sqlite:///{tmp_path / 'theirs.db'}"
    optuna.create_study(storage=url, study_name="study")
    assert indices(open_storage(url, "read")) == set()
    for _ in range(2):
        assert indices(open_storage(url, "write")) == NAMES
    study = optuna.load_study(storage=url, study_name="study")
    study.optimize(lambda trial: trial.suggest_float("x", 0, 1), n_trials=2)
    assert len(study.trials) == 2


def instructions(storage: Storage, use: Callable[[], Any]) -> int:
    """How many hundreds SQLite's machine executes for it."""
    taken = [0]

    def step() -> None:
        taken[0] += 1

    def watch(connection: sa.Connection) -> None:
        connection.connection.driver_connection.set_progress_handler(step, 100)

    sa.event.listen(storage.engine, "engine_connect", watch)
    use()
    sa.event.remove(storage.engine, "engine_connect", watch)
    return taken[0]


def test_what_a_worker_asks_takes_no_longer_in_a_longer_study(tmp_path):
    """A new trial, how many there are, which are orphans: of a few trials, not of all."""
    taken = []
    for count in (100, 4_000):
        storage = file_storage(tmp_path / f"{count}.db")
        rows = [
            {"trial_id": n, "number": n - 1, "study_id": 1, "state": COMPLETE}
            for n in range(1, count + 1)
        ]
        attrs = [
            {"trial_id": n, "key": key, "value_json": "1"}
            for n in range(1, count + 1)
            for key in ("key", "epochs", *([FREE] if n < 10 else []))
        ]
        with storage.engine.begin() as connection:
            connection.execute(sa.insert(TRIALS), rows)
            connection.execute(sa.insert(USER_ATTRS), attrs)
        storage.owner = "me"
        uses = (
            lambda storage=storage: storage.next_trial(1, budget=10**6),
            lambda storage=storage: storage.unfinished(1),
            lambda storage=storage: storage.requeue_orphans(1),
        )
        taken.append([instructions(storage, use) for use in uses])
    short, long = taken
    assert all(one <= other + 3 for one, other in zip(long, short, strict=True))
