"""The learning of networks, epoch by epoch, and the epochs that pruning the poor ones saved."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from statistics import median
from typing import Any

from optuna.trial import TrialState

from nasopt.analysis.record import Record
from nasopt.storage.budget import spent
from nasopt.storage.record import EndedBy, TrialRecord, reports_of


@dataclass(frozen=True)
class LearningCurve:
    """The accuracies of one trial after the epochs `steps`; `pruned` if it ended early."""

    study: str
    number: int
    pruned: bool
    steps: tuple[int, ...]
    accuracies: tuple[float, ...]


def learning_curves(studies: Sequence[Record]) -> list[LearningCurve]:
    """Return the curves of the trials that count."""
    return [
        LearningCurve(
            study.name, trial.number, trial.state is TrialState.PRUNED, *zip(*steps, strict=True)
        )
        for study in studies
        for trial in study.counted
        if (steps := sorted(reports_of(trial).items()))
    ]


@dataclass(frozen=True)
class Epoch:
    """The accuracies after epoch `number` of the trials that got there, `trials` of them."""

    number: int
    trials: int
    best: float
    median: float
    worst: float


def epoch_by_epoch(curves: Sequence[LearningCurve]) -> list[Epoch]:
    """Return a summary of the curves, a line an epoch."""
    there: dict[int, list[float]] = {}
    for curve in curves:
        for step, accuracy in zip(curve.steps, curve.accuracies, strict=True):
            there.setdefault(step, []).append(accuracy)
    return [
        Epoch(step, len(found), max(found), median(found), min(found))
        for step, found in sorted(there.items())
    ]


@dataclass(frozen=True)
class Savings:
    """The savings of pruning: `epochs` were trained, of `whole` had nothing been pruned.

    A network has a training in each study that tried it. Of the `trainings` some were `pruned`
    since they lagged behind; some were `broken` off since their loss was no number any more, or
    memory ran out, which saves nothing.
    """

    trainings: int
    pruned: int
    broken: int
    epochs: int
    whole: int

    @property
    def share(self) -> float:
        """The share of the epochs that was saved."""
        return 1 - self.epochs / self.whole if self.whole else 0.0

    def to_json(self) -> dict[str, Any]:
        return {**asdict(self), "share": self.share}


def savings(studies: Sequence[Record]) -> Savings:
    """Return what pruning saved, as if each network were trained in its study (see `budget`)."""
    trainings = pruned = broken = epochs = saved = 0
    for study in studies:
        trained = (t for t in study.counted if t.state is not TrialState.FAIL)
        records = ((trial, TrialRecord.of(trial)) for trial in trained)
        furthest = {record.key: (trial, record) for trial, record in records if record.key}
        ended_early = [r for t, r in furthest.values() if t.state is TrialState.PRUNED]
        lagging = [record for record in ended_early if record.ended_by is EndedBy.PRUNER]
        trainings += len(furthest)
        pruned += len(lagging)
        broken += len(ended_early) - len(lagging)
        epochs += sum(each.epochs for each in spent(study.counted))
        saved += sum(study.epochs - (record.epochs or 0) for record in lagging)
    return Savings(trainings, pruned, broken, epochs, epochs + saved)
