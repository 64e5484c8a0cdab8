"""Believing a winner: its network trained again with fresh seeds.

The best of many noisy accuracies flatters itself: it was chosen for its luck as well.
"""

import math
import statistics
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from nasopt.evaluation import Evaluation

if TYPE_CHECKING:  # it imports torch, which what winners gave can be read without
    from nasopt.workshop import Workshop


@dataclass(frozen=True)
class Retrained:
    """Validation accuracies of one network, one for each fresh training seed."""

    evaluation: Evaluation
    accuracies: tuple[float, ...]

    @property
    def mean(self) -> float:
        return statistics.fmean(self.accuracies)

    @property
    def standard_error(self) -> float:
        """Of the mean; nan for a single seed."""
        if len(self.accuracies) < 2:
            return math.nan
        return statistics.stdev(self.accuracies) / math.sqrt(len(self.accuracies))


def retrain(
    workshop: "Workshop",
    evaluation: Evaluation,
    replicates: int = 3,
    stop: Callable[[], bool] = lambda: False,
) -> Retrained:
    """Train `evaluation` with the `replicates` seeds after its own.

    `stop` is asked after each batch; on True Stopped is raised, and the same call goes on.
    """
    return Retrained(evaluation, tuple(_accuracies(workshop, evaluation, replicates, stop)))


def fresh_seeds(evaluation: Evaluation, replicates: int) -> Iterator[Evaluation]:
    """The evaluations that `retrain` trains."""
    for seed in range(evaluation.seed + 1, evaluation.seed + replicates + 1):
        yield replace(evaluation, seed=seed)


def _accuracies(
    workshop: "Workshop", evaluation: Evaluation, replicates: int, stop: Callable[[], bool]
) -> Iterator[float]:
    for fresh in fresh_seeds(evaluation, replicates):
        *_, last = workshop.epochs(fresh, stop)
        yield last.accuracy
