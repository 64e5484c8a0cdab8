"""Comparisons on a benchmark: the true values of winners, their regret, and those of chance."""

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from nasopt.analysis.curves import Budget, Curve, Row, Studies, incumbents
from nasopt.analysis.record import Record

if TYPE_CHECKING:  # it imports torch
    from nasopt.benchmarks import Benchmark

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]

EXACT = "random, exact"
PARTS = (8, 4, 2, 1)  # of the budget: 25, 50, 100 and 200 of 200 evaluations
QUARTILES = (0.25, 0.5, 0.75)
NODES = 64  # of the quadrature: its error is below 1e-8 for 200 trials


@dataclass(frozen=True)
class Regret:
    """The simple regret of `sampler` after `at` of the budget: its winner's gap to the optimum.

    `lower`, `median` and `upper` are quartiles over its studies, in the unit of the benchmark.
    `rank` is the place of the median among all networks, 1 for the optimum.
    """

    sampler: str
    at: int
    lower: float
    median: float
    upper: float
    rank: int

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True)
class Truth:
    """The knowledge that a benchmark has of a comparison.

    `benchmark` says in a line what it is. `optimum` is that of the whole table, limits left aside.
    `regrets` are those of each sampler after an eighth, a quarter, a half and all of the budget, as
    soon as all its studies have a winner. `random` are the exact quartiles of what the winner of
    random search is worth after 1, 2, ... evaluations, without pruning and over the replicates that
    the studies saw; `expected` is its mean. They are left out within a budget of epochs, or within
    limits.
    """

    benchmark: str
    optimum: float
    regrets: tuple[Regret, ...]
    random: Curve | None = None
    expected: tuple[float, ...] = field(default=(), repr=False)

    def to_json(self) -> dict[str, Any]:
        return {
            "benchmark": self.benchmark,
            "optimum": self.optimum,
            "regrets": [each.to_json() for each in self.regrets],
            "random": self.random and self.random.to_json(),
            "expected": list(self.expected),
        }


def with_true(rows: Sequence[Row], study: Record, benchmark: "Benchmark") -> list[Row]:
    """Return `rows` of `study` with the true value of each winner: the mean over its replicates."""
    numbers = {row.winner for row in rows if row.winner is not None}
    row_of = {n: benchmark.space.decode(study.trials[n].params).row for n in numbers}
    worth = {number: float(benchmark.true[row]) for number, row in row_of.items()}
    return [row if row.winner is None else replace(row, true=worth[row.winner]) for row in rows]


def truth(benchmark: "Benchmark", studies: Studies, budget: Budget, limits: Sequence[str]) -> Truth:
    """Return what `benchmark` knows of `studies` within `limits`; rows have their true values.

    `studies` are empty where there are no winners: of two objectives.
    """
    places = sorted({budget.amount // part for part in PARTS} - {0})
    regrets = list(_regrets(benchmark, studies, budget, places))
    own = [str(limit) for limit in benchmark.limits]  # all that random search draws has them, too
    if not studies or limits != own or budget.unit != "evaluations":
        return Truth(benchmark.summary, benchmark.optimum, tuple(regrets))
    seeds = sorted({seed for by_seed in studies.values() for seed in by_seed})
    amount = min(budget.amount, len(benchmark.true))  # after that all networks are known
    chances = np.mean([winners(benchmark, seed, amount) for seed in seeds], axis=0)
    quartiles = np.array([_quantile(benchmark.true, chances, share) for share in QUARTILES])
    exact = [_regret(benchmark, EXACT, at, quartiles[:, min(at, amount) - 1]) for at in places]
    positions = tuple(np.arange(1.0, amount + 1).tolist())
    return Truth(
        benchmark=benchmark.summary,
        optimum=benchmark.optimum,
        regrets=(*exact, *regrets),
        random=Curve(EXACT, "evaluation", positions, *map(tuple, quartiles.tolist())),
        expected=tuple((benchmark.true @ chances).tolist()),
    )


def _regrets(
    benchmark: "Benchmark", studies: Studies, budget: Budget, places: Sequence[int]
) -> Iterator[Regret]:
    """Return the regrets of each sampler at each place where all its studies have a winner."""
    for sampler, by_seed in studies.items():
        table = incumbents(by_seed.values(), budget.axis, places)
        for at, worths in zip(places, table.T, strict=True):
            if np.isfinite(worths).all():
                yield _regret(benchmark, sampler, at, np.quantile(worths, QUARTILES))


def _regret(benchmark: "Benchmark", sampler: str, at: int, quartiles: Floats) -> Regret:
    """Return the regret from the quartiles of the true values of winners."""
    upper, median, lower = (benchmark.optimum - quartiles).tolist()
    return Regret(sampler, at, lower, median, upper, benchmark.rank(float(quartiles[1])))


def _quantile(values: Floats, chances: Floats, share: float) -> Floats:
    """Return quantiles (trials,) of `values` (networks,) with probabilities (networks, trials)."""
    order = np.argsort(values)
    reached = chances[order].cumsum(axis=0) >= share
    found: Floats = values[order][reached.argmax(axis=0)]
    return found


def random_search(benchmark: "Benchmark", seed: int, trials: int) -> Floats:
    """Return the expected true value of random search's winner, by evaluations (trials,)."""
    expected: Floats = benchmark.true @ winners(benchmark, seed, trials)
    return expected


def winners(benchmark: "Benchmark", seed: int, trials: int) -> Floats:
    """Return the chance that each network is random search's winner (networks, trials).

    The second axis counts evaluations: 1, 2, ... It is exact for the replicates that training seed
    `seed` shows. As in a study, all spellings are
    drawn alike and repeats are free: after n evaluations n different networks are known, or all.
    Networks of equal value share their chance by their spellings.
    """
    spellings = benchmark.space.spellings
    values, group = np.unique(benchmark.observed(seed), return_inverse=True)
    sizes = np.bincount(group, weights=spellings)
    above = spellings.sum() - sizes.cumsum().astype(int)
    if spellings.max() == 1:
        none_above = _none_drawn(above, len(spellings), trials)
    else:
        members = [np.flatnonzero(group == each) for each in range(len(values))]
        none_above = np.array([*_none_come(spellings, members, above, trials)])
    chances: Floats = np.diff(none_above, axis=0, prepend=0)[group]
    return chances * (spellings / sizes[group])[:, None]


def _none_drawn(above: Ints, n_networks: int, trials: int) -> Floats:
    """Return the chance that none of the `above` networks is among the first n (values, trials).

    The hypergeometric distribution: every network has one spelling.
    """
    drawn = np.arange(min(trials, n_networks))
    chances = np.maximum(n_networks - above[:, None] - drawn, 0) / (n_networks - drawn)
    padded = np.pad(chances, ((0, 0), (0, trials - len(drawn))), constant_values=1)
    return padded.cumprod(axis=1)


def _none_come(
    spellings: Ints, members: Sequence[Ints], above: Ints, trials: int
) -> Iterator[Floats]:
    """Return the same chance as `_none_drawn`, where networks have several spellings.

    The values are in order from below.
    Let every spelling come at a uniform time in [0, 1], so that a network of k spellings is there
    at time u with probability 1 - (1 - u)^k, independently of the others. Nothing above a value v
    is among the first n networks if the first of the b spellings above v comes, with density
    b (1 - u)^(b - 1), when n others are there already; that is integrated over u.
    """
    last = _last_time(spellings, trials)
    nodes, weights = np.polynomial.legendre.leggauss(NODES)
    times, weights = (nodes + 1) / 2 * last, weights / 2 * last
    arrived = {k: 1 - (1 - times) ** k for k in np.unique(spellings)}
    there = np.zeros((trials, NODES))  # probability that so many of the networks so far are there
    there[0] = 1
    for networks, better in zip(members, above.tolist(), strict=True):
        for network in networks:
            comes = there[:-1] * arrived[spellings[network]]
            there *= 1 - arrived[spellings[network]]
            there[1:] += comes
        none_above = np.ones(trials)
        if better:
            density = better * (1 - times) ** (better - 1)
            none_above = (1 - there.cumsum(axis=0)) @ (weights * density) + (1 - last) ** better
        yield none_above


def _last_time(spellings: Ints, trials: int) -> float:
    """Return a time by which `trials` networks are there beyond doubt; 1 if hardly more exist."""
    times = np.linspace(0, 1, 10_001)
    counts = [(1 - (1 - times) ** k) * (spellings == k).sum() for k in np.unique(spellings)]
    return float(np.interp(trials + 8 * trials**0.5 + 10, np.sum(counts, axis=0), times))
