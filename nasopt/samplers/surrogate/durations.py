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
        model: Callable[[Floats, Floats], "Posterior"],
    ) -> "Durations | None":
        """Return what `trials` at `columns` (n, c) tell, or None if too few say how long they took.

        `model` makes a posterior of columns and standard scores.
        """
        seconds = [seconds_of(trial) for trial in trials]
        rows = [row for row, each in enumerate(seconds) if each is not None]
        if len(rows) < LEAST_TIMED:
            return None
        logs = np.log(np.array([seconds[row] for row in rows], dtype=float))
        deviation = max(float(logs.std()), LEAST_DEVIATION)
        return cls(model(columns[rows], (logs - logs.mean()) / deviation), deviation)
