"""`Objective`: an experiment as the objective of a study of plain Optuna."""

import shutil
import tempfile
import weakref
from pathlib import Path

import optuna

from nasopt.errors import OutOfMemory, StudyError
from nasopt.search.evaluator import Evaluator
from nasopt.search.experiment import DIRECTIONS, Experiment
from nasopt.search.reports import Reports
from nasopt.space.limits import LATENCY
from nasopt.storage.record import TrialRecord
from nasopt.training.evaluation import EpochResult, Evaluation


class Objective:
    """The objective of `experiment`, for a study of plain Optuna that keeps its own loop.

        study = optuna.create_study(direction="maximize", pruner=optuna.pruners.MedianPruner())
        study.optimize(nasopt.Objective(experiment), n_trials=20)
        experiment.space.decode(study.best_params)

    A trial is asked for all parameters, becomes a network, is trained, reports each epoch to the
    study's pruner and returns the experiment's metric, and the cost if that is the second
    objective. Costs, epochs and the reason of an early end are noted in its attributes. A network
    over a limit of the experiment is pruned untrained, its violation a constraint of the trial.

    Trainings are kept in the database at `storage`, a path or SQLAlchemy URL: a network that is
    known costs nothing, one that was pruned goes on. Without it they are known as long as the
    objective is.

    Raises an `Error` for a mistake that the user can fix.
    """

    def __init__(
        self, experiment: Experiment, *, storage: str | Path | None = None, device: str = "auto"
    ) -> None:
        self.experiment = experiment
        if storage is None:
            folder = tempfile.mkdtemp(prefix="nasopt-")
            weakref.finalize(self, shutil.rmtree, folder, ignore_errors=True)
            storage = Path(folder) / "trainings.db"
        self._evaluator = Evaluator(experiment, storage, device)
        evaluator = self._evaluator
        self._reports = Reports(experiment, evaluator.epochs, cost=evaluator.cost)

    def __call__(self, trial: optuna.Trial) -> float | tuple[float, ...]:
        self._check_directions(trial)
        evaluation = self.suggest(trial)
        self._begin(trial, evaluation)
        replayed = len(self._evaluator.ledger.results(evaluation.key))
        results: list[EpochResult] = []
        try:
            for result in self._reports.results(trial, evaluation):
                results.append(result)
        except (optuna.TrialPruned, OutOfMemory) as error:
            _note(trial, self._reports.record_of(results, replayed, error))
            raise optuna.TrialPruned(str(error)) from error
        _note(trial, self._reports.record_of(results, replayed))
        values = self._reports.values(evaluation, results[-1])
        return values if len(values) > 1 else values[0]

    def suggest(self, trial: optuna.Trial) -> Evaluation:
        """Ask for all parameters, whatever the depth, and return the training that they stand for.

        So the space is the same in every trial, and a sampler can model them jointly.
        """
        hyperparameters = self.experiment.hyperparameters
        params = {name: field.suggest(trial, name) for name, field in hyperparameters.items()}
        return self.experiment.evaluation(params)

    def _begin(self, trial: optuna.Trial, evaluation: Evaluation) -> None:
        """Note the network of `trial` and its costs; raise TrialPruned if it is over a limit."""
        cost = self._evaluator.cost(evaluation.architecture)
        violations = self.experiment.problem.violations(cost)
        for limit, excess in violations.items():
            trial.set_constraint(limit, excess)
        record = TrialRecord(
            key=evaluation.key,
            parameters=cost.parameters,
            macs=cost.macs,
            latency=getattr(cost, LATENCY, None),
        )
        _note(trial, record)
        broken = [limit for limit, excess in violations.items() if excess > 0]
        if broken:
            raise optuna.TrialPruned(f"over the limit: {', '.join(broken)}")

    def _check_directions(self, trial: optuna.Trial) -> None:
        """Raise StudyError for a study that would seek the worst."""
        if not isinstance(trial, optuna.Trial):  # one of a finished study, tried again
            return
        wanted = [DIRECTIONS[objective] for objective in self.experiment.objectives]
        found = [direction.name.lower() for direction in trial.study.directions]
        if found != wanted:
            shown = f"directions={wanted}" if len(wanted) > 1 else f'direction="{wanted[0]}"'
            raise StudyError(
                f"study={trial.study.study_name}: its directions are {', '.join(found)} for "
                f"{', '.join(self.experiment.objectives)}; write create_study({shown})"
            )


def _note(trial: optuna.Trial, record: TrialRecord) -> None:
    for name, value in record.to_attrs().items():
        trial.set_user_attr(name, value)
