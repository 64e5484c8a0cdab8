"""Which choices decide whether a network is among the best: PED-ANOVA."""

import warnings
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import optuna
from optuna.trial import FrozenTrial, TrialState

from nasopt.analysis.choices import kind_of
from nasopt.analysis.record import Record

FEWEST = 20  # complete trials: a tenth of fewer is a single network or two


@dataclass(frozen=True)
class Importances:
    """Parameter -> its share of the importance of all, which add up to 1; from `trials`."""

    trials: int
    parameters: dict[str, float]

    @property
    def by_kind(self) -> dict[str, float]:
        """Kind of choice ("conv.filters") -> the share of all its parameters, largest first."""
        return self._summed(kind_of)

    @property
    def by_place(self) -> dict[str, float]:
        """Layer ("conv03") -> the share of all its parameters, largest first."""
        return self._summed(lambda name: name.partition(".")[0])

    def _summed(self, group: Any) -> dict[str, float]:
        sums: dict[str, float] = {}
        for name, share in self.parameters.items():
            sums[group(name)] = sums.get(group(name), 0.0) + share
        return dict(sorted(sums.items(), key=lambda item: -item[1]))

    def to_json(self) -> dict[str, Any]:
        return {**asdict(self), "by_kind": self.by_kind, "by_place": self.by_place}


def importances(studies: Sequence[Record]) -> Importances | None:
    """Of the parameters of `studies` of one experiment, for an accuracy among the best tenth.

    None below 20 complete trials, or where nothing that was chosen made a difference.
    Source: Watanabe et al. 2023 (arXiv:2304.10255), as Optuna has it.
    """
    from optuna.importance import PedAnovaImportanceEvaluator  # imports scikit-learn

    trials = [t for s in studies for t in s.counted if t.state is TrialState.COMPLETE]
    if len(trials) < FEWEST:
        return None
    study = _study_of(trials)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        found = PedAnovaImportanceEvaluator().evaluate(study)
    total = sum(found.values())
    if not total > 0:
        return None
    return Importances(len(trials), {name: found[name] / total for name in trials[0].params})


def _study_of(trials: Sequence[FrozenTrial]) -> optuna.Study:
    """A study in memory with their accuracies; `add_trial` would check each of them again."""
    storage = optuna.storages.InMemoryStorage()
    study = optuna.create_study(storage=storage, direction="maximize")
    study_id = storage.get_study_id_from_name(study.study_name)
    for trial in trials:
        bare = FrozenTrial(
            number=trial.number, state=trial.state, value=trial.values[0], trial_id=trial.number,
            datetime_start=trial.datetime_start, datetime_complete=trial.datetime_complete,
            params=trial.params, distributions=trial.distributions,
            user_attrs={}, system_attrs={}, intermediate_values={},
        )  # fmt: skip
        storage.create_new_trial(study_id, template_trial=bare)
    return study
