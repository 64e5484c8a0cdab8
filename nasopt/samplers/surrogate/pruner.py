"""`SurrogatePruner`: a trial is stopped that a model of networks and curves gives no chance."""

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from optuna.pruners import BasePruner
from optuna.study import Study, StudyDirection
from optuna.trial import FrozenTrial, TrialState

from nasopt.samplers.points.observations import brought_near

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

STARTUP = 10  # complete trials, before which none is pruned
EQUAL = 1e-12  # of a deviation of values that are the same but for rounding
MOST_SEEN = 100  # complete trials that are modelled, the latest: that takes 20 ms
SIZE = ("macs", "parameters")  # user attributes, of which the logarithms are looked at


class SurrogatePruner(BasePruner):
    """A pruner of trials that will not reach the best, by three deviations.

    It is asked at each third of the epochs, once ten trials are complete. Final values are taken
    for a line in the values so far, of a slope around 1, and beyond it for a Gaussian process on
    the parameters and the size of the networks. Where early values say little, as of twenty layers
    on digits, the deviations are wide, and hardly a trial is pruned (docs/measurements.md).
    """

    def __init__(self, epochs: int, deviations: float = 3.0) -> None:
        self._epochs, self._deviations = epochs, deviations
        self.third = max(2, -(-epochs // 3))

    def prune(self, study: Study, trial: FrozenTrial) -> bool:
        step = trial.last_step
        if step is None or step % self.third:
            return False
        told = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
        sign = 1 if study.direction is StudyDirection.MAXIMIZE else -1
        curves = [
            (each, sign * each.intermediate_values.get(step, math.nan), sign * each.values[0])
            for each in told
        ]
        curves = [each for each in curves if math.isfinite(each[1]) and math.isfinite(each[2])]
        if len(curves) < STARTUP:
            return False
        now = sign * trial.intermediate_values[step]
        if not math.isfinite(now):
            return True
        trials, early, late = zip(*curves[-MOST_SEEN:], strict=True)
        mean, deviation = expected_value(
            *described([*trials, trial]), np.array([*early, now]), np.array(late)
        )
        best = max(value for _, _, value in curves)
        return bool(mean + self._deviations * deviation < best)


def expected_value(
    columns: Floats, groups: Ints, early: Floats, late: Floats
) -> tuple[float, float]:
    """Return what the last of n + 1 networks will reach, and the standard deviation of that.

    `columns` (n + 1, c) describe the networks; those of one of `groups` (c,) share a weight.
    `early` (n + 1,) are values at one step, and `late` (n,) the final ones of all but the last. The
    deviation is infinite if the numbers are too far apart for a model.
    """
    from nasopt.samplers.surrogate.gaussian_process import Posterior, Trend, fit, one_thread

    # a value that exploded would hide all differences between the others
    early, late = brought_near(early, early[:-1]), brought_near(late, late)
    with np.errstate(over="ignore", invalid="ignore"):  # of numbers that are too far apart
        middle, scale = float(late.mean()), float(late.std())
        if scale <= EQUAL * max(1.0, abs(middle)):
            scale = 1.0
        all_columns = np.column_stack([columns, (early - early[:-1].mean()) / scale])
    if not (np.isfinite(all_columns).all() and math.isfinite(middle) and math.isfinite(scale)):
        return 0.0, math.inf
    groups = np.append(groups, groups.max(initial=-1) + 1)
    seen, values, noise = all_columns[:-1], (late - middle) / scale, np.ones(len(late))
    trend = Trend(lambda given: given[:, -1:], np.ones(1), np.ones(1))
    try:
        with one_thread(), np.errstate(all="ignore"):
            kernel = fit(seen, groups, values, noise, trend)
            model = Posterior(kernel, seen, values, noise, trend)
            (mean,), (deviation,) = model.mean_and_deviation(all_columns[-1:])
    except (np.linalg.LinAlgError, ValueError):  # SciPy's of what is not finite
        return middle, math.inf
    spread = math.hypot(deviation, kernel.noise**0.5)
    return middle + scale * float(mean), scale * spread


def described(trials: Sequence[FrozenTrial]) -> tuple[Floats, Ints]:
    """Return columns (n, c) and their groups (c,): parameters, and sizes where all have one."""
    from nasopt.samplers.points.axes import Axes

    axes = Axes(trials[-1].distributions)
    with np.errstate(all="ignore"):  # of a range of all numbers there are
        points = axes.encode([each.params for each in trials])
        points[np.isinf(points)] = np.nan  # a choice that there is no longer
        columns, groups = [axes.columns(points, ~np.isnan(points))], list(axes.groups)
    for number, name in enumerate(SIZE):
        sizes = [each.user_attrs.get(name) for each in trials]
        if all(type(size) is int and size > 0 for size in sizes):
            logs = np.log(np.array(sizes, dtype=float))
            columns.append(((logs - logs.mean()) / (float(logs.std()) or 1.0))[:, None])
            groups.append(len(axes) + number)
    _, numbered = np.unique(np.array(groups, dtype=np.int64), return_inverse=True)
    return np.concatenate(columns, axis=1), numbered
