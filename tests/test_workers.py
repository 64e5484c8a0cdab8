"""`nasopt.workers`, and the verbs that use it: several processes at one piece of work."""

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import optuna
import pytest
import torch

from nasopt.cli import main
from nasopt.errors import StudyError
from nasopt.workers import beside, check_workers
from tests.test_cli import STUDY
from tests.test_worker import counted, told

LONG = STUDY.replace("epochs=2", "epochs=100_000").replace("trials=4", "trials=2")
SAMPLERS = ["random", "tpe", "evolution"]


@pytest.fixture
def study(tmp_path, monkeypatch) -> Path:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "mine.py"
    path.write_text(STUDY)
    return path


def note(folder: Path) -> int:
    """What a further worker does here: leave its process id and its share of the threads."""
    (folder / str(os.getpid())).write_text(str(torch.get_num_threads()))
    return 0


def fail(folder: Path) -> int:
    note(folder)
    return 3


def wait(folder: Path) -> int:
    note(folder)
    signal.pause()
    return 0


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
    with beside(note, tmp_path, 3):
        pass
    assert len(list(tmp_path.iterdir())) == 2
    assert str(os.getpid()) not in {path.name for path in tmp_path.iterdir()}


def test_one_worker_needs_no_process(tmp_path):
    with beside(note, tmp_path, 1):
        pass
    assert list(tmp_path.iterdir()) == []


def test_workers_divide_the_threads_among_them(tmp_path, monkeypatch):
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    threads = torch.get_num_threads()
    torch.set_num_threads(6)
    try:
        with beside(note, tmp_path, 3):
            assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(threads)
    assert [path.read_text() for path in tmp_path.iterdir()] == ["2", "2"]


def test_threads_that_the_user_has_set_stay(tmp_path, monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    threads = torch.get_num_threads()
    with beside(note, tmp_path, 2):
        assert torch.get_num_threads() == threads


def test_that_a_worker_failed_is_told(tmp_path, caplog):
    with beside(fail, tmp_path, 2):
        pass
    assert "a worker ended early, with exit code 3" in caplog.text


def test_workers_are_stopped_where_the_block_fails(tmp_path):
    def block() -> None:
        with beside(wait, tmp_path, 2):
            while not list(tmp_path.iterdir()):
                pass
            raise ValueError("of the block")

    with pytest.raises(ValueError, match="of the block"):
        block()
    (worker,) = (int(path.name) for path in tmp_path.iterdir())
    assert not lives(worker)


@pytest.mark.parametrize("workers", [0, -1])
def test_there_is_at_least_one_worker(workers):
    with pytest.raises(StudyError, match=rf"^workers={workers}: use a whole number from 1$"):
        check_workers(workers)


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


def test_a_run_outlives_one_of_its_workers(long_run):
    process, other = long_run
    os.kill(other, signal.SIGKILL)
    ends(other)
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=60)
    assert process.returncode == 130
