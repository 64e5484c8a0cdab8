"""`Reports`: the epochs of a trial, reported and asked about as they come, and what they end as."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import closing

import optuna

from nasopt.errors import OutOfMemory
from nasopt.search.experiment import Experiment
from nasopt.space.model import Cost
from nasopt.storage.record import EndedBy, TrialRecord
from nasopt.training.evaluation import EpochResult, Evaluation, HasKey
from nasopt.training.profiling import Timer, no_timer


class Reports:
    """The epochs of trials of `experiment`, told to their study.

    `epochs` gives the results of an evaluation: a benchmark's table and a GPU are the same here.
    `cost` gives the cost of a network, by default what is known of it without measuring.
    `should_prune` is Optuna's, or a storage's that keeps the verdict.
    """

    def __init__(
        self,
        experiment: Experiment,
        epochs: Callable[[Evaluation], Iterator[EpochResult]],
        should_prune: Callable[[optuna.Trial], bool] = lambda trial: trial.should_prune(),
        timer: Timer = no_timer,
        cost: Callable[[HasKey], Cost] | None = None,
    ) -> None:
        self.experiment = experiment
        self.cost = experiment.cost if cost is None else cost
        self.epochs = epochs
        self.should_prune = should_prune
        self.timer = timer

    def results(self, trial: optuna.Trial, evaluation: Evaluation) -> Iterator[EpochResult]:
        """Yield every epoch, reported as it comes.

        Raises TrialPruned, with the reason.
        A trial that died once has reported some of its epochs: the pruner is asked from the last
        of them on, since death may have come between report and question. It is never asked for
        the last epoch, which is paid by then. Two objectives are neither reported nor pruned:
        Optuna refuses.
        """
        told = _last_step(trial)
        single = len(self.experiment.objectives) == 1
        with closing(self.epochs(evaluation)) as epochs:  # type: ignore[type-var]
            for result in epochs:
                if single and result.epoch > told:
                    trial.report(self.score(result), step=result.epoch)
                self.timer("storage")
                yield result
                if result.diverged:
                    raise optuna.TrialPruned(f"loss not finite in epoch {result.epoch}")
                undecided = told <= result.epoch < evaluation.recipe.epochs
                pruned = single and undecided and self.should_prune(trial)
                self.timer("storage")
                if pruned:
                    raise optuna.TrialPruned(f"pruned after epoch {result.epoch}")

    def values(self, evaluation: Evaluation, last: EpochResult) -> tuple[float, ...]:
        """Return one number for each objective."""
        cost = self.cost(evaluation.architecture)
        return tuple(
            self.score(last) if name == "accuracy" else float(getattr(cost, name))
            for name in self.experiment.objectives
        )

    def score(self, result: EpochResult) -> float:
        return result.score(self.experiment.metric)


def _last_step(trial: optuna.Trial) -> int:
    storage = getattr(trial, "storage", None)  # a FrozenTrial has none, and reports nothing
    return 0 if storage is None else storage.get_trial(trial._trial_id).last_step or 0


def record_of(
    results: Sequence[EpochResult], replayed: int, error: Exception | None = None
) -> TrialRecord:
    """Return the record of a trial that ended after `results`, by `error` if not by itself.

    `replayed` is the number of epochs that were known when it began.
    """
    devices = dict.fromkeys(result.device for result in results if result.device)
    return TrialRecord(
        ended_by=EndedBy.TRAINED if error is None else _cause(error, results),
        reason=None if error is None else str(error),
        epochs=len(results),
        seconds=sum(result.seconds for result in results),
        replayed_epochs=min(replayed, len(results)),
        device=", then ".join(devices) or None,
        # bit-identity holds on one device, torch and thread count
        mixed=len({(result.device, result.torch) for result in results}) > 1,
    )


def _cause(error: Exception, results: Sequence[EpochResult]) -> EndedBy:
    if isinstance(error, OutOfMemory):
        return EndedBy.MEMORY
    return EndedBy.DIVERGED if results[-1].diverged else EndedBy.PRUNER
