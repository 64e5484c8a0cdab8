"""Every figure beside its target; ends with 1 if one is missed by more than a tenth.

    python -m tests.benchmarks [NAME ...]

Half an hour on one core; the whole search is most of it, and resumes where it was stopped.
"""

import sys
from collections.abc import Callable, Iterator

from tests.benchmarks import gpu, growth, overhead, rejection, search, starting, throughput
from tests.benchmarks.figures import Figure

BENCHMARKS: dict[str, Callable[[], Iterator[Figure]]] = {
    "starting": starting.figures,
    "overhead": overhead.figures,
    "rejection": rejection.figures,
    "growth": growth.figures,
    "throughput": throughput.figures,
    "gpu": gpu.figures,
    "search": search.figures,
}


def main(names: list[str]) -> int:
    missed = 0
    for name in names or BENCHMARKS:
        print(f"{name}: {str(sys.modules[BENCHMARKS[name].__module__].__doc__).splitlines()[0]}")
        for figure in BENCHMARKS[name]():
            print(f"  {figure}", flush=True)
            missed += figure.missed
    if missed:
        print(f"{missed} figures miss their target by more than a tenth")
    return int(bool(missed))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
