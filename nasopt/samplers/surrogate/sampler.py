"""`SurrogateSampler`: a Gaussian process on networks chooses the one to train next."""

import hashlib
import warnings
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.random import RandomState
from numpy.typing import NDArray
from optuna.distributions import BaseDistribution
from optuna.study import Study
from optuna.trial import FrozenTrial

from nasopt.errors import Unsuitable
from nasopt.pareto import nondominated_sort
from nasopt.samplers.points.candidates import mutants, neighbours
from nasopt.samplers.points.domain import Domain, EncodedPoints, Features
from nasopt.samplers.points.history import History, distinct
from nasopt.samplers.points.observations import (
    Target,
    is_complete,
    normal_scores,
    observe,
    winsorised,
)
from nasopt.samplers.problem import Problem
from nasopt.samplers.stateless import StatelessSampler, sign_of
from nasopt.samplers.surrogate.durations import Durations
from nasopt.samplers.surrogate.hypervolume import Front
from nasopt.samplers.surrogate.prediction import prediction
from nasopt.space.limits import LATENCY
from nasopt.storage.prediction import Prediction
from nasopt.storage.record import warm_start_of

if TYPE_CHECKING:
    from nasopt.samplers.surrogate.earlier import Earlier
    from nasopt.samplers.surrogate.gaussian_process import Kernel, Posterior, Trend

Floats = NDArray[np.float64]

FIRST = 5  # trials that are spread out before a model is asked
LEAST_COMPLETE = 3
SPREAD = 50  # random points of which one is chosen then
PARENTS = 8
NEIGHBOURS = 60  # at most, of each point
MUTANTS, MUTANTS_OF_TWO, RANDOM = 160, 80, 200
ROUNDS = 4  # of hill climbing, from the best
CLIMBERS = 3
UCB_BETA = 2.0  # deviations above the mean
SECONDS_WEIGHT = 0.3  # power of the seconds that a gain is divided by, where time counts
LEAST_GAIN = 0.01  # deviations, from which downwards a gain counts as its tangent
STEADY = 20  # observations, from which on the kernel is fitted anew only where a tenth is new
MOST_FITTED, MOST_SEEN = 250, 2_000  # observations that a kernel is fitted to, that are modelled
FITS = 8  # that are remembered
TARGETS = (normal_scores, winsorised)  # taken in turn, which beats either alone


class SurrogateSampler(StatelessSampler):
    """A sampler of the points that a Gaussian process takes for best, for few and costly trials.

        study = optuna.create_study(sampler=SurrogateSampler(seed=0), direction="maximize")

    It takes spaces of any parameters, conditional ones included. `features` gives a few numbers for
    a trial's parameters that its value may depend on (the size of a network, say), always equally
    many. A `problem` knows more: features of networks, which parameters have an effect, and limits;
    with a problem, a second objective can be one of its costs. The sampler prefers large networks.

    With `cost_aware`, or where a run has a budget of time, it goes for what a network may gain over
    the best, divided by a power of the seconds that its training is expected to take, going by the
    trials so far: those that nasopt has noted, else those from the beginning to the end of a
    trial. What is suggested then depends on the machine and its load. At equal seconds that is
    better where trainings differ much in time, at equal trainings it is worse
    (docs/measurements.md).
    """

    learns_from_earlier = True

    def __init__(
        self,
        *,
        seed: int | None = None,
        features: Features | None = None,
        problem: Problem | None = None,
        cost_aware: bool = False,
    ) -> None:
        self._costs: tuple[str, ...] = ()
        self._cost_aware = cost_aware
        self._features = features
        self._kernels: dict[bytes, Kernel] = {}  # by what they were fitted to
        self._earlier: dict[Any, Earlier | None] = {}  # of the study and domain that it serves
        self.prediction: Prediction | None = (
            None  # of what was suggested last; None without a model
        )
        super().__init__(seed=seed, problem=problem)

    def __getstate__(self) -> dict[str, Any]:
        return {**super().__getstate__(), "_earlier": {}}  # is made anew: its functions stay here

    def take(self, problem: Problem) -> None:
        self._costs = tuple(problem.objectives[1:])
        if self._cost_aware and self._costs:
            raise Unsuitable(
                f"cost_aware=True: {self._costs[0]} is an objective already; leave it out"
            )
        if self._cost_aware and not problem.knows_seconds:
            raise Unsuitable("cost_aware=True: the table does not know seconds; leave it out")
        super().take(problem)

    @property
    def _time_counts(self) -> bool:
        if self._costs:  # against which a value is weighed already
            return False
        return self._cost_aware or (self._problem is not None and self._problem.has_time_budget)

    def check_objectives(self, objectives: int) -> None:
        if objectives == 2 and self._problem is None:
            raise Unsuitable(
                "objectives: 2, but SurrogateSampler seeks one, and a known cost as the second; "
                "say which with problem=..., or use nsga2 or tpe"
            )
        if LATENCY in self._costs:
            raise Unsuitable(
                "objectives: latency is measured network by network, but SurrogateSampler looks at "
                "thousands; use nsga2 or tpe, or macs in its place"
            )
        if objectives != 2 or not self._costs:
            super().check_objectives(objectives)

    def make_domain(self, search_space: dict[str, BaseDistribution]) -> Domain:
        return Domain(search_space, self._problem, self._features, self._costs)

    def suggest(
        self, study: Study, trial: FrozenTrial, history: History, rng: RandomState
    ) -> Floats | None:
        self.prediction = None
        earlier = self._earlier_of(study, history.domain)
        complete = sum(is_complete(trial) for trial in history.trials)
        is_early = len(history.trials) < FIRST or complete < LEAST_COMPLETE
        if is_early and earlier is None:
            return _far(history, rng)
        from nasopt.samplers.surrogate.gaussian_process import (
            one_thread,  # SciPy: others need not load it
        )

        target = TARGETS[trial.number % len(TARGETS)]
        try:
            with one_thread():
                model, seen, value_of = self._model(history, sign_of(study), target, earlier)
                durations = self._durations(history) if self._time_counts else None
                point = _highest(history, model, seen, durations, rng, earlier)
                if point is not None and not is_early:
                    self.prediction = prediction(history, model, value_of, point)
                return point
        except np.linalg.LinAlgError as error:
            warnings.warn(f"SurrogateSampler: {error}; a random point instead", stacklevel=2)
            return history.any_fresh(rng)

    def _earlier_of(self, study: Study, domain: Domain) -> "Earlier | None":
        """Return what searches before `study` have seen, of which it keeps a record, if any."""
        key = id(study._storage), study._study_id, id(domain)
        if key not in self._earlier:
            searches = warm_start_of(study._storage.get_study_user_attrs(study._study_id))
            earlier = None
            if searches:
                from nasopt.samplers.surrogate.earlier import Earlier

                earlier = Earlier.of(searches, domain)
            self._earlier = {key: earlier}
        return self._earlier[key]

    def _model(
        self,
        history: History,
        sign: int,
        target: Callable[[Floats], Target],
        earlier: "Earlier | None",
    ) -> tuple["Posterior", EncodedPoints, Callable[[Floats], Floats]]:
        """Return the posterior of what was observed, that, and the way back to the study's values.

        The kernel is fitted to the first trials only: see `_fitted`.
        """
        from nasopt.samplers.surrogate.gaussian_process import NO_TREND, Posterior

        trend = NO_TREND if earlier is None else earlier.trend
        observed = history.known[history.observed]
        columns = observed.columns
        trials = [history.trials[row] for row in history.observed]
        first = observe(trials[: _fitted(len(trials))], sign)
        target = target if trials else normal_scores
        values = target(first.values).scores
        rows = _some(values, MOST_FITTED)
        groups = history.domain.groups
        kernel = self._kernel(columns[rows], groups, values[rows], first.noise[rows], trend)
        now = observe(trials, sign)
        modelled = target(now.values)
        rows = _some(modelled.scores, MOST_SEEN)
        model = Posterior(kernel, columns[rows], modelled.scores[rows], now.noise[rows], trend)
        return model, observed[rows], lambda scores: sign * modelled.value_of(scores)

    def _durations(self, history: History) -> Durations | None:
        """Return how long trainings take, or None if too little is known of it."""
        from nasopt.samplers.surrogate.gaussian_process import NO_TREND, Posterior

        def model(columns: Floats, scores: Floats, first: int) -> Posterior:
            noise, groups = np.ones(len(scores)), history.domain.groups
            kernel = self._kernel(columns[:first], groups, scores[:first], noise[:first], NO_TREND)
            newest = slice(-MOST_SEEN, None)
            return Posterior(kernel, columns[newest], scores[newest], noise[newest])

        trials = [history.trials[row] for row in history.observed]
        columns = history.known.columns[history.observed]
        return Durations.of(trials, columns, lambda n: min(_fitted(n), MOST_FITTED), model)

    def _kernel(
        self,
        columns: Floats,
        groups: NDArray[np.int64],
        values: Floats,
        noise: Floats,
        trend: "Trend",
    ) -> "Kernel":
        """Return the kernel fitted to these observations; it is cached, which changes no result."""
        from nasopt.samplers.surrogate.gaussian_process import fit

        digest = hashlib.blake2b(columns.tobytes())
        digest.update(groups.tobytes() + values.tobytes() + noise.tobytes())
        digest.update(trend.bases(columns).tobytes())
        key = digest.digest()
        kernel = self._kernels.get(key)
        if kernel is None:
            if len(self._kernels) >= FITS:
                self._kernels.clear()
            kernel = self._kernels[key] = fit(columns, groups, values, noise, trend)
        return kernel


def _fitted(n: int) -> int:
    """Return how many of the first `n` observations the kernel is fitted to.

    It depends on the study alone: one that goes on in another process needs nothing but its trials,
    and most of them need no new fit.
    """
    if n <= STEADY:
        return n
    fitted = STEADY
    while fitted + -(-fitted // 10) <= n:
        fitted += -(-fitted // 10)
    return fitted


def _some(values: Floats, most: int) -> NDArray[np.int64]:
    """Return the rows of all `values`, or of `most`: a third the best, the others at random."""
    if len(values) <= most:
        return np.arange(len(values))
    ranked = np.argsort(-values, kind="stable")
    others = RandomState(len(values)).permutation(ranked[most // 3 :])
    return np.sort(np.r_[ranked[: most // 3], others[: most - most // 3]])


def _far(history: History, rng: RandomState) -> Floats | None:
    """Return a random point far from all that are known; the first is a central one."""
    encoded = history.novel(history.encode(history.domain.random(SPREAD, rng)))
    if not len(encoded):
        return history.any_fresh(rng)
    if not len(history.known):
        order = np.argsort((encoded.columns**2).sum(axis=1), kind="stable")
    else:
        apart = ((encoded.columns[:, None] - history.known.columns) ** 2).sum(axis=2)
        order = np.argsort(-apart.min(axis=1), kind="stable")
    return history.first_new(encoded, order)


def _highest(
    history: History,
    model: "Posterior",
    seen: EncodedPoints,
    durations: Durations | None,
    rng: RandomState,
    earlier: "Earlier | None",
) -> Floats | None:
    """Return the new point of the highest acquisition that was found.

    It is looked for near the best that the study has `seen`, or an earlier search.
    """
    domain = history.domain
    means = model.mean(seen.columns)
    model = model.condition_on_pending(history.known.columns[history.running])
    has_front = seen.costs.shape[1] > 0
    front = Front(means, _logs(seen)) if has_front and len(seen) else None
    best = float(means.max(initial=-np.inf))
    acquisition = _acquisition(model, front, best, durations)
    if earlier is not None:
        seen = seen + earlier.seen
        means = np.concatenate([means, model.mean(earlier.seen.columns)])
    parents = _parents(seen, means, has_front)
    points = [
        neighbours(domain.axes, parents, NEIGHBOURS, rng),
        mutants(domain.axes, parents, MUTANTS, rng),
        mutants(domain.axes, parents[:2], MUTANTS_OF_TWO, rng),
        domain.axes.draw(RANDOM, rng),
    ]
    found = history.novel(history.encode(np.concatenate(points)))
    if not len(found):
        return history.any_fresh(rng)
    heights = acquisition(found)
    for _ in range(ROUNDS):
        top = found[np.argsort(-heights, kind="stable")[:CLIMBERS]]
        near = history.novel(history.encode(neighbours(domain.axes, top, NEIGHBOURS, rng)))
        if not len(near):
            break
        highest, above = heights.max(), acquisition(near)
        found, heights = found + near, np.concatenate([heights, above])
        if above.max() <= highest:
            break
    point = history.first_new(found, np.argsort(-heights, kind="stable"))
    return history.any_fresh(rng) if point is None else point


def _parents(seen: EncodedPoints, means: Floats, has_front: bool) -> EncodedPoints:
    """Return the best of the known points, by expectation, or by fronts of value and cost."""
    within = np.flatnonzero(seen.excess <= 0)
    rows = within[np.argsort(-means[within], kind="stable")]
    rows = rows[distinct(seen.points[rows])]
    if has_front:
        rows = rows[nondominated_sort(means[rows], _logs(seen[rows]), PARENTS)]
    return seen[rows[:PARENTS]]


def _acquisition(
    model: "Posterior", front: Front | None, best: float, durations: Durations | None
) -> Callable[[EncodedPoints], Floats]:
    """Return the function that a new point should maximise.

    It is the upper bound of a point's value, or the area that it adds to `front`; with `durations`
    the logarithm of what the bound gains over `best`, divided by a power of the seconds.
    """

    def height(encoded: EncodedPoints) -> Floats:
        mean, deviation = model.mean_and_deviation(encoded.columns)
        bound = mean + UCB_BETA * deviation
        if front is not None:
            return front.hypervolume_improvement(bound, _logs(encoded))
        if durations is None:
            return bound
        return _log_gain(bound - best) - SECONDS_WEIGHT * durations.logs(encoded.columns)

    return height


def _log_gain(gain: Floats) -> Floats:
    """Return the logarithm of `gain` (n,), below LEAST_GAIN the tangent there: it always rises."""
    logs: Floats = np.log(np.maximum(gain, LEAST_GAIN)) + np.minimum(gain / LEAST_GAIN - 1, 0)
    return logs


def _logs(encoded: EncodedPoints) -> Floats:
    """Return the logarithms (n,) of the cost that is an objective."""
    logs: Floats = np.log(np.maximum(encoded.costs[:, 0], 1))
    return logs
