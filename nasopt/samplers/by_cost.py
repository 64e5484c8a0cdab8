"""`prunes_by_cost`: pruning in a study of an accuracy and a cost, for which Optuna has none.

A cost is known before a network is trained, so a trial has to stand up to those that cost no more:
if it lags behind them it will not reach the front. Among them there is one objective left, and any
pruner of Optuna can judge (Optuna itself refuses: its issue 3450).
"""

import copy
from collections.abc import Container, Mapping
from typing import Any, cast

import optuna
from optuna.storages import BaseStorage
from optuna.study import Study, StudyDirection
from optuna.trial import FrozenTrial, TrialState

from nasopt.storage.record import reports_of


def prunes_by_cost(trial: optuna.Trial, cost: str, reports: Mapping[int, float]) -> bool:
    """Return what the pruner of a study says of `trial`, among the trials that cost no more.

    `reports` are the scores of the trial so far, by step. `cost` is the user attribute that trials
    have their second objective in; those without it are left aside.
    """
    study = trial.study
    frozen = study._storage.get_trial(trial._trial_id)
    storage = _Cheaper(study._storage, frozen, cost, reports)
    judged = Study(study.study_name, cast(BaseStorage, storage), pruner=study.pruner)
    return judged.pruner.prune(judged, _of_one_objective(frozen, reports))


class _Cheaper:
    """The trials that cost no more than `trial`, as the storage of a study of one objective."""

    get_best_trial = BaseStorage.get_best_trial

    def __init__(
        self, storage: BaseStorage, trial: FrozenTrial, cost: str, reports: Mapping[int, float]
    ) -> None:
        self._storage = storage
        self._trial = trial
        self._cost = cost
        self._reports = reports

    def get_study_directions(self, study_id: int) -> list[StudyDirection]:
        return [StudyDirection.MAXIMIZE]

    def get_all_trials(
        self,
        study_id: int,
        deepcopy: bool = True,
        states: Container[TrialState] | None = None,
    ) -> list[FrozenTrial]:
        limit = self._trial.user_attrs[self._cost]
        trials = self._storage.get_all_trials(study_id, deepcopy=False, states=states)
        return [
            _of_one_objective(
                each, self._reports if each.number == self._trial.number else reports_of(each)
            )
            for each in trials
            if each.user_attrs.get(self._cost, limit + 1) <= limit
        ]

    def __getattr__(self, name: str) -> Any:
        return getattr(self._storage, name)


def _of_one_objective(trial: FrozenTrial, reports: Mapping[int, float]) -> FrozenTrial:
    found = copy.copy(trial)
    found.values = trial.values and trial.values[:1]
    found.intermediate_values = dict(reports)
    return found
