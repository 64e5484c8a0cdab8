"""`Reports`: the epochs of a trial, reported and asked about as they come, and what they end as."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import closing

import optuna

from nasopt.errors import OutOfMemory
from nasopt.samplers.by_cost import prunes_by_cost
from nasopt.search.experiment import Experiment
from nasopt.space.model import Cost
from nasopt.storage.record import EndedBy, TrialRecord
from nasopt.training.evaluation import EpochResult, Evaluation, HasKey
from nasopt.training.profiling import Timer, no_timer

Ask = Callable[[], bool]  # asks a pruner


class Reports:
    """The epochs of trials of `experiment`, told to their study.

    `epochs` gives the results of an evaluation: a benchmark's table and a GPU are the same here.
    `cost` gives the cost of a network, by default what is known of it without measuring.
    `should_prune` is given a trial, its last step, a function that asks the pruner about it, and
    whether each verdict must be kept, as a storage can do.
    """

    def __init__(
        self,
        experiment: Experiment,
        epochs: Callable[[Evaluation], Iterator[EpochResult]],
        should_prune: Callable[[optuna.Trial, int, Ask, bool], bool] = (
            lambda trial, step, ask, keep: ask()
        ),
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
        the last epoch, which is paid by then. Optuna refuses reports to two objectives: those are
        kept here, and a trial of them is judged among those that cost no more.
        """
        told = _last_step(trial)
        reports: dict[int, float] = {}

        def ask() -> bool:
            if self.is_single or not isinstance(trial, optuna.Trial):  # one tried again
                return trial.should_prune()
            return prunes_by_cost(trial, self.experiment.objectives[1], reports)

        with closing(self.epochs(evaluation)) as epochs:  # type: ignore[type-var]
            for result in epochs:
                reports[result.epoch] = self.score(result)
                if self.is_single and result.epoch > told:
                    trial.report(reports[result.epoch], step=result.epoch)
                self.timer("storage")
                yield result
                if result.diverged:
                    raise optuna.TrialPruned(f"loss not finite in epoch {result.epoch}")
                undecided = told <= result.epoch < evaluation.recipe.epochs
                pruned = undecided and self.should_prune(
                    trial, result.epoch, ask, not self.is_single
                )
                self.timer("storage")
                if pruned:
                    raise optuna.TrialPruned(f"pruned after epoch {result.epoch}")

    @property
    def is_single(self) -> bool:
        return len(self.experiment.objectives) == 1

    def values(self, evaluation: Evaluation, last: EpochResult) -> tuple[float, ...]:
        """Return one number for each objective."""
        cost = self.cost(evaluation.architecture)
        return tuple(
            self.score(last) if name == "accuracy" else float(getattr(cost, name))
            for name in self.experiment.objectives
        )

    def score(self, result: EpochResult) -> float:
        return result.score(self.experiment.metric)

    def record_of(
        self, results: Sequence[EpochResult], replayed: int, error: Exception | None = None
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
            reports=() if self.is_single else tuple(map(self.score, results)),
            device=", then ".join(devices) or None,
            # bit-identity holds on one device, torch and thread count
            mixed=len({(result.device, result.torch) for result in results}) > 1,
        )


def _last_step(trial: optuna.Trial) -> int:
    storage = getattr(trial, "storage", None)  # a FrozenTrial has none, and reports nothing
    return 0 if storage is None else storage.get_trial(trial._trial_id).last_step or 0


def _cause(error: Exception, results: Sequence[EpochResult]) -> EndedBy:
    if isinstance(error, OutOfMemory):
        return EndedBy.MEMORY
    return EndedBy.DIVERGED if results[-1].diverged else EndedBy.PRUNER
