"""How many trainings each sampler needs for what TPE has after 100 and after 200.

    nasopt compare --benchmark NAME --samplers all --seeds 30 --trials 200 --csv a.csv
    nasopt compare --benchmark NAME --samplers random,gp --seeds 6 --trials 200 --csv b.csv
    python -m tests.benchmarks.trainings a.csv b.csv

Medians over seeds of what the winner so far is worth by all replicates. Nothing is trained.
"""

import csv
import statistics
import sys
from collections import defaultdict
from collections.abc import Iterable, Iterator

GOALS = (100, 200)  # trainings of TPE


def medians(paths: Iterable[str]) -> dict[str, list[float]]:
    """Sampler -> the median true accuracy of its winners after each training."""
    values: dict[str, dict[int, dict[str, float]]] = defaultdict(lambda: defaultdict(dict))
    for path in paths:
        with open(path, newline="") as file:
            for row in csv.DictReader(file):
                if row["true"]:
                    values[row["sampler"]][int(row["evaluation"])][row["seed"]] = float(row["true"])
    return {
        sampler: [statistics.median(seeds.values()) for _, seeds in sorted(curve.items())]
        for sampler, curve in values.items()
    }


def first_to(curve: list[float], goal: float) -> int | None:
    """The first training after which `goal` is reached."""
    return next((training for training, value in enumerate(curve, 1) if value >= goal), None)


def table(curves: dict[str, list[float]]) -> Iterator[str]:
    yield f"{'sampler':18}" + "".join(f"{f'TPE@{goal}':>9}" for goal in GOALS)
    for sampler, curve in curves.items():
        cells = [first_to(curve, curves["tpe"][goal - 1]) for goal in GOALS]
        texts = [f"> {len(curve)}" if cell is None else str(cell) for cell in cells]
        yield f"{sampler:18}" + "".join(f"{text:>9}" for text in texts)


if __name__ == "__main__":
    print("\n".join(table(medians(sys.argv[1:]))))
