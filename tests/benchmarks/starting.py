"""How long the command line takes to begin.

python -m tests.benchmarks.starting
"""

import subprocess
import sys
import time
from collections.abc import Iterator

from tests.benchmarks.figures import Figure

TIMES = 5


def seconds(*words: str) -> float:
    """The shortest of a few runs: what the disk and other processes add is not ours."""
    taken = []
    for _ in range(TIMES):
        started = time.perf_counter()
        subprocess.run([sys.executable, "-m", "nasopt", *words], capture_output=True, check=True)
        taken.append(time.perf_counter() - started)
    return min(taken)


def figures() -> Iterator[Figure]:
    yield Figure("nasopt --help", seconds("--help"), at_most=0.4, unit=" s")


if __name__ == "__main__":
    for figure in figures():
        print(figure, flush=True)
