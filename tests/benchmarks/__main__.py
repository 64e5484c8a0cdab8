"""Every figure beside its target; ends with 1 if one is missed by more than a tenth.

    python -m tests.benchmarks [NAME ...]

Each benchmark in a process of its own: torch keeps settings for a whole process. Two and a half
hours on two cores, of which the whole search takes two.
"""

import subprocess
import sys
from collections.abc import Callable, Iterator

from tests.benchmarks import (
    gpu,
    growth,
    overhead,
    rejection,
    search,
    starting,
    threads,
    throughput,
)
from tests.benchmarks.figures import Figure

BENCHMARKS: dict[str, Callable[[], Iterator[Figure]]] = {
    "starting": starting.figures,
    "overhead": overhead.figures,
    "rejection": rejection.figures,
    "growth": growth.figures,
    "throughput": throughput.figures,
    "threads": threads.figures,
    "gpu": gpu.figures,
    "search": search.figures,
}


def main(names: list[str]) -> int:
    if len(names) == 1:
        return measure(names[0])
    codes = [
        subprocess.run([sys.executable, "-m", "tests.benchmarks", name]).returncode
        for name in names or BENCHMARKS
    ]
    return int(any(codes))


def measure(name: str) -> int:
    print(f"{name}: {str(sys.modules[BENCHMARKS[name].__module__].__doc__).splitlines()[0]}")
    missed = 0
    for figure in BENCHMARKS[name]():
        print(f"  {figure}", flush=True)
        missed += figure.missed
    if missed:
        print(f"{missed} figures miss their target by more than a tenth")
    return int(bool(missed))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
