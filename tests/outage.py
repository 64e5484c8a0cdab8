"""Eight processes write to one PostgreSQL server, which is killed meanwhile: no trial may be lost.

    python -m tests.outage --trials 2000 --down 5 60

They write as those of `tests.stress` do. After an even share of the trials the server is stopped
without a word (`immediate`), stays away for so many seconds, and is started again.
"""

import argparse
import signal
import subprocess
import sys
import time
from collections.abc import Sequence

import optuna
import psycopg

from nasopt.storage.opening import open_storage
from tests.cluster import Cluster
from tests.stress import NAME, check

ENDED = "SELECT count(*) FROM trials WHERE state = 'COMPLETE'"


def run(server: Cluster, trials: int, workers: int, down: Sequence[float]) -> float:
    """Return the seconds from the first trial to the last. Raises if anything is amiss."""
    url = server.new()
    optuna.create_study(study_name=NAME, storage=open_storage(url), direction="maximize")
    command = [sys.executable, "-m", "tests.stress", f"--work={url}", f"--trials={trials}"]
    working = [subprocess.Popen(command, stderr=subprocess.PIPE, text=True) for _ in range(workers)]
    _wait_until(url, 1, working)
    started = time.monotonic()
    for number, seconds in enumerate(down, 1):
        _wait_until(url, trials * number // (len(down) + 1), working)
        server.stop(signal.SIGQUIT)
        time.sleep(seconds)
        server.start()
    said = [process.communicate()[1] for process in working]
    assert [process.returncode for process in working] == [0] * workers, said
    check(url, trials)
    return time.monotonic() - started


def _wait_until(url: str, trials: int, working: Sequence[subprocess.Popen[str]]) -> None:
    with psycopg.connect(url, autocommit=True) as connection:
        while connection.execute(ENDED).fetchall()[0][0] < trials:
            assert any(process.poll() is None for process in working), "they have ended"
            time.sleep(0.02)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--trials", type=int, default=2_000)
    parser.add_argument("--workers", type=int, default=8)
    parser.add_argument("--down", type=float, nargs="*", default=[5.0, 60.0], metavar="SECONDS")
    args = parser.parse_args()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    server = Cluster()
    try:
        seconds = run(server, args.trials, args.workers, args.down)
    finally:
        server.close()
    killed = "".join(f", killed for {each:g} s" for each in args.down)
    print(
        f"{args.trials} trials by {args.workers} processes on a PostgreSQL server{killed}: "
        f"{seconds:.0f} s, all there, none failed, none twice"
    )


if __name__ == "__main__":
    main()
