"""`Durations`: how long a training takes, learnt from those of the study."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from optuna.trial import FrozenTrial

from nasopt.storage.record import seconds_of

if TYPE_CHECKING:
    from nasopt.samplers.surrogate.gaussian_process import Posterior

Floats = NDArray[np.float64]

LEAST_TIMED = 3  # trials
LEAST_DEVIATION = 0.05  # of logarithms: closer times are told apart by other work on the machine


@dataclass(frozen=True)
class Durations:
    """A Gaussian process on the logarithms of seconds, of which `deviation` is the unit."""

    posterior: "Posterior"
    deviation: float

    def logs(self, columns: Floats) -> Floats:
        """Return what is expected (n,) at `columns` (n, c), as logarithms of times the typical."""
        logs: Floats = self.deviation * self.posterior.mean(columns)
        return logs

    @classmethod
    def of(
        cls,
        trials: Sequence[FrozenTrial],
        columns: Floats,
        fitted: Callable[[int], int],
        model: Callable[[Floats, Floats, int], "Posterior"],
    ) -> "Durations | None":
        """Return what `trials` at `columns` (n, c) tell, or None if too few say how long they took.

        `model` makes a posterior of columns and scores, its kernel fitted to the first
        `fitted(len(scores))` of them. The scores are standard ones of these first, so that they
        stay what they are, and the kernel too, until more are fitted to.
        """
        seconds = seconds_of(trials)
        rows = [row for row, each in enumerate(seconds) if each is not None]
        if len(rows) < LEAST_TIMED:
            return None
        logs = np.log(np.array([seconds[row] for row in rows], dtype=float))
        first = fitted(len(rows))
        deviation = max(float(logs[:first].std()), LEAST_DEVIATION)
        scores = (logs - logs[:first].mean()) / deviation
        return cls(model(columns[rows], scores, first), deviation)
