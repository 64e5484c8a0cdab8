"""Studies on a benchmark against what it knows: true values, regret, and what chance would give."""

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import optuna
from optuna.trial import TrialState

from nasopt.benchmarks import Benchmark
from nasopt.benchmarks.table import Floats
from nasopt.claims import FREE

NODES = 64  # of the quadrature: its error is below 1e-8 for 200 trials


@dataclass(frozen=True)
class Score:
    """One evaluation of a study, in the unit of the benchmark.

    `observed` is what the study saw, None where the trial was pruned; `true` what its network is
    worth, the mean over replicates. The incumbent is the network with the best observed value so
    far, the first of equals: `incumbent` is its true value, `regret` what that is below the
    optimum, `rank` its place among all networks, 1 for the optimum. They are None before the first
    trial is complete.
    """

    number: int
    observed: float | None
    true: float
    incumbent: float | None
    regret: float | None
    rank: int | None

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


def scores(study: optuna.Study, benchmark: Benchmark) -> list[Score]:
    """The finished trials of `study` that count to its budget, in order: repeats are left out."""
    rows: list[Score] = []
    best = incumbent = None
    for trial in study.get_trials(deepcopy=False):
        if not trial.state.is_finished() or FREE in trial.user_attrs:
            continue
        true = float(benchmark.true[benchmark.space.decode(trial.params).row])
        observed = trial.values[0] if trial.state is TrialState.COMPLETE else None
        if observed is not None and (best is None or observed > best):
            best, incumbent = observed, true
        if incumbent is None:
            rows.append(Score(trial.number, observed, true, None, None, None))
            continue
        regret, rank = benchmark.optimum - incumbent, benchmark.rank(incumbent)
        rows.append(Score(trial.number, observed, true, incumbent, regret, rank))
    return rows


def random_search(benchmark: Benchmark, seed: int, trials: int) -> Floats:
    """(trials,): expected true value of random search's incumbent after 1, 2, ... evaluations.

    It is exact for the replicates that training seed `seed` shows. As in a study, all spellings are
    drawn alike and repeats are free: after n evaluations n different networks are known, or all.

    Let every spelling come at a uniform time in [0, 1], so that a network of k spellings is there
    at time u with probability 1 - (1 - u)^k, independently of the others. Nothing above a value v
    is among the first n networks if the first of the b spellings above v comes, with density
    b (1 - u)^(b - 1), when n others are there already; that is integrated over u. Networks of equal
    value share its place by their spellings.
    """
    observed, spellings = benchmark.observed(seed), benchmark.space.spellings
    last = _last_time(spellings, trials)
    nodes, weights = np.polynomial.legendre.leggauss(NODES)
    times, weights = (nodes + 1) / 2 * last, weights / 2 * last
    arrived = {k: 1 - (1 - times) ** k for k in np.unique(spellings)}
    there = np.zeros((trials, NODES))  # probability that so many of the networks so far are there
    there[0] = 1
    above = int(spellings.sum())
    expected, before = np.zeros(trials), np.zeros(trials)
    order = np.argsort(observed, kind="stable")
    for equal in np.split(order, np.flatnonzero(np.diff(observed[order])) + 1):
        for network in equal:
            comes = there[:-1] * arrived[spellings[network]]
            there *= 1 - arrived[spellings[network]]
            there[1:] += comes
        above -= int(spellings[equal].sum())
        none_above = np.ones(trials)
        if above:
            density = above * (1 - times) ** (above - 1)
            none_above = (1 - there.cumsum(axis=0)) @ (weights * density) + (1 - last) ** above
        worth = np.average(benchmark.true[equal], weights=spellings[equal])
        expected += worth * (none_above - before)
        before = none_above
    return expected


def _last_time(spellings: np.ndarray[Any, Any], trials: int) -> float:
    """When `trials` networks are there beyond doubt; 1 if there are hardly more in all."""
    times = np.linspace(0, 1, 10_001)
    counts = [(1 - (1 - times) ** k) * (spellings == k).sum() for k in np.unique(spellings)]
    return float(np.interp(trials + 8 * trials**0.5 + 10, np.sum(counts, axis=0), times))
