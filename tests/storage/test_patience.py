"""A server that goes away is waited for, and nothing is lost or done twice by that."""

import logging
import os
import re
import signal
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import sqlalchemy as sa
from optuna.study import StudyDirection

import nasopt
from nasopt import Interrupted
from nasopt.errors import StorageError, Unavailable
from nasopt.search.search import Search
from nasopt.storage.leases import Owner
from nasopt.storage.ledger import Ledger
from nasopt.storage.opening import locks_of, open_storage
from nasopt.storage.owners import Lost
from nasopt.storage.patience import patience_seconds, waiting_for_servers
from nasopt.storage.rdb import Storage
from nasopt.training.evaluation import EpochResult
from tests.cluster import Cluster
from tests.examples import small
from tests.proxy import Proxy
from tests.storage.studies import COMPLETE, DISTRIBUTIONS, PARAMS, RUNNING
from tests.storage.test_locks import ask, holder
from tests.trials import told

WAITED = re.compile(r"storage: .*; it is waited for, up to \S+ \S+ \(--patience\)")


@pytest.fixture(scope="module")
def proxy(cluster: Cluster) -> Iterator[Proxy]:
    made = Proxy(cluster.port)
    yield made
    made.close()


@pytest.fixture(scope="module")
def shared(proxy: Proxy, postgresql: Callable[[], str]) -> Iterator[Storage]:
    opened = open_storage(proxy.url(postgresql()))
    opened.owner = "me"
    yield opened
    opened.engine.dispose()


@pytest.fixture
def server(cluster: Cluster) -> Iterator[Cluster]:
    """The tests' server, which may be stopped."""
    yield cluster
    if cluster.server.poll() is not None:
        cluster.start()


def result(epoch: int) -> EpochResult:
    return EpochResult(epoch, 0.5, 1.0, 1.0, 0.25, "cpu", "2.0")


# a commit whose request or answer is lost: each as if nothing had happened


WRITES: dict[str, Callable[[Storage, int], Any]] = {
    "begin": lambda storage, trial_id: storage.begin(
        trial_id, PARAMS, DISTRIBUTIONS, user_attrs={"a": 1}, constraints={"b": 1.0}
    ),
    "report": lambda storage, trial_id: storage.set_trial_intermediate_value(trial_id, 1, 0.9),
    "user attribute": lambda storage, trial_id: storage.set_trial_user_attr(trial_id, "a", 1),
    "finish": lambda storage, trial_id: storage.finish(trial_id, COMPLETE, [0.9], {"a": 1}, {2: 1}),
    "requeue": lambda storage, trial_id: storage.requeue(trial_id),
    "parameters asked for": lambda storage, trial_id: storage.ask_for_params(trial_id),
}


def seen(storage: Storage, trial_id: int) -> Any:
    trial = storage.get_trial(trial_id)
    return trial.state, trial.params, trial.values, trial.user_attrs, trial.intermediate_values


@pytest.mark.parametrize("lost", ["request", "answer"])
@pytest.mark.parametrize("write", WRITES)
def test_a_write_whose_connection_dies_at_its_commit_is_made_once(shared, proxy, write, lost):
    study_id = shared.create_new_study([StudyDirection.MAXIMIZE])
    undisturbed, disturbed = shared.next_trial(study_id, 2), shared.next_trial(study_id, 2)
    expected = WRITES[write](shared, undisturbed)
    before = proxy.cuts
    with waiting_for_servers():
        proxy.cut = lost
        assert WRITES[write](shared, disturbed) == expected
    assert proxy.cuts == before + 1
    assert seen(shared, disturbed) == seen(shared, undisturbed)


@pytest.mark.parametrize("lost", ["request", "answer"])
@pytest.mark.parametrize("waits", [False, True])
def test_a_claim_whose_connection_dies_at_its_commit_is_one_trial(shared, proxy, waits, lost):
    study_id = shared.create_new_study([StudyDirection.MAXIMIZE])
    if waits:
        shared.requeue(shared.next_trial(study_id, 1))
    with waiting_for_servers():
        proxy.cut = lost
        claimed = shared.next_trial(study_id, 2)
    assert proxy.cut is None
    (trial,) = shared.get_all_trials(study_id)
    assert (trial._trial_id, trial.state) == (claimed, RUNNING)


def test_who_told_a_trial_twice_is_lost_as_ever(shared):
    study_id = shared.create_new_study([StudyDirection.MAXIMIZE])
    trial_id = shared.next_trial(study_id, 1)
    assert shared.finish(trial_id, COMPLETE, [0.5], {})
    with waiting_for_servers(), pytest.raises(Lost):
        shared.finish(trial_id, COMPLETE, [0.5], {})


@pytest.mark.parametrize("lost", ["request", "answer"])
def test_an_epoch_whose_connection_dies_at_its_commit_is_recorded_once(
    shared, proxy, tmp_path, lost
):
    ledger = Ledger(shared.engine, tmp_path)
    experiment = small(seed=["request", "answer"].index(lost))
    evaluation = experiment.sample(1, 0)[0]
    with waiting_for_servers():
        proxy.cut = lost
        ledger.append(evaluation, result(1))
        ledger.append(evaluation, result(2))
    assert ledger.results(evaluation.key) == [result(1), result(2)]


def test_outside_of_a_search_nobody_waits(shared, proxy):
    study_id = shared.create_new_study([StudyDirection.MAXIMIZE])
    proxy.cut = "request"
    with pytest.raises(Unavailable):
        shared.next_trial(study_id, 1)


# a server that stops in mid study


class Outage:
    """Stops a server as the third trial ends, without a word, and starts it a while later."""

    def __init__(self, server: Cluster, seconds: float | None) -> None:
        self.server = server
        self.seconds = seconds
        self.ended = 0

    def __call__(self, study: Any, trial: Any) -> None:
        self.ended += 1
        if self.ended != 3:
            return
        self.server.stop(signal.SIGQUIT)
        if self.seconds is not None:
            threading.Timer(self.seconds, self.server.start).start()


def lines(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [each.getMessage() for each in caplog.records if each.levelno >= logging.WARNING]


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Any:
    path = tmp_path_factory.mktemp("whole") / "x.db"
    return told(nasopt.run(small(), sampler="random", storage=path, device="cpu"))


def test_a_study_whose_server_is_killed_for_a_while_equals_the_undisturbed_one(
    server, tmp_path, monkeypatch, caplog, whole
):
    monkeypatch.chdir(tmp_path)
    url, outage = server.new(), Outage(server, 1.0)
    study = nasopt.run(small(), sampler="random", storage=url, device="cpu", callbacks=[outage])
    assert told(study) == whole
    (line,) = lines(caplog)
    assert WAITED.fullmatch(line)
    assert line.endswith("up to 10 min (--patience)")


def test_when_patience_ends_it_says_so_and_the_same_call_goes_on(
    server, tmp_path, monkeypatch, caplog, whole
):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("NASOPT_PATIENCE", "0.5")
    url, given = server.new(), {"sampler": "random", "device": "cpu"}
    with pytest.raises(StorageError) as ended:
        nasopt.run(small(), storage=url, callbacks=[Outage(server, None)], **given)
    after = "; not back after 0.5 s (--patience); see to the server and run the same command again"
    assert str(ended.value).startswith("storage: ")
    assert str(ended.value).endswith(after)
    assert len(lines(caplog)) == 1
    server.start()
    assert told(nasopt.run(small(), storage=url, **given)) == whole


def test_a_signal_ends_the_waiting(server, tmp_path, monkeypatch, caplog):
    monkeypatch.chdir(tmp_path)

    class Stop(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            os.kill(os.getpid(), signal.SIGUSR1)

    search = Search(
        small(), sampler="random", storage=server.new(), device="cpu",
        callbacks=[Outage(server, None)],
    )  # fmt: skip
    stop = Stop(logging.WARNING)
    logging.getLogger("nasopt").addHandler(stop)
    try:
        with pytest.raises(Interrupted, match="stopped by SIGUSR1"):
            for _ in search:
                pass
    finally:
        logging.getLogger("nasopt").removeHandler(stop)


def test_what_was_lost_with_the_server_is_held_again(server):
    url = server.new()
    locks = locks_of(open_storage(url))
    assert locks.take("mine")
    server.restart()
    with waiting_for_servers():
        assert locks.take("more")
    with holder(url) as other:
        assert ask(other, "take", "mine") == "False"
        locks.release("mine")
        assert ask(other, "take", "mine") == "True"


def test_nobody_is_taken_for_dead_who_was_silent_while_the_server_was_away(server, tmp_path):
    url = server.new()
    storage = open_storage(url)
    study_id = storage.create_new_study([StudyDirection.MAXIMIZE])
    with waiting_for_servers(), Owner(storage.engine, tmp_path / "elsewhere") as owner:
        storage.owner = owner.token
        storage.next_trial(study_id, 1)
        with storage.engine.begin() as connection:
            connection.execute(sa.text("UPDATE nasopt_workers SET seen = seen - 900, host = 'far'"))
        server.restart()
        another = open_storage(url)
        assert another.requeue_orphans(study_id) == []


@pytest.mark.parametrize("given", ["soon", "-1", "inf"])
def test_a_patience_that_is_no_time_is_refused(monkeypatch, given):
    monkeypatch.setenv("NASOPT_PATIENCE", given)
    with pytest.raises(StorageError, match=f"NASOPT_PATIENCE={given}: use a number of seconds"):
        patience_seconds()
