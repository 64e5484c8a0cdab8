"""What several workers at one study cost: the regret after as many trainings, on two tables.

    python -m tests.benchmarks.parallel --seeds 20 [--seed 0] [--table nasbench201:cifar10]

The workers are simulated: each asks for its next network when it has told its last one, while the
others train. A training takes the table's seconds, or its MACs where a table has none. It appends
a line a study to runs/parallel.csv, leaves out those that are there, and prints the means.
"""

import argparse
import csv
import gzip
import heapq
import statistics
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from itertools import count
from pathlib import Path

import numpy as np
import optuna

from nasopt import Experiment
from nasopt.benchmarks import Benchmark
from nasopt.samplers import make_sampler
from nasopt.search.objective import Objective, _note

MACRO = Path(__file__).parents[1] / "data" / "nas-bench-macro_cifar10.json.gz"
SAMPLERS = ("random", "evolution", "tpe", "surrogate")
WORKERS = (1, 4, 16)
TRIALS = 100
AFTER = (50, 100)  # trainings, at which the regret is told
MOST_REPEATS = 100  # in a row
RESULTS = Path("runs/parallel.csv")


def regrets(experiment: Experiment, sampler: str, seed: int, workers: int) -> list[float]:
    """Return the true gap to the best network of the best that was seen, after each training."""
    table = experiment.benchmark
    assert table is not None
    true = np.nanmean(table.accuracies[:, :, -1], axis=1)
    best, seen, after = -np.inf, -1, []
    for row, value in _told(experiment, sampler, seed, workers):
        if value > best:
            best, seen = value, row
        after.append(float(true.max() - true[seen]))
    return after


def _told(
    experiment: Experiment, sampler: str, seed: int, workers: int
) -> Iterator[tuple[int, float]]:
    """Yield the row and the value of each training as it ends; repeats are none."""
    seeded = make_sampler(sampler, replace(experiment.problem, trials=TRIALS), seed)
    study = optuna.create_study(
        direction="maximize", sampler=seeded, pruner=optuna.pruners.NopPruner()
    )
    objective = Objective(experiment)
    order, repeats, now, done = count(), 0, 0.0, 0
    known: dict[str, float] = {}
    running: list[tuple[float, int, optuna.Trial, str, int, float]] = []
    while done < TRIALS:
        while len(running) < min(workers, TRIALS - done) and repeats < MOST_REPEATS:
            trial = study.ask()
            evaluation = objective.suggest(trial)
            objective._begin(trial, evaluation)
            results = list(objective._evaluator.epochs(evaluation))
            record, value = objective._reports.record_of(results, 0), results[-1].accuracy
            if evaluation.key in known:
                _note(trial, replace(record, free=True))
                study.tell(trial, value)
                repeats += 1
                continue
            repeats = 0
            _note(trial, record)
            row = evaluation.architecture.row
            end = now + _cost(experiment.benchmark, row)
            heapq.heappush(running, (end, next(order), trial, evaluation.key, row, value))
        if not running:
            return
        now, _, trial, key, row, value = heapq.heappop(running)
        study.tell(trial, value)
        if key not in known:
            known[key] = value
            done += 1
            yield row, value


def _cost(table: Benchmark | None, row: int) -> float:
    assert table is not None
    seconds = float(np.nansum(table.seconds[row, 0]))
    return seconds or float(1 if table.macs is None else table.macs[row])


def _experiment(name: str) -> Experiment:
    if name != "nasbenchmacro":
        return Experiment.on_benchmark(name, trials=TRIALS)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "nas-bench-macro_cifar10.json"
        path.write_bytes(gzip.decompress(MACRO.read_bytes()))
        return Experiment.on_benchmark(f"nasbenchmacro:{path}", trials=TRIALS)


def _read() -> dict[tuple[str, str, int, int], list[float]]:
    if not RESULTS.exists():
        return {}
    with RESULTS.open() as file:
        return {
            (table, sampler, int(workers), int(seed)): [float(each) for each in after]
            for table, sampler, workers, seed, *after in csv.reader(file)
        }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--tables", nargs="+", default=["nasbench201:cifar10", "nasbenchmacro"])
    parser.add_argument("--samplers", nargs="+", default=SAMPLERS)
    args = parser.parse_args()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    RESULTS.parent.mkdir(exist_ok=True)
    experiments = {name: _experiment(name) for name in args.tables}
    for seed in range(args.seeds):
        for sampler in args.samplers:
            for workers in WORKERS:
                for name, experiment in experiments.items():
                    if (name, sampler, workers, seed) in _read():
                        continue
                    path = regrets(replace(experiment, seed=seed), sampler, seed, workers)
                    after = [path[min(each, len(path)) - 1] for each in AFTER]
                    with RESULTS.open("a", newline="") as file:
                        csv.writer(file).writerow([name, sampler, workers, seed, *after])
    known = _read()
    for name in args.tables:
        print(f"{name}: mean regret after {' and '.join(map(str, AFTER))} trainings")
        for sampler in args.samplers:
            print(f"  {sampler:10}", *(_cell(known, name, sampler, each) for each in WORKERS))


def _cell(
    known: dict[tuple[str, str, int, int], list[float]], table: str, sampler: str, workers: int
) -> str:
    rows = [
        after for (t, s, w, _), after in known.items() if (t, s, w) == (table, sampler, workers)
    ]
    means = [
        f"{statistics.fmean(column):.3f} +- {statistics.stdev(column) / len(column) ** 0.5:.3f}"
        for column in zip(*rows, strict=True)
    ]
    return f"| {workers} workers ({len(rows)} seeds): {', '.join(means)}"


if __name__ == "__main__":
    main()
