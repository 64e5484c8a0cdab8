"""Two states of the code on the same tables and seeds: regret, and trainings for what TPE has.

    python -m tests.benchmarks.regret run ROWS.csv tpe --sampler tpe --trials 200
    python -m tests.benchmarks.regret run ROWS.csv before
    python -m tests.benchmarks.regret run ROWS.csv after
    python -m tests.benchmarks.regret compare ROWS.csv before after

Studies are kept in memory, which gives the suggestions of a worker's, and nothing is trained. `run`
appends a line a study and leaves out those that are there, so it can be stopped at any time. It
measures the nasopt of the checkout that it stands in: copy it, and `perceptrons.py`, into another.
`--tables` takes these tables' names, or those of `nasopt compare --benchmark`. Regret is the true
gap to the best network of the table of the best that was seen. The ratio of two states is paired by
seeds: the geometric mean over trials 8 to 50 of the regret plus a hundredth of that of a random
network.
"""

import argparse
import csv
import math
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import astuple, dataclass
from pathlib import Path

import numpy as np
import optuna
from numpy.typing import NDArray

from nasopt import Experiment, load_benchmark
from nasopt.benchmarks import Benchmark
from nasopt.samplers import GivenSampler, make_sampler
from tests.benchmarks.parallel import _experiment
from tests.benchmarks.perceptrons import FCNET, MLP, fcnet, mlp
from tests.benchmarks.trainings import GOALS, first_to

Floats = NDArray[np.float64]

TABLES: dict[str, Callable[[], Benchmark]] = {
    "cifar10": lambda: load_benchmark("nasbench201:cifar10"),
    "cifar100": lambda: load_benchmark("nasbench201:cifar100"),
    "imagenet": lambda: load_benchmark("nasbench201:imagenet16-120"),
    "macro": lambda: _experiment("nasbenchmacro").benchmark,
    **{f"fcnet-{name}": lambda name=name: fcnet(name) for name in FCNET},
    **{f"mlp-{name}": lambda name=name: mlp(name) for name in MLP},
}
FROM, TO = 8, 50  # trials whose regret is compared
SHARE = 0.01  # of the regret of a random network, which is added to both
AT = (5, 10, 25, 50)  # trainings, after which the median regret is told
MOST_REPEATS = 100  # in a row
RESAMPLED = 2_000  # times, for an interval


@dataclass(frozen=True)
class Row:
    """A study: its true regret after each training."""

    state: str
    table: str
    seed: int
    milliseconds: float  # of the processor, for a trial
    random_regret: float  # mean of the table
    size: float  # of the first 25 networks, times that of a random one (geometric means)
    regrets: str  # joined by spaces

    @property
    def curve(self) -> Floats:
        return np.array(self.regrets.split(), dtype=float)


def study(state: str, name: str, table: Benchmark, sampler: str, seed: int, trials: int) -> Row:
    experiment = Experiment.on_benchmark(table, trials=trials, seed=seed)
    started = time.process_time()
    rows = list(trained(experiment, table.observed(seed), sampler, seed, trials))
    milliseconds = 1_000 * (time.process_time() - started) / trials
    return row_of(state, name, table, seed, rows, milliseconds)


def row_of(
    state: str, name: str, table: Benchmark, seed: int, rows: list[int], milliseconds: float
) -> Row:
    """Return the study that asked for these rows of the table, in this order."""
    observed, gaps = table.observed(seed), table.optimum - table.true
    regrets, best = [], rows[0]
    for row in rows:
        best = row if observed[row] > observed[best] else best
        regrets.append(f"{gaps[best]:.6g}")
    assert table.parameters is not None
    sizes = np.log(table.parameters)
    larger = math.exp(sizes[rows[:25]].mean() - sizes.mean())
    return Row(state, name, seed, milliseconds, float(gaps.mean()), larger, " ".join(regrets))


def trained(
    experiment: Experiment,
    observed: Floats,
    sampler: GivenSampler,
    seed: int,
    trials: int,
    search: optuna.Study | None = None,
    seconds: Floats | None = None,
) -> Iterator[int]:
    """Yield the rows of the table that a search asks for, each once: a repeat is no training.

    `observed` (networks,) is what it sees of each, and `seconds` how long it takes.
    """
    table = experiment.benchmark
    assert table is not None
    search = search or optuna.create_study(
        direction="maximize",
        sampler=make_sampler(sampler, experiment.problem, seed),
        pruner=optuna.pruners.NopPruner(),
    )
    known: set[int] = set()
    repeats = 0
    while len(known) < trials and repeats < MOST_REPEATS:
        trial = search.ask()
        row = table.space.suggest(trial).row
        repeats = repeats + 1 if row in known else 0
        if repeats:
            trial.set_user_attr("free", True)
        if seconds is not None:
            trial.set_user_attr("seconds", float(seconds[row]))
        search.tell(trial, float(observed[row]))
        if not repeats:
            known.add(row)
            yield row


def read(path: Path) -> list[Row]:
    if not path.exists():
        return []
    with path.open(newline="") as file:
        return [
            Row(state, table, int(seed), *map(float, numbers), regrets)  # type: ignore[arg-type]
            for state, table, seed, *numbers, regrets in csv.reader(file)
        ]


def run(args: argparse.Namespace) -> None:
    there = {(row.state, row.table, row.seed) for row in read(args.rows)}
    tables = {name: _table(name) for name in args.tables}
    for seed in range(args.first_seed, args.first_seed + args.seeds):
        for name, table in tables.items():
            if (args.state, name, seed) not in there:
                row = study(args.state, name, table, args.sampler, seed, args.trials)
                with args.rows.open("a", newline="") as file:
                    csv.writer(file).writerow(astuple(row))


def _table(name: str) -> Benchmark:
    return TABLES[name]() if name in TABLES else load_benchmark(name)


def compare(args: argparse.Namespace) -> None:
    by_table: dict[str, dict[str, dict[int, Row]]] = defaultdict(lambda: defaultdict(dict))
    for row in read(args.rows):
        if row.table in (args.tables or [row.table]):
            by_table[row.table][row.state][row.seed] = row
    print(f"{'table':30} {'ratio':20}" + "".join(f"{state:>26}" for state in args.states))
    ratios, needed = [], defaultdict(list)
    for table, states in by_table.items():
        line = f"{table:30} "
        logs = paired_logs(*(states[state] for state in args.states))
        ratios.append(logs)
        line += f"{_ratio([logs])} ({len(logs):2}) "
        for state in args.states:
            curves = {state: states[state], "tpe": states["tpe"]}
            goals = [trainings(curves, state, goal) for goal in GOALS]
            needed[state].append(goals)
            medians = np.median(_curves(states[state]), axis=0)[:TO]
            shown = "/".join(f"{medians[at - 1]:.3g}" for at in AT if at <= len(medians))
            line += f"{'/'.join(map(str, goals)):>9} {shown}"
        print(line)
    print(f"{'all':30} {_ratio(ratios)}")
    for state in args.states:
        print(f"{state}: trainings for TPE@100, TPE@200:", *_means(needed[state], TO + 1))
        rows = [row for states in by_table.values() for row in states[state].values()]
        print(f"  size {np.exp(np.mean([np.log(row.size) for row in rows])):.2f},",
              f"{np.median([row.milliseconds for row in rows]):.1f} ms a trial")  # fmt: skip


def paired_logs(before: dict[int, Row], after: dict[int, Row]) -> Floats:
    """Return for each seed that both have the mean logarithm of the ratio of their regrets."""
    logs = []
    for seed in sorted(before.keys() & after.keys()):
        least = SHARE * before[seed].random_regret
        pair = [np.log(row.curve[FROM - 1 : TO] + least) for row in (before[seed], after[seed])]
        logs.append((pair[1] - pair[0]).mean())
    return np.array(logs)


def _ratio(logs: list[Floats]) -> str:
    """Return the geometric mean over tables, with an interval from resampled seeds."""
    if any(not len(each) for each in logs):
        return "-"
    rng = np.random.default_rng(0)
    means = sum(
        each[rng.integers(len(each), size=(RESAMPLED, len(each)))].mean(axis=1) for each in logs
    ) / len(logs)
    low, high = np.exp(np.quantile(means, [0.025, 0.975]))
    return f"{np.exp(np.mean([each.mean() for each in logs])):.2f} [{low:.2f}, {high:.2f}]"


def trainings(states: dict[str, dict[int, Row]], state: str, goal: int) -> int | None:
    """Return the trainings after which the median is that of TPE after `goal`."""
    curves = {name: (-np.median(_curves(rows), axis=0)).tolist() for name, rows in states.items()}
    return first_to(curves[state][:TO], curves["tpe"][goal - 1])


def _curves(rows: dict[int, Row]) -> Floats:
    shortest = min(len(row.curve) for row in rows.values())
    return np.array([row.curve[:shortest] for row in rows.values()])


def _means(needed: list[list[int | None]], most: int) -> Iterator[str]:
    """Yield the geometric mean over tables for each goal; what was not reached counts as `most`."""
    for column in zip(*needed, strict=True):
        missed = column.count(None)
        mean = np.exp(np.mean(np.log([each or most for each in column])))
        yield f"{mean:.1f}" + f" ({missed} not reached, taken for {most})" * (missed > 0)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    verbs = parser.add_subparsers(required=True)
    running, comparing = verbs.add_parser("run"), verbs.add_parser("compare")
    running.set_defaults(verb=run)
    comparing.set_defaults(verb=compare)
    for each, tables in ((running, list(TABLES)), (comparing, None)):
        each.add_argument("rows", type=Path)
        each.add_argument("--tables", nargs="+", default=tables)
    running.add_argument("state")
    running.add_argument("--sampler", default="surrogate")
    running.add_argument("--seeds", type=int, default=30)
    running.add_argument("--first-seed", type=int, default=0)
    running.add_argument("--trials", type=int, default=50)
    comparing.add_argument("states", nargs=2)
    args = parser.parse_args()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    args.verb(args)


if __name__ == "__main__":
    main()
