"""`Observations`: the values of a study's trials, as numbers for a model."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from optuna.trial import FrozenTrial, TrialState

from nasopt.storage.record import reports_of

Floats = NDArray[np.float64]

LEAST_COMPLETE = 3  # trials with a report at a step, for values at that step to be used
FAR = 10  # spreads of the middle half, beyond which a value is taken for a nearer one
SLOPE_RANGE = (0.3, 3.0)
LARGEST = 1e100  # of a value: its square is still a number
PRUNED_NOISE = 2.0  # times that of a complete trial's value


@dataclass(frozen=True)
class Observations:
    """The `values` (n,) of trials, the higher the better, and the factors of their `noise` (n,)."""

    values: Floats
    noise: Floats


def observe(trials: Sequence[FrozenTrial], sign: int) -> Observations:
    """Return the observations of finished `trials`; `sign` is -1 if values are to be minimised.

    The last report of a pruned trial is mapped to the value that it leads to by a line, fitted to
    complete trials. Those that failed, or broke a constraint, count as the worst of the complete
    ones.
    """
    complete = [trial for trial in trials if is_complete(trial)]
    finals = _finite(np.array([sign * trial.values[0] for trial in complete]))
    finals = np.clip(finals, -LARGEST, LARGEST)
    worst = float(finals.min()) if len(finals) else 0.0
    final = {trial.number: value for trial, value in zip(complete, finals, strict=True)}
    lines: dict[int, Callable[[float], float] | None] = {}
    values, noise = np.full(len(trials), worst), np.ones(len(trials))
    for row, trial in enumerate(trials):
        if trial.number in final:
            values[row] = final[trial.number]
        elif trial.state is TrialState.PRUNED and is_feasible(trial):
            noise[row] = PRUNED_NOISE
            reports = reports_of(trial)
            step = max(reports, default=None)
            if step is not None and math.isfinite(reports[step]):
                if step not in lines:
                    lines[step] = _line(complete, finals, step, sign)
                line = lines[step]
                if line is not None:
                    values[row] = line(sign * reports[step])
    return Observations(values, noise)


def is_complete(trial: FrozenTrial) -> bool:
    return trial.state is TrialState.COMPLETE and is_feasible(trial)


def is_feasible(trial: FrozenTrial) -> bool:
    return all(violation <= 0 for violation in trial.constraints.values())


def _line(
    complete: Sequence[FrozenTrial], finals: Floats, step: int, sign: int
) -> Callable[[float], float] | None:
    """Return the line from a value at `step` to the final one, or None if too few are complete.

    It is fitted by least squares, the slope shrunk to 1. Early values far from all others are taken
    for the nearest that is not: one loss that exploded would turn the line.
    """
    pairs = [
        (sign * reports_of(trial)[step], value)
        for trial, value in zip(complete, finals, strict=True)
        if math.isfinite(reports_of(trial).get(step, math.nan))
    ]
    if len(pairs) < LEAST_COMPLETE:
        return None
    early, late = np.array(pairs).T
    early = brought_near(early, early, middle_spread(late))
    centred = early - early.mean()
    spread = float(centred @ centred)
    slope = float(centred @ (late - late.mean())) / spread if spread > 0 else 1.0
    slope = float(np.clip((len(pairs) * slope + 5) / (len(pairs) + 5), *SLOPE_RANGE))
    return lambda value: float(late.mean() + slope * (value - early.mean()))


def brought_near(values: Floats, others: Floats, least_spread: float = 0.0) -> Floats:
    """Return `values`, those far from the middle half of the `others` brought nearer to it.

    Far is ten times its spread, or `least_spread` if that is more; all stay where both are 0.
    """
    low, high = np.quantile(others, (0.25, 0.75))
    far = FAR * max(middle_spread(others), least_spread)
    near: Floats = np.clip(values, low - far, high + far) if far > 0 else values
    return near


def middle_spread(values: Floats) -> float:
    """Return the spread of the middle half of `values`."""
    low, high = np.quantile(values, (0.25, 0.75))
    return float(high - low)


def _finite(values: Floats) -> Floats:
    """Return `values`, infinite ones replaced by the extremes of the others."""
    finite = values[np.isfinite(values)]
    if not len(finite):
        return np.nan_to_num(values, posinf=1.0, neginf=-1.0)
    return np.clip(values, finite.min(), finite.max())


@dataclass(frozen=True)
class Target:
    """The modelled form of values: `scores` (n,), and the way back from any scores to values."""

    scores: Floats
    value_of: Callable[[Floats], Floats]


def normal_scores(values: Floats) -> Target:
    """Return normal quantiles of the ranks, which are steady early and robust to poor networks.

    Ranks tell nothing beyond the best and the worst, so the way back ends there.
    """
    from scipy.special import ndtri

    _, place, counts = np.unique(values, return_inverse=True, return_counts=True)
    ranks = (np.cumsum(counts) - counts / 2)[place]  # the mean of those that are tied, less a half
    scores: Floats = ndtri(ranks / len(values))
    order = np.argsort(values, kind="stable")
    return Target(scores, lambda at: np.interp(at, scores[order], values[order]))


def winsorised(values: Floats) -> Target:
    """Return standardised values, low ones raised, so that they do not hide the good ones."""
    median, high = np.quantile(values, [0.5, 0.9])
    raised = np.maximum(values, median - 4 * (high - median))
    mean, deviation = raised.mean(), raised.std()
    scores = (raised - mean) / deviation if deviation > 0 else raised * 0
    return Target(scores, lambda at: mean + deviation * at)
