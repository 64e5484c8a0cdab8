"""The cost of a study, as if every network of it had been trained in it."""

from collections.abc import Iterable
from dataclasses import dataclass

from optuna.trial import FrozenTrial

from nasopt.storage.record import TrialRecord


@dataclass(frozen=True)
class Spent:
    """The cost of one trial: epochs, and seconds of training."""

    epochs: int = 0
    seconds: float = 0.0


class Costs:
    """The costs of a study's finished trials, as if trained in this study alone.

    It does not matter what the ledger knew from elsewhere. Free trials (repeats, networks over a
    limit) cost nothing; one that goes on with an earlier trial costs what it adds.
    """

    def __init__(self) -> None:
        self._paid: dict[str, Spent] = {}

    def add(self, trial: TrialRecord) -> Spent:
        """Return the cost of the next finished trial."""
        if trial.free or trial.key is None:
            return Spent()
        before = self._paid.get(trial.key, Spent())
        total = Spent(trial.epochs or 0, trial.seconds or 0.0)
        self._paid[trial.key] = max(before, total, key=lambda each: each.epochs)
        return Spent(max(0, total.epochs - before.epochs), max(0.0, total.seconds - before.seconds))


def spent(trials: Iterable[FrozenTrial]) -> list[Spent]:
    """Return the cost of each of a study's finished `trials`, in order (see `Costs`)."""
    costs = Costs()
    return [costs.add(TrialRecord.of(trial)) for trial in trials]
