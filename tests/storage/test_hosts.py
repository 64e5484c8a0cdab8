"""Several hosts at one database: who is dead is taken over from, who lives is left alone."""

import signal
import time
from pathlib import Path
from typing import Any

import optuna
import pytest

from nasopt.storage.leases import WORKERS
from nasopt.storage.opening import open_storage
from tests.cluster import Cluster
from tests.hosts import (
    IN_HAND,
    Host,
    ended,
    stop_in_mid_trial,
    study_file,
    wait_for,
)

TRIALS = 5
TRAINS = (
    "SELECT trial_id FROM trials JOIN trial_intermediate_values USING (trial_id) "
    "WHERE state = 'RUNNING'"
)
BOTH_TRAIN = "SELECT 1 WHERE (SELECT count(*) FROM trials WHERE state = 'RUNNING') = 2"
RUN = ("--sampler", "random", "--device", "cpu", "--storage")


def told(location: str) -> dict[str, list[Any]]:
    """Study -> what each of its trials tried and gave."""
    storage = open_storage(location, "read")
    return {
        study.study_name: [
            (t.number, t.params, t.values, t.intermediate_values, t.state.name)
            for t in optuna.load_study(study_name=study.study_name, storage=storage).trials
        ]
        for study in storage.get_all_studies()
    }


def order(location: str) -> list[int]:
    """The trials of the only study in the order in which they ended."""
    (study,) = open_storage(location, "read").get_all_studies()
    trials = open_storage(location, "read").get_all_trials(study._study_id)
    return [each.number for each in sorted(trials, key=lambda t: str(t.datetime_complete))]


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> str:
    return study_file(tmp_path_factory.mktemp("studies"), TRIALS)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory, study: str) -> dict[str, list[Any]]:
    """The study of one worker that nothing disturbed."""
    folder = tmp_path_factory.mktemp("whole")
    location = str(folder / "whole.db")
    Host(folder, "whole").run("run", study, *RUN, location)
    return told(location)


def workers(location: str) -> int:
    with open_storage(location, "read").engine.connect() as connection:
        return len(connection.execute(WORKERS.select()).all())


def test_a_container_that_starts_again_under_another_name_goes_on_at_once(tmp_path, study, whole):
    location = str(tmp_path / "data" / "x.db")
    before, after = (
        Host(tmp_path / "a", "before", NASOPT_TAKEOVER="3000"),
        Host(tmp_path / "b", "now"),
    )
    before.die("run", study, *RUN, location)
    _, said = after.run("run", study, *RUN, location)
    assert "was left by a worker that died; it goes on" in said
    assert told(location) == whole
    assert order(location) == list(range(TRIALS))
    assert workers(location) == 0
    assert [each.name for each in Path(f"{location}.leases").iterdir()] == ["locks"]


def undisturbed(first: Host, second: Host, study: str, url: str) -> None:
    """Both work at one study, and neither takes anything from the other, nor trains it again."""
    both = [host.start("run", study, *RUN, url) for host in (first, second)]
    (ours, said), (theirs, also) = (ended(each) for each in both)
    for text in (said, also):
        assert "was left by a worker" not in text
        assert "another worker took" not in text
    assert len({*ours, *theirs}) == len(ours + theirs) == TRIALS
    assert workers(url) == 0


@pytest.mark.long
def test_twins_with_folders_of_their_own_leave_each_other_alone(tmp_path, study, postgresql):
    undisturbed(Host(tmp_path / "a", "twin"), Host(tmp_path / "b", "twin"), study, postgresql())


def test_a_clock_ahead_steals_nothing(tmp_path, study, postgresql):
    ahead = Host(tmp_path / "b", "ahead", ahead=660.0)
    undisturbed(Host(tmp_path / "a", "right"), ahead, study, postgresql())


@pytest.mark.parametrize(
    "names", [("gone", "here"), pytest.param(("twin", "twin"), marks=pytest.mark.long)]
)
def test_what_a_dead_host_had_in_hand_goes_on_when_it_was_silent(
    tmp_path, study, whole, postgresql, names
):
    url = postgresql()
    gone = Host(tmp_path / "a", names[0], ahead=-660.0, NASOPT_TAKEOVER="2")
    gone.die("run", study, *RUN, url)
    here = Host(tmp_path / "b", names[1], ahead=660.0, NASOPT_TAKEOVER="10")
    _, said = here.run("run", study, *RUN, url)
    assert "was left by a worker that died; it goes on" in said
    assert told(url) == whole
    here.run("run", study, *RUN, url)  # which forgets the dead as it begins
    assert workers(url) == 0


@pytest.mark.long
def test_a_dead_worker_of_this_host_is_known_at_once_with_a_server_too(
    tmp_path, study, whole, postgresql
):
    url = postgresql()
    here = Host(tmp_path / "a", "here", NASOPT_TAKEOVER="3000")
    here.die("run", study, *RUN, url)
    here.run("run", study, *RUN, url)
    assert told(url) == whole
    assert order(url) == list(range(TRIALS))


@pytest.mark.long
def test_two_hosts_compare_as_one(tmp_path, postgresql):
    study = study_file(tmp_path / "studies", TRIALS, epochs=5)
    words = ("compare", study, "--samplers", "random,tpe", "--seeds", "2", "--trials", "2")
    options = ("--replicates", "1", "--device", "cpu", "--storage")
    alone = str(tmp_path / "alone.db")
    url = postgresql()
    once, _ = Host(tmp_path / "alone", "alone").run(*words, *options, alone)
    first, second = (Host(tmp_path / name, name) for name in ("a", "b"))
    slow = first.start(*words, *options, url)
    stop_in_mid_trial(slow, url, TRAINS)
    other = second.start(*words, *options, url)
    wait_for(other, url, BOTH_TRAIN)
    slow.send_signal(signal.SIGCONT)
    (ours, _), (theirs, _) = ended(slow), ended(other)
    assert len(ours + theirs) == len(once)
    assert {*ours, *theirs} == set(once)
    assert told(url) == told(alone)


@pytest.mark.long
@pytest.mark.parametrize("seconds", [5, 60])
def test_a_server_that_is_killed_in_mid_study_costs_nothing_but_time(tmp_path, study, seconds):
    server = Cluster()
    try:
        url, hosts = server.new(), [Host(tmp_path / name, name) for name in ("a", "b")]
        both = [host.start("run", study, *RUN, url, "--trials", "30") for host in hosts]
        wait_for(both[0], url, IN_HAND)
        server.stop(signal.SIGQUIT)
        time.sleep(seconds)
        server.start()
        for said in [ended(each)[1] for each in both]:
            assert said.count("it is waited for") <= 1
            assert "another worker took" not in said
        found = open_storage(url).get_all_trials(1)
        assert sum("free" not in each.user_attrs for each in found) == 30
        assert {each.state.name for each in found} == {"COMPLETE"}
        batches = [batch for host in hosts for batch in host.batches()]
        assert len(batches) == len(set(batches)) > 0
        assert workers(url) == 0
    finally:
        server.close()
