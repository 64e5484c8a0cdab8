"""Believing a winner: its network trained again with fresh seeds.

The best of many noisy accuracies flatters itself: it was chosen for its luck as well.
"""

import math
import statistics
from collections.abc import Iterator
from dataclasses import dataclass, replace

from nasopt.evaluation import Evaluation
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


def retrain(workshop: Workshop, evaluation: Evaluation, replicates: int = 3) -> Retrained:
    """Train `evaluation` with the `replicates` seeds after that of the experiment."""
    return Retrained(evaluation, tuple(_accuracies(workshop, evaluation, replicates)))


def _accuracies(workshop: Workshop, evaluation: Evaluation, replicates: int) -> Iterator[float]:
    for offset in range(1, replicates + 1):
        fresh = replace(evaluation, seed=workshop.experiment.seed + offset)
        *_, last = workshop.epochs(fresh)
        yield last.accuracy
