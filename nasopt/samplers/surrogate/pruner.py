"""`SurrogatePruner`: a trial is stopped that a model of networks and curves gives no chance."""

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from optuna.pruners import BasePruner
from optuna.study import Study, StudyDirection
from optuna.trial import FrozenTrial, TrialState

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

STARTUP = 10  # complete trials, before which none is pruned
FAR = 10  # spreads of the middle half, beyond which a value is taken for a nearer one
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
        complete = [
            each
            for each in study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
            if each.number != trial.number
            and math.isfinite(each.intermediate_values.get(step, math.nan))
            and each.value is not None
            and math.isfinite(each.value)
        ]
        if len(complete) < STARTUP:
            return False
        now = trial.intermediate_values[step]
        if not math.isfinite(now):
            return True
        sign = 1 if study.direction is StudyDirection.MAXIMIZE else -1
        best = max(sign * float(each.value or 0) for each in complete)
        seen = complete[-MOST_SEEN:]
        late = np.array([sign * float(each.value or 0) for each in seen])
        early = np.array([sign * each.intermediate_values[step] for each in (*seen, trial)])
        mean, deviation = expected_value(*described([*seen, trial]), early, late)
        return mean + self._deviations * deviation < best


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
    early, late = _near(early, early[:-1]), _near(late, late)
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


def _near(values: Floats, others: Floats) -> Floats:
    """Return `values`, those far from the middle half of the `others` brought nearer to it."""
    low, high = np.quantile(others, (0.25, 0.75))
    far = FAR * (high - low)
    near: Floats = np.clip(values, low - far, high + far) if far > 0 else values
    return near


def described(trials: Sequence[FrozenTrial]) -> tuple[Floats, Ints]:
    """Return columns (n, c) and their groups (c,): parameters, and sizes where all have one."""
    from nasopt.samplers.points.axes import Axes

    axes = Axes(trials[-1].distributions)
    with np.errstate(all="ignore"):  # of a range of all numbers there are
        points = axes.encode([each.params for each in trials])
        columns, groups = [axes.columns(points, ~np.isnan(points))], list(axes.groups)
    for number, name in enumerate(SIZE):
        sizes = [each.user_attrs.get(name) for each in trials]
        if all(type(size) is int and size > 0 for size in sizes):
            logs = np.log(np.array(sizes, dtype=float))
            columns.append(((logs - logs.mean()) / (float(logs.std()) or 1.0))[:, None])
            groups.append(len(axes) + number)
    _, numbered = np.unique(np.array(groups, dtype=np.int64), return_inverse=True)
    return np.concatenate(columns, axis=1), numbered
