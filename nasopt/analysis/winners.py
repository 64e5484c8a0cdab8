"""The winners of studies, and their accuracies in other trainings of the same network.

The best of many noisy accuracies was chosen for its luck, too: so samplers are compared by the
accuracies of their winners when they are trained again. Nothing is trained here.
"""

import math
import statistics
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from nasopt.analysis.curves import Budget, Row, last_by
from nasopt.analysis.record import Record
from nasopt.storage.ledger import Ledger
from nasopt.storage.opening import folders
from nasopt.storage.rdb import Storage
from nasopt.training.evaluation import Evaluation

QUARTERS = 4
MOST_REPLICATES = 20  # that are looked for


@dataclass(frozen=True)
class Winner:
    """The best network of a study once `quarter` quarters of its budget were spent.

    `seen` is the accuracy that it was chosen for, flattered by its luck. `fresh` are those of the
    same network trained with other seeds, or all replicates that a benchmark has of it; empty where
    they are not known.
    """

    study: str
    sampler: str
    seed: int
    quarter: int  # 1 to 4
    number: int  # of the trial
    seen: float
    fresh: tuple[float, ...] = ()

    @property
    def fresh_mean(self) -> float:
        return statistics.fmean(self.fresh)

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


def quarter_winners(rows: Sequence[Row], budget: Budget) -> Iterator[Winner]:
    """Return the winners of one study, by quarters; none for a quarter without a complete trial."""
    for quarter in range(1, QUARTERS + 1):
        row = last_by(rows, budget.axis, budget.amount * quarter / QUARTERS)
        if row is not None and row.winner is not None and row.incumbent is not None:
            yield Winner(row.study, row.sampler, row.seed, quarter, row.winner, row.incumbent)


def fresh_accuracies(
    evaluation: Evaluation, accuracies: Mapping[str, float], replicates: int
) -> tuple[float, ...]:
    """Return the accuracies with `replicates` other seeds from a ledger's `accuracies` (by key).

    None are returned if not all are known. `evaluation` is the training that a winner won by.
    """
    found = []
    for fresh in fresh_seeds(evaluation, replicates):
        if fresh.key not in accuracies:
            return ()
        found.append(accuracies[fresh.key])
    return tuple(found)


def trained_again(study: Record, params: Mapping[str, Any], storage: Storage) -> tuple[float, ...]:
    """Return the accuracies in the ledger of the network of `params` with the seeds after its own.

    `nasopt compare` and `nasopt noise` train them. Of a benchmark nothing is in the ledger.
    """
    if study.is_benchmark:
        return ()
    ledger = Ledger(storage.engine, folders(storage).checkpoints, metric=study.metric)
    found = []
    for fresh in fresh_seeds(study.experiment.evaluation(params), MOST_REPLICATES):
        results = ledger.results(fresh.key)
        if not results or not (results[-1].diverged or len(results) == fresh.recipe.epochs):
            break
        found.append(results[-1].score(study.metric))
    return tuple(found)


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
    return map(evaluation.reseeded, range(1, replicates + 1))
