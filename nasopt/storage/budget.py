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


def spent(trials: Iterable[FrozenTrial]) -> list[Spent]:
    """Return the cost of each of a study's finished `trials`, as if trained in this study alone.

    It does not matter what the ledger knew from elsewhere. Free trials (repeats, networks over a
    limit) cost nothing; one that goes on with an earlier trial costs what it adds.
    """
    paid: dict[str, Spent] = {}
    costs = []
    for trial in trials:
        record = TrialRecord.of(trial)
        if record.free or record.key is None:
            costs.append(Spent())
            continue
        before = paid.get(record.key, Spent())
        total = Spent(record.epochs or 0, record.seconds or 0.0)
        costs.append(
            Spent(max(0, total.epochs - before.epochs), max(0.0, total.seconds - before.seconds))
        )
        paid[record.key] = max(before, total, key=lambda each: each.epochs)
    return costs
