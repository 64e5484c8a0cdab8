"""`nasopt.search.processes`, and the verbs that use it: several processes at one piece of work."""

import itertools
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from multiprocessing.context import SpawnProcess
from pathlib import Path

import optuna
import pytest
import torch

from nasopt.cli.main import main
from nasopt.errors import StorageError, StudyError
from nasopt.search import processes
from nasopt.search.comparison import Comparison
from nasopt.search.loading import load_experiment
from nasopt.search.processes import share_cores, worker_processes
from nasopt.search.search import Search
from tests.crew import be_killed, be_killed_three_times, fail, note, wait
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


def test_the_block_is_one_of_the_workers(tmp_path):
    with worker_processes(note, tmp_path, 3):
        pass
    assert len(list(tmp_path.iterdir())) == 2
    assert str(os.getpid()) not in {path.name for path in tmp_path.iterdir()}


def test_one_worker_needs_no_process(tmp_path):
    with worker_processes(note, tmp_path, 1):
        pass
    assert list(tmp_path.iterdir()) == []


@pytest.fixture
def six_cores(machine_of) -> None:
    machine_of(6)


@pytest.mark.usefixtures("six_cores")
def test_workers_divide_the_cores_among_them(tmp_path):
    assert share_cores(3) == 3
    with worker_processes(note, tmp_path, 3):
        assert torch.get_num_threads() == 2
    assert [path.read_text() for path in tmp_path.iterdir()] == ["2", "2"]


@pytest.mark.usefixtures("six_cores")
def test_one_worker_has_all_cores():
    assert share_cores(1) == 1
    assert torch.get_num_threads() == 6


@pytest.mark.usefixtures("six_cores")
def test_there_are_no_more_workers_than_cores_and_that_is_told(caplog):
    assert share_cores(64) == 6
    assert caplog.messages == [
        "workers=64: 6 cores are free to this process; more workers than that would only wait for "
        "each other, so no more are begun"
    ]
    assert torch.get_num_threads() == 1


@pytest.mark.usefixtures("six_cores")
def test_threads_that_the_user_has_set_stay(monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "6")
    assert share_cores(2) == 2
    assert torch.get_num_threads() == 6


def test_that_a_worker_failed_is_told(tmp_path, caplog):
    with worker_processes(fail, tmp_path, 2):
        pass
    assert caplog.messages == ["a worker ended early, exit code 3"]
    assert len(list(tmp_path.iterdir())) == 1


def test_a_worker_that_fails_is_not_replaced_while_the_block_runs(tmp_path, caplog):
    with worker_processes(fail, tmp_path, 2):
        while not caplog.messages:
            time.sleep(0.05)
    assert len(list(tmp_path.iterdir())) == 1


def test_a_worker_that_is_killed_is_replaced_and_that_is_told_at_once(
    tmp_path, monkeypatch, caplog
):
    monkeypatch.setattr(processes, "REPLACEMENTS_IN_A_ROW", 2)
    trials = itertools.count()
    with worker_processes(be_killed_three_times, tmp_path, 2, lambda: next(trials)):
        while len(list(tmp_path.iterdir())) < 4:
            time.sleep(0.05)
        told = list(caplog.messages)
    assert told == ["a worker was killed by SIGKILL; another takes its place"] * 3


def test_workers_that_die_again_and_again_are_given_up_where_no_trial_ends(
    tmp_path, monkeypatch, caplog
):
    monkeypatch.setattr(processes, "REPLACEMENTS_IN_A_ROW", 2)
    answers = iter([7, 7])

    def ended() -> int:
        for answer in answers:
            return answer
        raise StorageError("storage: gone")  # what cannot be read is no progress

    with worker_processes(be_killed, tmp_path, 2, ended):
        while not any("not replaced" in message for message in caplog.messages):
            time.sleep(0.05)
    assert len(list(tmp_path.iterdir())) == 3
    assert caplog.messages[-1] == (
        "a worker was killed by SIGKILL; 3 were, and no trial ended in between: it is not replaced"
    )
    assert len(caplog.messages) == 3


def test_workers_are_stopped_where_the_block_fails(tmp_path):
    def block() -> None:
        with worker_processes(wait, tmp_path, 2):
            while not list(tmp_path.iterdir()):
                pass
            raise ValueError("of the block")

    with pytest.raises(ValueError, match="of the block"):
        block()
    (worker,) = (int(path.name) for path in tmp_path.iterdir())
    assert not lives(worker)


@pytest.mark.parametrize("count", [0, -1])
def test_there_is_at_least_one_worker(count):
    with pytest.raises(StudyError, match=rf"^workers={count}: use a whole number from 1$"):
        share_cores(count)


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
def long_run(study) -> Iterator[tuple[subprocess.Popen[str], int]]:
    """Two workers, each in a trial that does not end: the first, and the id of the other."""
    study.write_text(LONG)
    words = ["run", "mine.py", "--device", "cpu", "--workers", "2"]
    command = [sys.executable, "-m", "nasopt", *words]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        while _running() < 2:
            assert process.poll() is None
        children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
        (other,) = (
            int(child)
            for child in children
            if "spawn_main" in Path(f"/proc/{child}/cmdline").read_text()
        )
        try:
            yield process, other
        finally:
            process.kill()
            if lives(other):
                os.kill(other, signal.SIGKILL)


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


@pytest.mark.parametrize("of_terminal", [False, True])
def test_a_signal_stops_all_workers_and_both_trials_wait(long_run, of_terminal):
    process, other = long_run
    signum = signal.SIGINT if of_terminal else signal.SIGTERM
    if of_terminal:  # which sends its Ctrl-C to all processes of the command
        os.kill(other, signum)
    process.send_signal(signum)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 128 + signum
    assert err == f"nasopt: stopped by {signum.name}; the same command goes on\n"
    assert not lives(other)
    assert _states() == ["WAITING", "WAITING"]


def test_workers_end_when_the_first_is_killed(long_run):
    process, other = long_run
    process.kill()
    process.wait()
    ends(other)
    assert sorted(_states()) == ["RUNNING", "WAITING"]  # the killed one's is found by the next run


def test_a_killed_worker_is_replaced_and_its_trial_goes_on(long_run):
    process, other = long_run
    os.kill(other, signal.SIGKILL)
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
        os.killpg(process.pid, signal.SIGINT)
        _, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert err == "nasopt: stopped by SIGINT; the same command goes on\n"


@pytest.fixture
def no_process(monkeypatch) -> None:
    def start(self: SpawnProcess) -> None:
        pytest.fail("a process was started")

    monkeypatch.setattr(SpawnProcess, "start", start)


@pytest.mark.usefixtures("no_process")
@pytest.mark.parametrize(
    "words",
    [
        ["run", "mine.py", "--trials", "1"],
        ["compare", "mine.py", "--samplers", "random", "--seeds", "1", "--replicates", "0"],
    ],
)
def test_there_are_no_more_workers_than_there_is_left_to_do(study, capsys, words):
    assert main([*words, "--device", "cpu", "--workers", "2"]) == 0
    assert main([*words, "--device", "cpu", "--workers", "2"]) == 0
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
