"""How networks learn, epoch by epoch, and what pruning the poor ones saved."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from optuna.trial import TrialState

from nasopt.analysis.record import Record
from nasopt.budget import spent


@dataclass(frozen=True)
class LearningCurve:
    """The accuracies of one trial after the epochs `steps`; `pruned` if it was stopped early."""

    study: str
    number: int
    pruned: bool
    steps: tuple[int, ...]
    accuracies: tuple[float, ...]


def learning_curves(studies: Sequence[Record]) -> list[LearningCurve]:
    """Of the trials that count; those of two objectives report nothing and have none."""
    return [
        LearningCurve(
            study.name, trial.number, trial.state is TrialState.PRUNED, *zip(*steps, strict=True)
        )
        for study in studies
        for trial in study.counted
        if (steps := sorted(trial.intermediate_values.items()))
    ]


@dataclass(frozen=True)
class Savings:
    """`epochs` were trained, of `whole` that all these networks would have taken to their end."""

    networks: int
    pruned: int
    epochs: int
    whole: int

    @property
    def share(self) -> float:
        """Of the epochs, what was saved."""
        return 1 - self.epochs / self.whole if self.whole else 0.0

    def to_json(self) -> dict[str, Any]:
        return {**asdict(self), "share": self.share}


def savings(studies: Sequence[Record]) -> Savings:
    """What pruning saved; as if each network had been trained in its study (see `budget`)."""
    networks = pruned = epochs = whole = 0
    for study in studies:
        furthest = {
            trial.user_attrs["key"]: trial.state
            for trial in study.counted
            if "key" in trial.user_attrs
        }
        networks += len(furthest)
        pruned += sum(state is TrialState.PRUNED for state in furthest.values())
        epochs += sum(each.epochs for each in spent(study.counted))
        whole += study.epochs * len(furthest)
    return Savings(networks, pruned, epochs, whole)
