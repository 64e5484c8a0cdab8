"""Finished studies as tidy rows, and as curves of the best found so far against the cost.

Costs are as if each network had been trained in its study: see `nasopt.storage.budget`.
"""

from bisect import bisect_right
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from optuna.trial import FrozenTrial

from nasopt.analysis.front import front
from nasopt.analysis.outputs import Output
from nasopt.analysis.record import Record
from nasopt.storage.budget import Spent, spent
from nasopt.storage.record import TrialRecord

AXES = ("evaluation", "total_epochs", "total_seconds")
POINTS = 100  # of a curve over epochs or seconds
POSITIONS = 200  # within a budget


@dataclass(frozen=True)
class Row:
    """One evaluation of a study: a trial that counts to its budget.

    `value` is the accuracy (a fraction; the last one reported), `cost` the second objective where
    there are two. `incumbent` is the best value so far of a complete trial within the limits in
    force, and `winner` the number of that trial; with two objectives it is the hypervolume of the
    front, and there is no winner.
    `epochs` and `seconds` are what the evaluation costs, as if trained; `total_...` up to here.
    `true` is what the winner is worth by all replicates of a benchmark; None where nobody knows.
    """

    study: str
    sampler: str
    seed: int
    evaluation: int  # from 1
    number: int  # of the trial
    state: str
    value: float | None
    cost: float | None
    incumbent: float | None
    winner: int | None
    epochs: int
    seconds: float
    total_epochs: int
    total_seconds: float
    true: float | None = None

    @property
    def worth(self) -> float | None:
        """The best that is known of the incumbent: `true`, else the value that the search saw."""
        return self.incumbent if self.true is None else self.true

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


NAMES = [field.name for field in fields(Row)]  # of the columns of a table
Studies = Mapping[str, Mapping[int, Sequence[Row]]]  # sampler -> seed -> rows, in order


@dataclass(frozen=True)
class Budget:
    """The budget of a study: evaluations, or epochs as if trained."""

    amount: int
    unit: str = "evaluations"  # or "epochs"

    @property
    def axis(self) -> str:
        return {"evaluations": "evaluation", "epochs": "total_epochs"}[self.unit]

    @property
    def positions(self) -> list[int]:
        """The positions on the budget: every evaluation or epoch, or 200 of more, evenly spread."""
        points = np.linspace(1, self.amount, min(self.amount, POSITIONS))
        return sorted({int(each) for each in points.round()})

    def within(self, rows: Sequence[Row]) -> list[Row]:
        """Return the evaluations that were finished within the budget."""
        return list(
            rows[: bisect_right(rows, self.amount, key=lambda row: getattr(row, self.axis))]
        )

    def __str__(self) -> str:
        return f"{self.amount:,} {self.unit}"


def study_rows(studies: Sequence[Record]) -> dict[str, dict[int, list[Row]]]:
    """Return the evaluations of `studies`, which have the same objectives.

    With two, the hypervolume is the area that the front dominates, from 0 to 1: its reference
    point is accuracy 0 at the greatest cost of a complete trial of these studies, and costs are
    fractions of that.
    """
    complete = (trial for study in studies for trial in study.complete)
    greatest = max((trial.values[1] for trial in complete if len(trial.values) > 1), default=0.0)
    rows: dict[str, dict[int, list[Row]]] = {}
    for study in studies:
        rows.setdefault(study.sampler, {})[study.seed] = _rows(study, _counted(study), greatest)
    return rows


def _counted(study: Record) -> list[tuple[FrozenTrial, Spent]]:
    pairs = zip(study.finished, spent(study.finished), strict=True)
    return [(trial, cost) for trial, cost in pairs if not TrialRecord.of(trial).free]


def _rows(study: Record, trials: Sequence[tuple[FrozenTrial, Spent]], greatest: float) -> list[Row]:
    rows: list[Row] = []
    best, winner = None, None
    points: list[tuple[float, float]] = []  # the front of accuracy and cost, of two objectives
    total = Spent()
    candidates = {trial.number for trial in study.complete}
    for evaluation, (trial, cost) in enumerate(trials, 1):
        values = trial.values or []
        if trial.number in candidates and len(values) > 1:
            points = front([*points, (values[0], values[1])], lambda point: point)
            best = hypervolume(points, greatest)
        elif trial.number in candidates and (best is None or values[0] > best):
            best, winner = values[0], trial.number
        total = Spent(total.epochs + cost.epochs, total.seconds + cost.seconds)
        rows.append(
            Row(
                study=study.name,
                sampler=study.sampler,
                seed=study.seed,
                evaluation=evaluation,
                number=trial.number,
                state=trial.state.name.lower(),
                value=values[0] if values else None,
                cost=values[1] if len(values) > 1 else None,
                incumbent=best,
                winner=winner,
                epochs=cost.epochs,
                seconds=cost.seconds,
                total_epochs=total.epochs,
                total_seconds=total.seconds,
            )
        )
    return rows


def hypervolume(points: Iterable[tuple[float, float]], greatest: float) -> float:
    """Return the share of [0, 1] x [0, greatest] that `points` (accuracy, cost) dominate.

    Source: Zitzler and Thiele 1998; in two dimensions a sum of rectangles.
    """
    area, accuracy = 0.0, 0.0
    for value, cost in front(points, lambda point: point):
        if value > accuracy and greatest > 0:
            area += (value - accuracy) * (1 - cost / greatest)
            accuracy = value
    return area


def csv_output(path: str | Path) -> Output:
    return Output(Path(path), "csv", "table of ours", ",".join(NAMES[:6]).encode())


def write_csv(path: str | Path, rows: Iterable[Row]) -> None:
    """Write a line an evaluation, under a line of the names; a None is an empty cell.

    Raises StorageError if the file cannot be written, or exists and is no such table.
    """
    csv_output(path).write_table(NAMES, (row.to_json() for row in rows))


def last_by(rows: Sequence[Row], axis: str, position: float) -> Row | None:
    """Return the last evaluation of a study that is finished by `position` on `axis`."""
    place = bisect_right(rows, position, key=lambda row: float(getattr(row, axis)))
    return rows[place - 1] if place else None


def incumbents(
    studies: Iterable[Sequence[Row]], axis: str, positions: Sequence[float]
) -> NDArray[np.float64]:
    """Return the incumbent of each study at each position (studies, positions); -inf if none.

    It is the true value, where that is known. A study that ended early keeps its last.
    """
    table = []
    for rows in studies:
        found = [last_by(rows, axis, position) for position in positions]
        table.append([-np.inf if row is None or row.worth is None else row.worth for row in found])
    return np.array(table, dtype=float).reshape(len(table), len(positions))


@dataclass(frozen=True)
class Curve:
    """The incumbents of one sampler along an axis: median and quartiles over its seeds.

    `positions` begin where every study has an incumbent. They end with the budget, on its axis,
    and on others with the shortest of the studies; where nothing is known of an axis there are
    none.
    """

    sampler: str
    axis: str
    positions: tuple[float, ...] = field(repr=False)
    lower: tuple[float, ...] = field(repr=False)
    median: tuple[float, ...] = field(repr=False)
    upper: tuple[float, ...] = field(repr=False)

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


def curves(studies: Studies, budget: Budget | None = None) -> list[Curve]:
    """Return one curve for each sampler and axis of `AXES`.

    Studies that are done with `budget` are followed to its end, else all to that of the shortest.
    """
    return [
        _curve(sampler, axis, list(seeds.values()), budget)
        for axis in AXES
        for sampler, seeds in studies.items()
    ]


def _curve(
    sampler: str, axis: str, studies: Sequence[Sequence[Row]], budget: Budget | None
) -> Curve:
    ends = [float(getattr(rows[-1], axis)) if rows else 0.0 for rows in studies]
    shortest = min(ends)
    end = float(budget.amount) if budget is not None and axis == budget.axis else shortest
    if axis == "evaluation":
        # of studies that ended long before their budget, not each evaluation that never was
        positions = np.append(np.arange(1.0, min(end, max(ends) + 1)), end if end else [])
    else:
        positions = np.linspace(end / POINTS, end, POINTS if end else 0)
    table = incumbents(studies, axis, positions.tolist())
    known = np.isfinite(table).all(axis=0)
    quartiles = np.percentile(table[:, known], [25, 50, 75], axis=0)
    lower, median, upper = (tuple(each.tolist()) for each in quartiles)
    return Curve(sampler, axis, tuple(positions[known].tolist()), lower, median, upper)
