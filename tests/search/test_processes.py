"""`nasopt.search.processes`, and the verbs that use it: several processes at one piece of work."""

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from multiprocessing import forkserver
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import optuna
import pytest

from nasopt.cli.main import main
from nasopt.errors import StudyError
from nasopt.search import processes
from nasopt.search.comparison import Comparison
from nasopt.search.loading import load_experiment
from nasopt.search.processes import Crew, News
from nasopt.search.search import Search
from nasopt.search.working import Begun, Ended, Killed
from tests.crew import (
    be_killed,
    be_killed_after_its_server,
    be_killed_three_times,
    be_killed_with_a_child_that_lives_on,
    die_in_a_word,
    leave,
    log_and_fail,
    note,
    two_of_whom_one_ends,
    wait,
)
from tests.examples import STUDY, study_file
from tests.trials import counted, told

LONG = STUDY.replace("epochs=2", "epochs=100_000").replace("trials=4", "trials=2")
SAMPLERS = ["random", "tpe", "evolution"]


@pytest.fixture
def study(tmp_path, monkeypatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return study_file(tmp_path)


def lives(pid: int) -> bool:
    try:
        status = Path(f"/proc/{pid}/stat").read_text()
    except FileNotFoundError:
        return False
    return status.rpartition(")")[2].split()[0] != "Z"  # that one only waits for its parent


def ends(pid: int) -> None:
    """Wait for it: a test that hangs is stopped by the time that CI has."""
    while lives(pid):
        time.sleep(0.05)


def ran(work: Any, folder: Path, workers: int = 1) -> list[News]:
    return list(Crew(work, [folder] * workers))


def test_workers_are_processes_of_their_own_that_tell_how_it_goes(tmp_path):
    news = ran(note, tmp_path, 2)
    assert len(list(tmp_path.iterdir())) == 2
    assert not (tmp_path / str(os.getpid())).exists()
    for number in (0, 1):
        assert [said for by, said in news if by == number] == [Begun("here"), Ended()]


def test_a_worker_that_is_killed_is_replaced_and_that_is_told(tmp_path, caplog):
    ran(be_killed_three_times, tmp_path)
    assert len(list(tmp_path.iterdir())) == 4
    assert caplog.messages == ["a worker was killed by SIGKILL; another takes its place"] * 3


def test_a_worker_is_replaced_whose_own_child_processes_live_on(tmp_path, caplog):
    try:
        news = ran(be_killed_with_a_child_that_lives_on, tmp_path)
    finally:
        (tmp_path / "over").touch()
    assert [said for _, said in news] == [Begun("here"), Killed("SIGKILL"), Begun("here"), Ended()]


def test_each_of_several_workers_in_a_process_has_a_number_of_its_own(tmp_path, caplog):
    (tmp_path / "killed").touch()
    news = list(Crew(two_of_whom_one_ends, [tmp_path, tmp_path], [2, 2]))
    for first, second in ((0, 1), (2, 3)):
        assert [said for by, said in news if by == first] == [Begun("here"), Ended()]
        assert [said for by, said in news if by == second] == [Begun("here"), "at work", Ended()]
    assert caplog.messages == []


def test_a_process_is_replaced_as_long_as_one_of_its_workers_has_not_ended(tmp_path, caplog):
    news = list(Crew(two_of_whom_one_ends, [tmp_path], [2]))
    assert caplog.messages == ["a worker was killed by SIGKILL; another takes its place"]
    first, second = ([said for by, said in news if by == worker] for worker in (0, 1))
    assert first == [Begun("here"), Ended()] * 2
    ended = [Begun("here"), "at work", Killed("SIGKILL"), Begun("here"), "at work", Ended()]
    assert second == ended


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere workers are no forks")
def test_a_worker_is_replaced_where_nobody_knows_how_it_died(tmp_path, caplog):
    ran(be_killed_after_its_server, tmp_path)
    assert len(list(tmp_path.iterdir())) == 2
    assert caplog.messages == ["a worker was killed by an unknown signal; another takes its place"]


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere workers are no forks")
def test_a_worker_is_begun_while_the_server_that_forks_it_is_dying(tmp_path):
    ran(note, tmp_path)
    server = forkserver._forkserver
    os.kill(server._forkserver_pid, signal.SIGKILL)
    os.waitpid(server._forkserver_pid, 0)
    # its address is gone, but it is not dead yet
    server._forkserver_pid = os.spawnlp(os.P_NOWAIT, "sleep", "sleep", "0.5")
    assert [said for _, said in ran(note, tmp_path)] == [Begun("here"), Ended()]


def test_workers_that_die_again_and_again_are_given_up_where_no_trial_ends(
    tmp_path, monkeypatch, caplog
):
    monkeypatch.setattr(processes, "REPLACEMENTS_IN_A_ROW", 2)
    with pytest.raises(StudyError, match=r"^workers: 3 in a row were killed, the last by SIGKILL"):
        ran(be_killed, tmp_path)
    assert len(list(tmp_path.iterdir())) == 3


def test_a_word_that_death_cuts_off_is_not_heard_and_stops_nobody(tmp_path):
    news = [said for _, said in ran(die_in_a_word, tmp_path) if not isinstance(said, bytes)]
    assert news == [Begun("here"), Killed("SIGALRM"), Begun("here"), Ended()]


def test_a_worker_that_leaves_is_not_replaced(tmp_path, caplog):
    with pytest.raises(RuntimeError, match="no worker is left: it left with exit code 3"):
        ran(leave, tmp_path)
    assert caplog.messages == ["a worker ended early: it left with exit code 3"]


def test_the_error_of_all_workers_is_that_of_the_work(tmp_path, caplog):
    with pytest.raises(StudyError, match=r"^field=1: use 2$"):
        ran(log_and_fail, tmp_path, 2)
    assert sorted(caplog.messages) == ["a line"] * 2 + ["a worker ended early: field=1: use 2"]


def test_a_bug_in_a_worker_keeps_its_traceback(tmp_path, capfd):
    (tmp_path / "bug").touch()
    with pytest.raises(RuntimeError, match="ZeroDivisionError: of ours"):
        ran(log_and_fail, tmp_path)
    assert 'raise ZeroDivisionError("of ours")' in capfd.readouterr().err


def test_workers_are_stopped_where_nobody_listens_any_more(tmp_path):
    crew = Crew(wait, [tmp_path])
    news = iter(crew)
    assert next(news) == (0, Begun("here"))
    worker = crew.processes[0].pid
    assert worker is not None
    news.close()
    assert not lives(worker)


def test_a_run_by_two_workers_has_its_exact_budget(study, capfd):
    study.write_text(STUDY.replace("trials=4", "trials=8"))
    assert main(["run", "mine.py", "--device", "cpu", "--workers", "2"]) == 0
    out, err = capfd.readouterr()
    assert err == ""
    found = optuna.load_study(study_name="mine/surrogate/0", storage="sqlite:///runs/mine.db")
    assert len(counted(found)) == 8
    assert {trial.state.name for trial in found.trials} <= {"COMPLETE", "PRUNED"}
    lines = re.findall(r"^\[\d+/8\] trial (\d+):", out, flags=re.MULTILINE)
    assert sorted(map(int, lines)) == [trial.number for trial in found.trials]  # of all workers
    keys = [trial.user_attrs["key"] for trial in counted(found)]
    assert len(set(keys)) == len(keys)  # nothing was paid for twice


def test_a_comparison_by_two_workers_equals_that_by_one(study, tmp_path, capfd):
    words = ["compare", "mine.py", "--samplers", ",".join(SAMPLERS), "--seeds", "2"]
    words += ["--replicates", "1", "--device", "cpu"]
    assert main([*words, "--storage", "one.db"]) == 0
    alone = capfd.readouterr().out
    assert main([*words, "--storage", "two.db", "--workers", "2"]) == 0
    together, err = capfd.readouterr()
    assert err == ""
    names = [f"mine/{sampler}/{seed}" for seed in range(2) for sampler in SAMPLERS]
    for name in names:
        one, two = (
            optuna.load_study(study_name=name, storage=f"sqlite:///{database}.db")
            for database in ("one", "two")
        )
        assert told(one) == told(two)
        assert together.count(f"] {name}: ") >= 1
    tables = [out[out.index("mine: 6 studies") : out.index("Next:")] for out in (alone, together)]
    seconds = re.compile(r"[\d.]+ s\b")
    assert seconds.sub("", tables[0]) == seconds.sub("", tables[1])


def test_a_profile_is_of_one_worker(study, capsys):
    assert main(["run", "mine.py", "--workers", "2", "--profile"]) == 2
    assert capsys.readouterr().err == "nasopt: --profile: of one worker; leave out --workers\n"


@pytest.mark.parametrize("verb", ["run", "compare"])
def test_too_few_workers_are_refused_before_anything_is_made(study, capsys, verb):
    assert main([verb, "mine.py", "--workers", "0"]) == 2
    assert capsys.readouterr().err == "nasopt: workers=0: use a whole number from 1\n"
    assert not Path("runs").exists()


@pytest.fixture
def long_run(study) -> Iterator[tuple[subprocess.Popen[str], list[int]]]:
    """A command whose two workers are in trials that do not end, and their ids."""
    study.write_text(LONG)
    words = ["run", "mine.py", "--device", "cpu", "--workers", "2"]
    command = [sys.executable, "-m", "nasopt", *words]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        while _running() < 2:
            assert process.poll() is None
            time.sleep(0.05)
        try:
            yield process, workers_of(process.pid)
        finally:
            process.kill()  # at which the workers stop


def workers_of(process: int) -> list[int]:
    """The processes that search for a command: forks of a child of it."""
    servers = [
        child
        for child in children_of(process)
        if "forkserver" in Path(f"/proc/{child}/cmdline").read_text()
    ]
    return [worker for server in servers for worker in children_of(server)]


def children_of(process: int) -> list[int]:
    children = Path(f"/proc/{process}/task/{process}/children").read_text()
    return [int(child) for child in children.split()]


def _running() -> int:
    if not Path("runs/mine.db").exists():
        return 0
    try:
        study = optuna.load_study(study_name="mine/surrogate/0", storage="sqlite:///runs/mine.db")
        return sum(bool(trial.intermediate_values) for trial in study.trials)
    except (KeyError, optuna.exceptions.StorageInternalError):
        return 0


def _states() -> list[str]:
    study = optuna.load_study(study_name="mine/surrogate/0", storage="sqlite:///runs/mine.db")
    return [trial.state.name for trial in study.trials]


@pytest.mark.parametrize("of_terminal", [pytest.param(False, marks=pytest.mark.long), True])
def test_a_signal_stops_all_workers_and_both_trials_wait(long_run, of_terminal):
    process, workers = long_run
    assert len(workers) == 2
    signum = signal.SIGINT if of_terminal else signal.SIGTERM
    if of_terminal:  # which sends its Ctrl-C to all processes of the command
        for worker in workers:
            os.kill(worker, signum)
    process.send_signal(signum)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 128 + signum
    assert err == f"nasopt: stopped by {signum.name}; the same command goes on\n"
    assert not any(map(lives, workers))
    assert _states() == ["WAITING", "WAITING"]


def test_workers_give_their_trials_back_when_the_one_that_watches_is_killed(long_run):
    process, workers = long_run
    process.kill()
    process.wait()
    for worker in workers:
        ends(worker)
    assert _states() == ["WAITING", "WAITING"]


def test_a_killed_worker_is_replaced_and_its_trial_goes_on(long_run):
    process, workers = long_run
    os.kill(workers[1], signal.SIGKILL)
    assert process.stderr is not None
    line = process.stderr.readline()  # at once: the run has no end
    assert line == "nasopt: a worker was killed by SIGKILL; another takes its place\n"
    before = _epochs()
    while not all(now > then for now, then in zip(_epochs(), before, strict=True)):
        assert process.poll() is None
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert err.splitlines()[-1] == "nasopt: stopped by SIGINT; the same command goes on"
    assert _states() == ["WAITING", "WAITING"]


def _epochs() -> list[int]:
    study = optuna.load_study(study_name="mine/surrogate/0", storage="sqlite:///runs/mine.db")
    return [trial.last_step or 0 for trial in study.trials]


def test_the_ctrl_c_of_a_terminal_is_gentle_while_workers_are_starting(study):
    study.write_text(LONG)
    words = ["run", "mine.py", "--device", "cpu", "--workers", "2"]
    command = [sys.executable, "-m", "nasopt", *words]
    with subprocess.Popen(
        command, stderr=subprocess.PIPE, text=True, start_new_session=True
    ) as process:
        while _running() < 1:
            assert process.poll() is None
            time.sleep(0.05)
        os.killpg(process.pid, signal.SIGINT)
        _, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert err == "nasopt: stopped by SIGINT; the same command goes on\n"


@pytest.mark.parametrize(
    "words",
    [
        ["run", "mine.py", "--trials", "1"],
        ["compare", "mine.py", "--samplers", "random", "--seeds", "1", "--replicates", "0"],
    ],
)
def test_there_are_no_more_workers_than_there_is_left_to_do(study, capsys, monkeypatch, words):
    started = []
    start = BaseProcess.start

    def noted(self: BaseProcess) -> None:
        started.append(self)
        start(self)

    monkeypatch.setattr(BaseProcess, "start", noted)
    for _ in range(2):  # the second finds nothing to do
        assert main([*words, "--device", "cpu", "--workers", "2"]) == 0
        assert len(started) == 1
    assert capsys.readouterr().err == ""


def test_what_is_left_of_a_study_are_its_trials(study):
    search = Search(load_experiment(study), storage="x.db", device="cpu")
    assert search.left == 4
    progress = iter(search)
    while next(progress).done < 1:
        pass
    assert search.left == 3
    assert [each.done for each in progress][-1] == 4
    assert search.left == 0


def test_what_is_left_of_a_comparison_are_studies_or_winners(study):
    experiment = load_experiment(study)
    given = {"samplers": "random", "seeds": 2, "storage": "x.db", "device": "cpu"}
    comparison = Comparison(experiment, replicates=0, **given)
    assert comparison.left == 2
    for progress in comparison:
        if progress.number == 2:
            break
    assert comparison.left == 1
    for _ in comparison:
        pass
    assert comparison.left == 0
    again = Comparison(experiment, replicates=1, **given)
    winners = again.left
    assert winners > 0
    assert len([progress for progress in again if progress.again is not None]) == winners
    assert again.left == 0
