"""The cost of a study, as if every network of it had been trained in it."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from optuna.trial import FrozenTrial

from nasopt.storage.rdb import FREE


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

    def add(self, attrs: Mapping[str, Any]) -> Spent:
        """Return the cost of the next finished trial, which has these user attributes."""
        if FREE in attrs or "key" not in attrs:
            return Spent()
        before = self._paid.get(attrs["key"], Spent())
        total = Spent(attrs.get("epochs", 0), attrs.get("seconds", 0.0))
        self._paid[attrs["key"]] = max(before, total, key=lambda each: each.epochs)
        return Spent(max(0, total.epochs - before.epochs), max(0.0, total.seconds - before.seconds))


def spent(trials: Iterable[FrozenTrial]) -> list[Spent]:
    """Return the cost of each of a study's finished `trials`, in order (see `Costs`)."""
    costs = Costs()
    return [costs.add(trial.user_attrs) for trial in trials]
