"""`Durations`: how long a training takes, learnt from those of the study."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from optuna.trial import FrozenTrial, TrialState

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


def seconds_of(trial: FrozenTrial) -> float | None:
    """Return the seconds of the training of a complete trial, or None if they are not known.

    They are those that nasopt has noted, as if trained at once; of a trial of plain Optuna, all
    from its beginning to its end.
    """
    if trial.state is not TrialState.COMPLETE:
        return None
    seconds = trial.user_attrs.get("seconds")
    if "seconds" not in trial.user_attrs and trial.duration is not None:
        seconds = trial.duration.total_seconds()
    known = isinstance(seconds, int | float) and math.isfinite(seconds) and seconds > 0
    return float(seconds) if known else None  # type: ignore[arg-type]
