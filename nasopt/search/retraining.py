"""The retraining of a winner: its network trained again with fresh seeds.

The best of many noisy accuracies flatters itself: it was chosen for its luck as well.
"""

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from nasopt.analysis.winners import Retrained, fresh_seeds
from nasopt.training.evaluation import Evaluation

if TYPE_CHECKING:  # it imports torch, which what winners gave can be read without
    from nasopt.search.evaluator import Evaluator


def retrain(
    evaluator: "Evaluator",
    evaluation: Evaluation,
    replicates: int = 3,
    stop: Callable[[], bool] = lambda: False,
) -> Retrained:
    """Train `evaluation` with the `replicates` seeds after its own.

    `stop` is asked after each batch; on True Stopped is raised, and the same call goes on.
    """
    return Retrained(evaluation, tuple(_accuracies(evaluator, evaluation, replicates, stop)))


def _accuracies(
    evaluator: "Evaluator", evaluation: Evaluation, replicates: int, stop: Callable[[], bool]
) -> Iterator[float]:
    for fresh in fresh_seeds(evaluation, replicates):
        *_, last = evaluator.epochs(fresh, stop)
        yield last.score(evaluator.experiment.metric)
