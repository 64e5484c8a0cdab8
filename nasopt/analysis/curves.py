"""Finished studies -> tidy rows -> how the best found so far grows with what was spent.

Costs are as if each network had been trained in its study: see `nasopt.budget`.
"""

from bisect import bisect_right
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import optuna
from numpy.typing import NDArray
from optuna.trial import FrozenTrial, TrialState

from nasopt.budget import Spent, spent
from nasopt.claims import FREE

AXES = ("evaluation", "total_epochs", "total_seconds")
POINTS = 100  # of a curve over epochs or seconds


@dataclass(frozen=True)
class Row:
    """One evaluation of a study: a trial that counts to its budget.

    `value` is the accuracy (a fraction; the last one reported), `cost` the second objective where
    there are two. `incumbent` is the best value of a complete trial so far, and `winner` the number
    of that trial; with two objectives it is the hypervolume of the front, and there is no winner.
    `epochs` and `seconds` are what the evaluation costs, as if trained; `total_...` up to here.
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

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


Studies = Mapping[str, Mapping[int, Sequence[Row]]]  # sampler -> seed -> rows, in order


def study_rows(studies: Sequence[optuna.Study]) -> dict[str, dict[int, list[Row]]]:
    """The evaluations of `studies`, which have the same objectives.

    With two, the hypervolume is the area that the front dominates, from 0 to 1: its reference
    point is accuracy 0 at the greatest cost of a complete trial of these studies, and costs are
    fractions of that.
    """
    finished = {study: _counted(study) for study in studies}
    greatest = max(
        (
            trial.values[1]
            for trials in finished.values()
            for trial, _ in trials
            if _has_cost(trial)
        ),
        default=0.0,
    )
    rows: dict[str, dict[int, list[Row]]] = {}
    for study, trials in finished.items():
        attrs = study.user_attrs
        rows.setdefault(attrs["sampler"], {})[attrs["seed"]] = _rows(study, trials, greatest)
    return rows


def _counted(study: optuna.Study) -> list[tuple[FrozenTrial, Spent]]:
    trials = [trial for trial in study.get_trials(deepcopy=False) if trial.state.is_finished()]
    pairs = zip(trials, spent(trials), strict=True)
    return [(trial, cost) for trial, cost in pairs if FREE not in trial.user_attrs]


def _has_cost(trial: FrozenTrial) -> bool:
    return trial.state is TrialState.COMPLETE and len(trial.values) > 1


def _rows(
    study: optuna.Study, trials: Sequence[tuple[FrozenTrial, Spent]], greatest: float
) -> list[Row]:
    attrs = study.user_attrs
    rows: list[Row] = []
    best, winner = None, None
    points: list[tuple[float, float]] = []  # accuracy and cost, with two objectives
    total = Spent()
    for evaluation, (trial, cost) in enumerate(trials, 1):
        values = trial.values or []
        if _has_cost(trial):
            points.append((values[0], values[1]))
            best = hypervolume(points, greatest)
        elif trial.state is TrialState.COMPLETE and (best is None or values[0] > best):
            best, winner = values[0], trial.number
        total = Spent(total.epochs + cost.epochs, total.seconds + cost.seconds)
        rows.append(
            Row(
                study=study.study_name,
                sampler=attrs["sampler"],
                seed=attrs["seed"],
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
    """The share of [0, 1] x [0, greatest] that `points` (accuracy, cost) dominate.

    Source: Zitzler and Thiele 1998; in two dimensions a sum of rectangles.
    """
    area, accuracy = 0.0, 0.0
    for value, cost in sorted(points, key=lambda point: (point[1], -point[0])):
        if value > accuracy and greatest > 0:
            area += (value - accuracy) * (1 - cost / greatest)
            accuracy = value
    return area


def last_by(rows: Sequence[Row], axis: str, position: float) -> Row | None:
    """The last evaluation of a study that is finished by `position` on `axis`."""
    place = bisect_right(rows, position, key=lambda row: float(getattr(row, axis)))
    return rows[place - 1] if place else None


def incumbents(
    studies: Iterable[Sequence[Row]], axis: str, positions: Sequence[float]
) -> NDArray[np.float64]:
    """(studies, positions): the incumbent of each study at each position; -inf where none is."""
    table = []
    for rows in studies:
        found = [last_by(rows, axis, position) for position in positions]
        table.append(
            [-np.inf if row is None or row.incumbent is None else row.incumbent for row in found]
        )
    return np.array(table, dtype=float).reshape(len(table), len(positions))


@dataclass(frozen=True)
class Curve:
    """Incumbents of one sampler along an axis: median and quartiles over its seeds.

    `positions` begin where every study has an incumbent, and end with the shortest of them.
    """

    sampler: str
    axis: str
    positions: tuple[float, ...]
    lower: tuple[float, ...]
    median: tuple[float, ...]
    upper: tuple[float, ...]

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


def curves(studies: Studies) -> list[Curve]:
    """One curve a sampler and axis of `AXES`."""
    return [
        _curve(sampler, axis, list(seeds.values()))
        for axis in AXES
        for sampler, seeds in studies.items()
    ]


def _curve(sampler: str, axis: str, studies: Sequence[Sequence[Row]]) -> Curve:
    shortest = min(float(getattr(rows[-1], axis)) if rows else 0.0 for rows in studies)
    if axis == "evaluation":
        positions = np.arange(1.0, shortest + 1)
    else:
        positions = np.linspace(shortest / POINTS, shortest, POINTS)
    table = incumbents(studies, axis, positions.tolist())
    known = np.isfinite(table).all(axis=0)
    quartiles = np.percentile(table[:, known], [25, 50, 75], axis=0)
    lower, median, upper = (tuple(each.tolist()) for each in quartiles)
    return Curve(sampler, axis, tuple(positions[known].tolist()), lower, median, upper)
