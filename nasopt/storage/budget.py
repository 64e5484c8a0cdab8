"""The cost of a study, as if every network of it had been trained in it."""

from collections.abc import Iterable
from dataclasses import dataclass

from optuna.trial import FrozenTrial

from nasopt.storage.rdb import FREE


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
        attrs = trial.user_attrs
        if FREE in attrs or "key" not in attrs:
            costs.append(Spent())
            continue
        before = paid.get(attrs["key"], Spent())
        total = Spent(attrs.get("epochs", 0), attrs.get("seconds", 0.0))
        costs.append(
            Spent(max(0, total.epochs - before.epochs), max(0.0, total.seconds - before.seconds))
        )
        paid[attrs["key"]] = max(before, total, key=lambda each: each.epochs)
    return costs
