"""Samplers of other projects on tables: what is left to gain after some trainings.

    python -m tests.benchmarks.peers run ROWS.csv smac --python PATH/OF/THEIR/python
    python -m tests.benchmarks.regret run ROWS.csv gp --sampler gp --tables cifar10 macro --seeds 20
    python -m tests.benchmarks.peers show ROWS.csv

`nox -s peers` does all of it, each peer in an environment of its own. As in `regret`, a study is a
line of the file, and what is there is not done again; nothing is trained; a repeat is no training.
"""

import argparse
import csv
import json
import subprocess
import time
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import astuple
from pathlib import Path

import numpy as np

from nasopt.benchmarks import Benchmark
from nasopt.space.fields import Categorical
from tests.benchmarks.peer_side import PEERS
from tests.benchmarks.regret import MOST_REPEATS, TABLES, Row, _table, read, row_of

SIDE = Path(__file__).with_name("peer_side.py")
TWO = ("cifar10", "macro")
AT = (10, 20, 30, 50)  # trainings
DRAWS = 2_000  # of the seeds, for intervals


def asked(python: str, peer: str, table: Benchmark, seed: int, trials: int) -> Iterator[int]:
    """Yield the rows of the table that a peer asks for, each once."""
    fields = table.space.hyperparameters
    given = {
        "choices": dict(zip(fields, table.space.rows.shape, strict=True)),
        "ordered": [name for name, each in fields.items() if not isinstance(each, Categorical)],
        "seed": seed,
        "trials": trials,
    }
    observed = table.observed(seed)
    command = [python, str(SIDE), peer]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True, bufsize=1) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        told = json.dumps(given)
        known: set[int] = set()
        repeats = 0
        while len(known) < trials and repeats < MOST_REPEATS:
            print(told, file=process.stdin)
            line = process.stdout.readline()
            if not line:
                raise RuntimeError(f"{peer} ended; its error is above")
            point = json.loads(line)
            row = int(table.space.rows[tuple(point[name] for name in fields)])
            repeats = repeats + 1 if row in known else 0
            if not repeats:
                known.add(row)
                yield row
            told = repr(float(observed[row]))
        process.stdin.close()


def run(args: argparse.Namespace) -> None:
    there = {(row.state, row.table, row.seed) for row in read(args.rows)}
    tables = {name: _table(name) for name in args.tables}
    for seed in range(args.seeds):
        for name, table in tables.items():
            if (args.peer, name, seed) not in there:
                started = time.monotonic()  # their processor time is in their own process
                rows = list(asked(args.python, args.peer, table, seed, args.trials))
                milliseconds = 1_000 * (time.monotonic() - started) / args.trials
                with args.rows.open("a", newline="") as file:
                    found = row_of(args.peer, name, table, seed, rows, milliseconds)
                    csv.writer(file).writerow(astuple(found))


def show(rows: list[Row]) -> Iterator[str]:
    """Yield a table: medians over seeds of the regret, with 95 % intervals, best last one first."""
    by_table: dict[str, dict[str, list[Row]]] = defaultdict(lambda: defaultdict(list))
    for row in rows:
        by_table[row.table][row.state].append(row)
    yield "| table | sampler | seeds | " + " | ".join(f"after {at}" for at in AT) + " | ms |"
    yield "|---" * (4 + len(AT)) + "|"
    for table, states in by_table.items():
        for state, studies in sorted(states.items(), key=lambda each: _regret(each[1], AT[-1])):
            cells = [table, state, str(len(studies))]
            for at in AT:
                low, high = _interval(studies, at)
                cells.append(f"{_regret(studies, at):.3g} ({low:.3g} to {high:.3g})")
            cells.append(f"{np.median([each.milliseconds for each in studies]):.0f}")
            yield f"| {' | '.join(cells)} |"


def _values(studies: list[Row], at: int) -> np.ndarray:
    """Return the regret of each study after `at` trainings; one that gave up keeps its last."""
    return np.array([each.curve[min(at, len(each.curve)) - 1] for each in studies])


def _regret(studies: list[Row], at: int) -> float:
    return float(np.median(_values(studies, at)))


def _interval(studies: list[Row], at: int) -> tuple[float, float]:
    values, dice = _values(studies, at), np.random.default_rng(0)
    medians = np.median(values[dice.integers(len(values), size=(DRAWS, len(values)))], axis=1)
    low, high = np.quantile(medians, [0.025, 0.975])
    return float(low), float(high)


def main() -> None:
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    verbs = parser.add_subparsers(required=True)
    running, showing = verbs.add_parser("run"), verbs.add_parser("show")
    running.set_defaults(verb=run)
    showing.set_defaults(verb=lambda args: print("\n".join(show(read(args.rows)))))
    for each in (running, showing):
        each.add_argument("rows", type=Path)
    running.add_argument("peer", choices=list(PEERS))
    running.add_argument("--python", required=True, help="that has the peer")
    running.add_argument("--tables", nargs="+", default=list(TWO), help=f"of {', '.join(TABLES)}")
    running.add_argument("--seeds", type=int, default=20)
    running.add_argument("--trials", type=int, default=50)
    args = parser.parse_args()
    args.verb(args)


if __name__ == "__main__":
    main()
