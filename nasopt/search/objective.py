"""`Objective`: a trial becomes an architecture and recipe, then epochs, reports and pruning."""

from collections.abc import Callable, Iterator
from contextlib import closing

import optuna

from nasopt.search.experiment import Experiment
from nasopt.space.model import Cost
from nasopt.training.evaluation import EpochResult, Evaluation, HasKey
from nasopt.training.profiling import Timer, no_timer


class Objective:
    """The values of a trial of `experiment`; `study.optimize` takes it, too.

    `epochs` gives the results of an evaluation: a benchmark's table and a GPU are the same here.
    `cost` gives the cost of a network, by default what is known of it without measuring.
    `should_prune` is Optuna's, or a storage's that keeps the verdict.
    """

    def __init__(
        self,
        experiment: Experiment,
        epochs: Callable[[Evaluation], Iterator[EpochResult]],
        should_prune: Callable[[optuna.Trial], bool] = optuna.Trial.should_prune,
        timer: Timer = no_timer,
        cost: Callable[[HasKey], Cost] | None = None,
    ) -> None:
        self.experiment = experiment
        self.cost = experiment.cost if cost is None else cost
        self.epochs = epochs
        self.should_prune = should_prune
        self.timer = timer

    def __call__(self, trial: optuna.Trial) -> float | tuple[float, ...]:
        evaluation = self.suggest(trial)
        *_, last = self.results(trial, evaluation)
        return self.values(evaluation, last)

    def suggest(self, trial: optuna.Trial) -> Evaluation:
        """Ask for all parameters, whatever the depth: see `Space.suggest`."""
        hyperparameters = self.experiment.hyperparameters
        params = {name: field.suggest(trial, name) for name, field in hyperparameters.items()}
        return self.experiment.evaluation(params)

    def results(self, trial: optuna.Trial, evaluation: Evaluation) -> Iterator[EpochResult]:
        """Yield every epoch, reported as it comes.

        Raises TrialPruned, with the reason.
        A trial that died once has reported some of its epochs: the pruner is asked from the last
        of them on, since death may have come between report and question. It is never asked for
        the last epoch, which is paid by then. Two objectives are neither reported nor pruned:
        Optuna refuses.
        """
        told = trial.storage.get_trial(trial._trial_id).last_step or 0
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
