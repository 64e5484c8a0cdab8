"""Four processes write to one SQLite file while a dashboard reads it: no trial may be lost.

    python -m tests.stress --trials 2000

Each trial is claimed, begun with 62 parameters, reports ten times and is told. The dashboard is a
real optuna-dashboard, asked for the study all the while.
"""

import argparse
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections import Counter
from pathlib import Path

import optuna
from optuna.distributions import CategoricalDistribution
from optuna.trial import TrialState

from nasopt.storage.leases import Owner
from nasopt.storage.opening import folders, open_storage
from nasopt.storage.patience import waiting_for_servers

PARAMETERS = {f"conv{i:02}.filters": CategoricalDistribution((24, 36, 48, 64)) for i in range(62)}
REPORTS = 10
NAME = "stress/random/0"
DIRECTLY = urllib.request.build_opener(urllib.request.ProxyHandler({}))  # whatever is set around


def work(database: str, trials: int) -> None:
    """One worker: trials until the budget is spent, whatever becomes of the server meanwhile."""
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    storage = open_storage(database)
    study = optuna.load_study(study_name=NAME, storage=storage)
    with waiting_for_servers(), Owner(storage.engine, folders(storage).leases) as owner:
        storage.owner = owner.token
        while (trial_id := storage.next_trial(study._study_id, trials)) is not None:
            params = dict.fromkeys(PARAMETERS, 48)
            storage.begin(trial_id, params, PARAMETERS, user_attrs={}, constraints={})
            for step in range(1, REPORTS + 1):
                storage.set_trial_intermediate_value(trial_id, step, step / REPORTS)
            storage.finish(trial_id, TrialState.COMPLETE, [1.0], {"epochs": REPORTS})


def run(trials: int, workers: int, folder: Path) -> tuple[float, int, float]:
    """(seconds, answers of the dashboard, its slowest in seconds). Raises if anything is amiss."""
    database = folder / "x.db"
    optuna.create_study(study_name=NAME, storage=open_storage(database), direction="maximize")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    serve = ["--host", "127.0.0.1", "--port", str(port), "--server", "wsgiref", "-q"]
    dashboard = subprocess.Popen(
        [Path(sys.executable).parent / "optuna-dashboard", f"sqlite:///{database}", *serve],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    url = f"http://127.0.0.1:{port}/api/studies/1"
    command = [sys.executable, "-m", "tests.stress", f"--work={database}", f"--trials={trials}"]
    answers, slowest = 0, 0.0
    try:
        while not _answers(url):
            assert dashboard.poll() is None
            time.sleep(0.1)
        started = time.monotonic()
        writing = [
            subprocess.Popen(command, stderr=subprocess.PIPE, text=True) for _ in range(workers)
        ]
        while any(process.poll() is None for process in writing):
            asked = time.monotonic()
            if _answers(url):
                answers += 1
                slowest = max(slowest, time.monotonic() - asked)
            time.sleep(0.2)  # as often as a page that is open would ask, and more
        errors = [process.communicate()[1] for process in writing]
    finally:
        dashboard.terminate()
        dashboard.wait()
    seconds = time.monotonic() - started
    assert [process.returncode for process in writing] == [0] * workers, errors
    check(database, trials)
    return seconds, answers, slowest


def _answers(url: str) -> bool:
    try:
        with DIRECTLY.open(url, timeout=60) as response:
            assert response.status == 200
            return True
    except ConnectionError:
        return False
    except urllib.error.HTTPError:
        raise
    except urllib.error.URLError:  # it is not up yet
        return False


def check(database: str | Path, trials: int) -> None:
    study = optuna.load_study(study_name=NAME, storage=open_storage(database, "read"))
    found = study.get_trials(deepcopy=False)
    assert [trial.number for trial in found] == list(range(trials))
    assert Counter(trial.state for trial in found) == {TrialState.COMPLETE: trials}
    assert all(len(trial.intermediate_values) == REPORTS for trial in found)
    assert all(trial.params.keys() == PARAMETERS.keys() for trial in found)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--trials", type=int, default=2_000)
    parser.add_argument("--workers", type=int, default=4)
    parser.add_argument("--work", metavar="DB", help="be one of the workers")
    args = parser.parse_args()
    if args.work:
        work(args.work, args.trials)
        return
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    with tempfile.TemporaryDirectory() as folder:
        seconds, answers, slowest = run(args.trials, args.workers, Path(folder))
    print(
        f"{args.trials} trials by {args.workers} processes in {seconds:.0f} s, all there, none "
        f"failed, none twice; the dashboard answered {answers} times, {slowest:.1f} s at most"
    )


if __name__ == "__main__":
    main()
