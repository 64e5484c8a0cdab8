"""The accuracies of winners that were trained again with fresh seeds."""

import math
import statistics
from collections.abc import Iterator
from dataclasses import dataclass, replace

from nasopt.training.evaluation import Evaluation


@dataclass(frozen=True)
class Retrained:
    """The validation accuracies of one network, one for each fresh training seed."""

    evaluation: Evaluation
    accuracies: tuple[float, ...]

    @property
    def mean(self) -> float:
        return statistics.fmean(self.accuracies)

    @property
    def standard_error(self) -> float:
        """The standard error of the mean; nan for a single seed."""
        if len(self.accuracies) < 2:
            return math.nan
        return statistics.stdev(self.accuracies) / math.sqrt(len(self.accuracies))


def fresh_seeds(evaluation: Evaluation, replicates: int) -> Iterator[Evaluation]:
    """Return the evaluations that `retrain` trains."""
    for seed in range(evaluation.seed + 1, evaluation.seed + replicates + 1):
        yield replace(evaluation, seed=seed)
