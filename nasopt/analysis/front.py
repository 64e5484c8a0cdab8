"""The Pareto front of accuracy against cost: the best accuracy of a network of each size."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Self, TypeVar

import numpy as np

from nasopt.analysis.record import Record
from nasopt.pareto import fronts
from nasopt.storage.record import TrialRecord

T = TypeVar("T")
COSTS = ("macs", "parameters")


def front(items: Iterable[T], point: Callable[[T], tuple[float, float]]) -> list[T]:
    """Return the items that no other beats in accuracy at the same or less cost, cheapest first.

    `point` gives (accuracy, cost) of an item; of equals the first stays.
    """
    those = list(items)
    rows = next(fronts([point(each)[0] for each in those], [point(each)[1] for each in those]), ())
    return [those[row] for row in rows]


def usual_range(values: Sequence[float]) -> tuple[float, float] | None:
    """Return a range from just below the lowest value that is no outlier to just above the highest.

    Outliers are more than 1.5 quartile distances below the first quartile (Tukey 1977). None
    without two different values.
    """
    if len(set(values)) < 2:
        return None
    first, third = np.percentile(values, [25, 75])
    low = min(value for value in values if value >= first - 1.5 * (third - first))
    margin = 0.05 * (max(values) - low) or 0.01 * max(values)
    return float(low - margin), float(max(values) + margin)


@dataclass(frozen=True)
class Point:
    """A trial that was trained to its end: its accuracy, and the cost of its network.

    A cost is a count, or a latency in seconds.
    """

    study: str
    number: int
    accuracy: float
    cost: float


@dataclass(frozen=True)
class TradeOff:
    """The accuracy against `cost` ("macs", "parameters" or "latency").

    `front` is in order of cost.
    """

    cost: str
    points: tuple[Point, ...] = field(repr=False)
    front: tuple[Point, ...]
    metric: str = "accuracy"  # that all accuracies are by

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    def times(self, factor: float) -> Self:
        """Return the same with all costs in a smaller unit."""
        points = {each: replace(each, cost=each.cost * factor) for each in self.points}
        return replace(
            self,
            points=tuple(points.values()),
            front=tuple(points[each] for each in self.front),
        )

    @property
    def shown(self) -> tuple[float, float] | None:
        """The range of accuracies without the few that would press all others together."""
        return usual_range([point.accuracy for point in self.points])

    def cheaper(self, points: float = 0.01) -> Point | None:
        """Return the cheapest of the front that is no more than `points` below the most accurate.

        None if that is the most accurate itself, or the front is empty.
        """
        last = self.front[-1] if self.front else None
        found = next((p for p in self.front if last and p.accuracy >= last.accuracy - points), None)
        return None if found == last else found


def trade_off(studies: Sequence[Record], cost: str) -> TradeOff:
    """Return the complete trials of `studies` within their limits, each network once a study."""
    points = [
        Point(study.name, trial.number, trial.values[0], amount)
        for study in studies
        for trial in study.complete
        if (amount := getattr(TrialRecord.of(trial), cost, None)) is not None
    ]
    best = front(points, lambda point: (point.accuracy, point.cost))
    return TradeOff(cost, tuple(points), tuple(best), studies[0].metric)
