import json
import os
import signal
import subprocess
import sys
from functools import partial
from pathlib import Path

import pytest

from nasopt.cli.main import main
from tests.examples import STUDY
from tests.forked import Forked


@pytest.mark.parametrize(("signum", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_stopped_run_says_how_to_go_on_and_leaves_nothing_running(study, signum, code, capsys):
    study.write_text(STUDY.replace("epochs=2", "epochs=100_000").replace("trials=4", "trials=2"))
    words = ["run", "mine.py", "--device", "cpu", "--json"]
    running = Forked(partial(main, words), stderr=subprocess.PIPE, stdout=subprocess.PIPE)
    database = Path("runs/mine.db")
    while not _epochs(database):
        assert running.poll() is None
    running.send_signal(signum)
    _, err = running.communicate(timeout=60)
    assert running.returncode == code
    assert err.splitlines()[-1].startswith(f"nasopt: stopped by {signal.Signals(signum).name}; ")
    assert main(["show", "runs/mine.db", "--studies", "--json"]) == 0
    (summary,) = json.loads(capsys.readouterr().out)
    assert (summary["running"], summary["queued"]) == (0, 1)


def _epochs(database: Path) -> int:
    import sqlite3
    from contextlib import closing

    if not database.exists():
        return 0
    try:
        with closing(sqlite3.connect(database, timeout=60)) as connection:
            return connection.execute("SELECT count(*) FROM nasopt_epochs").fetchone()[0]
    except sqlite3.OperationalError:  # the table is not made yet
        return 0


def test_a_search_whose_reader_goes_says_that_it_stopped(study):
    """`nasopt run mine.py | head -1`: what is left undone is told, where somebody sees it."""
    command = [sys.executable, "-m", "nasopt", "run", "mine.py", "--device", "cpu"]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as running:
        assert running.stdout is not None
        assert running.stderr is not None
        assert running.stdout.readline().startswith("[1/4] trial 0")
        running.stdout.close()
        said = running.stderr.read()
    assert said == (
        "nasopt: stopped: nothing reads the output any more; the same command goes on\n"
    )
    assert running.returncode == 128 + signal.SIGPIPE
    assert main(["run", "mine.py", "--device", "cpu"]) == 0


def test_a_pipe_that_closes_early_is_no_error(study):
    main(["run", "mine.py", "--device", "cpu"])
    read, write = os.pipe()
    os.close(read)
    command = [sys.executable, "-m", "nasopt", "show", "runs/mine.db"]
    done = subprocess.run(command, stdout=write, stderr=subprocess.PIPE, text=True)
    os.close(write)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("name", ["SIGTERM", "SIGUSR1"])
@pytest.mark.parametrize("verb", ["run", "finals"])
def test_a_signal_before_anything_is_trained_is_told_as_well(study, capsys, verb, name):
    """While the study file or its images are read, say: as Ctrl-C is."""
    signum = signal.Signals[name]
    before = signal.getsignal(signum)
    study.write_text(f"import os, signal\nos.kill(os.getpid(), signal.{name})\n")
    assert main([verb, "mine.py", "--device", "cpu"]) == 128 + signum
    assert capsys.readouterr().err == f"nasopt: stopped by {name}; the same command goes on\n"
    assert signal.getsignal(signum) == before


def test_a_small_answer_to_a_pipe_that_is_closed_is_no_error(study):
    """`nasopt show DB --json | jq` where there is no jq: what is printed last is flushed last."""
    assert main(["run", "mine.py", "--device", "cpu"]) == 0
    read, write = os.pipe()
    os.close(read)
    command = [sys.executable, "-m", "nasopt", "show", "runs/mine.db", "--json"]
    done = subprocess.run(command, stdout=write, stderr=subprocess.PIPE, text=True)
    os.close(write)
    assert (done.returncode, done.stderr) == (0, "")
