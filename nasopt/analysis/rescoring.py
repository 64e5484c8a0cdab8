"""`rescored`: a study as it would stand by another metric, from what the ledger kept."""

import copy
from dataclasses import replace

from optuna.trial import FrozenTrial

from nasopt.analysis.record import Record
from nasopt.errors import RecipeError, StudyError, closest
from nasopt.storage.attributes import PREDICTION, REPORTS
from nasopt.storage.ledger import Ledger
from nasopt.storage.opening import folders
from nasopt.storage.rdb import Storage
from nasopt.storage.record import TrialRecord
from nasopt.training.metrics import METRICS


def rescored(study: Record, storage: Storage, metric: str | None) -> Record:
    """Return `study` with its trials scored by `metric`; nothing is trained.

    They are the trials that its sampler and pruner chose by the metric that it searched by. Raises
    StudyError for a benchmark, or a trial whose confusion matrices were not kept.
    """
    if metric is None or metric == study.metric:
        return study
    if metric not in METRICS:
        raise RecipeError(f"metric={metric!r}: unknown; {closest(metric, METRICS)}")
    if study.is_benchmark:
        raise StudyError(
            f"metric={metric}: {study.name} is of a benchmark; it has accuracies alone"
        )
    ledger = Ledger(storage.engine, folders(storage).checkpoints, metric=metric)
    experiment = replace(study.experiment, objectives=(metric, *study.objectives[1:]))
    trained = {trial.number for trial in study.finished if TrialRecord.of(trial).epochs}
    trials = [
        _rescored(study, trial, ledger) if trial.number in trained else trial
        for trial in study.trials
    ]
    return replace(study, experiment=experiment, trials=trials, searched_by=study.metric)


def _rescored(study: Record, trial: FrozenTrial, ledger: Ledger) -> FrozenTrial:
    record = TrialRecord.of(trial)
    scores = [each.score(ledger.metric) for each in ledger.results(record.key or "")]
    epochs = record.epochs or 0
    if len(scores) < epochs:
        raise StudyError(
            f"metric={ledger.metric}: trial {trial.number} of {study.name} is of a version "
            "that kept no confusion matrices; search again, with Experiment(metric=..., name=...)"
        )
    told = copy.copy(trial)
    told.intermediate_values = {step: scores[step - 1] for step in trial.intermediate_values}
    if trial.values:
        told.values = [scores[epochs - 1], *trial.values[1:]]
    # what a model expected was of the other metric
    told.user_attrs = {k: v for k, v in trial.user_attrs.items() if k != PREDICTION}
    if record.reports:
        told.user_attrs[REPORTS] = scores[:epochs]
    return told
