"""The surrogate that weighs time against the one that does not: regret at equal seconds, on tables.

    python -m tests.benchmarks.equal_seconds run ROWS.csv
    python -m tests.benchmarks.equal_seconds show ROWS.csv

A search goes on until its trainings have taken what fifty average ones of the table take: seconds
of the table, on Macro MACs in their place. As in `regret`, nothing is trained, a repeat is free, a
study is a line of the file, and what is there is not done again. The ratios are geometric means:
at equal seconds over 30 moments between 5 and 50 average trainings, evenly on a logarithmic scale;
at equal trainings from the 8th to the last that both have, at most the 50th, where both have 8.
"""

import argparse
import csv
from collections import defaultdict
from dataclasses import astuple, dataclass, replace
from pathlib import Path

import numpy as np
import optuna
from numpy.typing import NDArray

from nasopt import Experiment
from nasopt.benchmarks import Benchmark
from nasopt.samplers import SurrogateSampler
from tests.benchmarks.regret import FROM, SHARE, TABLES, TO, _ratio, _table, trained

Floats = NDArray[np.float64]

SAMPLERS = {"plain": SurrogateSampler(), "time": SurrogateSampler(cost_aware=True)}
BUDGET = 50  # average trainings
MOMENTS = np.geomspace(5, BUDGET, 30)
MOST_TRIALS = 150


@dataclass(frozen=True)
class Row:
    """A study: the seconds and the true regret after each training, joined by spaces.

    Seconds are in average trainings of the table.
    """

    sampler: str
    table: str
    seed: int
    random_regret: float
    seconds: str
    regrets: str

    def at(self, moments: Floats) -> Floats:
        """Return the regret at so many seconds; before the first training, a random one's."""
        ended = np.array(self.seconds.split(), dtype=float)
        place = np.searchsorted(ended, moments, side="right")
        found: Floats = np.r_[self.random_regret, self.curve][place]
        return found

    @property
    def curve(self) -> Floats:
        return np.array(self.regrets.split(), dtype=float)


def timed(table: Benchmark) -> Benchmark:
    """Return `table`; if it does not know seconds, with MACs in their place."""
    if (table.seconds > 0).any():
        return table
    assert table.macs is not None
    return replace(table, seconds=np.ones_like(table.seconds) * table.macs[:, None, None])


def study(name: str, table: Benchmark, sampler: str, seed: int) -> Row:
    experiment = Experiment.on_benchmark(table, trials=MOST_TRIALS, seed=seed)
    seconds = table.seconds.sum(axis=2).mean(axis=1)
    gaps, observed = table.optimum - table.true, table.observed(seed)
    spent, best, ended, regrets = 0.0, None, [], []
    inner = SAMPLERS[sampler]
    for row in trained(experiment, observed, inner, seed, MOST_TRIALS, seconds=seconds):
        spent += seconds[row] / seconds.mean()
        best = row if best is None or observed[row] > observed[best] else best
        ended.append(f"{spent:.6g}")
        regrets.append(f"{gaps[best]:.6g}")
        if spent >= BUDGET:
            break
    return Row(sampler, name, seed, float(gaps.mean()), " ".join(ended), " ".join(regrets))


def read(path: Path) -> list[Row]:
    if not path.exists():
        return []
    with path.open(newline="") as file:
        return [
            Row(sampler, table, int(seed), float(random), ended, regrets)
            for sampler, table, seed, random, ended, regrets in csv.reader(file)
        ]


def run(args: argparse.Namespace) -> None:
    there = {(row.sampler, row.table, row.seed) for row in read(args.rows)}
    tables = {name: timed(_table(name)) for name in args.tables}
    for seed in range(args.first_seed, args.first_seed + args.seeds):
        for name, table in tables.items():
            for sampler in SAMPLERS:
                if (sampler, name, seed) not in there:
                    row = study(name, table, sampler, seed)
                    with args.rows.open("a", newline="") as file:
                        csv.writer(file).writerow(astuple(row))


def show(args: argparse.Namespace) -> None:
    rows: dict[str, dict[str, dict[int, Row]]] = defaultdict(lambda: defaultdict(dict))
    for row in read(args.rows):
        rows[row.table][row.sampler][row.seed] = row
    by_seconds, by_trainings = [], []
    print("| table | seeds | at equal seconds | at equal trainings |\n|---|---|---|---|")
    for name, states in rows.items():
        before, after = (states[sampler] for sampler in SAMPLERS)
        seeds = sorted(before.keys() & after.keys())
        pairs = [(before[seed], after[seed]) for seed in seeds]
        by_seconds.append(np.array([_seconds_log(*pair) for pair in pairs]))
        long = [pair for pair in pairs if min(len(each.curve) for each in pair) >= FROM]
        by_trainings.append(np.array([_trainings_log(*pair) for pair in long]))
        ratios = f"{_ratio(by_seconds[-1:])} | {_ratio(by_trainings[-1:])}"
        print(f"| {name} | {len(seeds)} | {ratios} |")
    print(f"| all | | {_ratio(by_seconds)} | {_ratio(by_trainings)} |")


def _seconds_log(before: Row, after: Row) -> float:
    least = SHARE * before.random_regret
    return float(np.log((after.at(MOMENTS) + least) / (before.at(MOMENTS) + least)).mean())


def _trainings_log(before: Row, after: Row) -> float:
    least = SHARE * before.random_regret
    last = min(TO, len(before.curve), len(after.curve))
    pair = [row.curve[FROM - 1 : last] + least for row in (after, before)]
    return float(np.log(pair[0] / pair[1]).mean())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    verbs = parser.add_subparsers(required=True)
    running, showing = verbs.add_parser("run"), verbs.add_parser("show")
    running.set_defaults(verb=run)
    showing.set_defaults(verb=show)
    for each in (running, showing):
        each.add_argument("rows", type=Path)
    running.add_argument("--tables", nargs="+", default=list(TABLES))
    running.add_argument("--seeds", type=int, default=10)
    running.add_argument("--first-seed", type=int, default=0)
    args = parser.parse_args()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    args.verb(args)


if __name__ == "__main__":
    main()
