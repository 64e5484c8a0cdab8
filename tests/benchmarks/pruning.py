"""What a rule of pruning saves and what it loses, replayed on learning curves of real trainings.

    python -m tests.benchmarks.pruning runs/digits20.db --trials 40

The networks that the studies of databases trained to their end are tried in random orders, and a
rule stops those that it would have stopped. Told of each rule: the share of the epochs that so many
trials take; what the best that is left lacks of the best of all, in standard deviations of the
networks; and what is gained at equal epochs, where what was saved goes into further trials. Then
the same with two objectives, accuracy and MACs, by the area under the front that is lost.

Some rules model the networks, too: a Gaussian process on their parameters and size, with a trend in
what they have reached so far, says what a trial will reach. `--orders 40` is enough of those.
"""

import argparse
import statistics
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from optuna.trial import FrozenTrial, TrialState

import nasopt
from nasopt.samplers.surrogate.pruner import described, expected_value
from nasopt.storage.record import TrialRecord, reports_of

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

LEAST_SLOPE, MOST_SLOPE, PRIOR_TRIALS = 0.3, 3.0, 5  # of a line from early values to final ones


@dataclass(frozen=True)
class Networks:
    """The `scores` (n, epochs) of networks, their `costs` (n,), and what a model sees of them.

    That are `columns` (n, c), of which those of one of `groups` (c,) share a weight.
    """

    scores: Floats
    costs: Floats
    columns: Floats
    groups: Ints

    def __len__(self) -> int:
        return len(self.scores)

    def __getitem__(self, rows: Sequence[int]) -> "Networks":
        return Networks(self.scores[rows], self.costs[rows], self.columns[rows], self.groups)


Stops = Callable[[Networks, Networks, int], bool]


@dataclass(frozen=True)
class Rule:
    """A rule that is asked every so many epochs, once so many trials are complete.

    `stops` is given the complete trials, the one in question, and how many epochs it has trained.
    """

    name: str
    stops: Stops
    every: int = 1
    start: int = 10


def lower(share: float) -> Stops:
    """Return the rule that a trial whose best so far is in the lower `share` stops."""
    return lambda complete, own, epochs: bool(
        own.scores[0, :epochs].max() < np.quantile(complete.scores[:, epochs - 1], share)
    )


def reach(deviations: float) -> Stops:
    """Return the rule that a trial stops which will not reach the best, by so many deviations.

    What it will reach is told by a line, fitted to the complete trials, from the values now to the
    final ones, with the slope shrunk to 1.
    """

    def stops(complete: Networks, own: Networks, epochs: int) -> bool:
        early, late = complete.scores[:, epochs - 1], complete.scores[:, -1]
        slope, around = fitted_line(early, late)
        expected = late.mean() + slope * (own.scores[0, epochs - 1] - early.mean())
        return bool(expected + deviations * around.std(ddof=2) < late.max())

    return stops


def fitted_line(early: Floats, late: Floats) -> tuple[float, Floats]:
    """Return the slope of the line from early values (n,) to final ones, and what is around it."""
    centred = early - early.mean()
    spread = float(centred @ centred)
    slope = float(centred @ (late - late.mean())) / spread if spread else 1.0
    slope = (len(early) * slope + PRIOR_TRIALS) / (len(early) + PRIOR_TRIALS)
    slope = float(np.clip(slope, LEAST_SLOPE, MOST_SLOPE))
    return slope, late - late.mean() - slope * centred


def modelled_reach(deviations: float) -> Stops:
    """Return the rule of `SurrogatePruner`: the network says as much as what it has reached."""

    def stops(complete: Networks, own: Networks, epochs: int) -> bool:
        columns = np.concatenate([complete.columns, own.columns])
        early = np.concatenate([complete.scores[:, epochs - 1], own.scores[:, epochs - 1]])
        late = complete.scores[:, -1]
        mean, deviation = expected_value(columns, complete.groups, early, late)
        return bool(mean + deviations * deviation < late.max())

    return stops


def rules(epochs: int) -> list[Rule]:
    third = max(2, -(-epochs // 3))
    return [
        Rule("quarter: the lower quarter, at thirds", lower(0.25), third),
        Rule("the lower half, at thirds", lower(0.5), third),
        Rule("median: the lower half, each epoch", lower(0.5), start=5),
        Rule("will not reach the best by 3 deviations", reach(3)),
        Rule("by 2 deviations", reach(2)),
        Rule("by 1 deviation", reach(1)),
        Rule("with a model of the networks, at thirds: by 3 deviations", modelled_reach(3), third),
        Rule("by 2 deviations", modelled_reach(2), third),
        Rule("by 1 deviation", modelled_reach(1), third),
    ]


@dataclass(frozen=True)
class Replay:
    """What was left of an order: `complete` networks of so many `trials`, and `epochs` spent."""

    complete: list[int]
    trials: int
    epochs: int


def replay(
    networks: Networks, order: Sequence[int] | Ints, rule: Rule | None,
    *, by_cost: bool = False, budget: float = float("inf"),
) -> Replay:  # fmt: skip
    """Try `networks` in order, until `budget` epochs are spent.

    With `by_cost` a trial is compared with those that cost no more.
    """
    last = networks.scores.shape[1]
    complete: list[int] = []
    tried = spent = 0
    for network in order:
        tried += 1
        others = complete
        if by_cost:
            costs = networks.costs
            others = [each for each in complete if costs[each] <= costs[network]]
        reached = last
        if rule is not None and len(others) >= rule.start:
            seen, own, asked = (
                networks[others],
                networks[[network]],
                range(rule.every, last, rule.every),
            )
            reached = next((epochs for epochs in asked if rule.stops(seen, own, epochs)), last)
        spent += reached
        if reached == last:
            complete.append(int(network))
        if spent >= budget:
            break
    return Replay(complete, tried, spent)


def area(scores: Floats, costs: Floats, most: float, least: float) -> float:
    """Return the area under the front of `scores`, above `least`, up to the cost `most`."""
    best, found = least, 0.0
    for network in np.argsort(costs, kind="stable"):
        if scores[network] > best:
            found += float(scores[network] - best) * float(most - costs[network])
            best = scores[network]
    return found


def known(*locations: Path) -> Networks:
    """Return the networks that were trained to their end; their cost is the logarithm of MACs."""
    found: dict[str, tuple[list[float], TrialRecord, FrozenTrial]] = {}
    databases = map(nasopt.open, locations)
    studies = (each.study(summary.study) for each in databases for summary in each.studies)
    for study in studies:
        for trial in study.record.counted:
            record = TrialRecord.of(trial)
            if trial.state is TrialState.COMPLETE and record.key and record.macs:
                scores = [score for _, score in sorted(reports_of(trial).items())]
                found[record.key] = scores, record, trial
    longest = max(len(scores) for scores, _, _ in found.values())
    whole = [each for each in found.values() if len(each[0]) == longest]
    costs = np.log([record.macs or 1 for _, record, _ in whole])
    columns = described([trial for _, _, trial in whole])
    return Networks(np.array([scores for scores, _, _ in whole]), costs, *columns)


def table(networks: Networks, trials: int, orders: int) -> Iterator[str]:
    count, epochs = networks.scores.shape
    final, costs = networks.scores[:, -1], networks.costs
    deviation = float(final.std())
    least, most = float(np.quantile(final, 0.05)), float(costs.max()) + 0.1
    yield (
        f"| rule ({count} networks, {epochs} epochs, {trials} trials) | epochs | loss | gain at "
        "equal epochs | two objectives: epochs | front lost |"
    )
    yield "|---|---|---|---|---|---|"
    for rule in rules(epochs):
        shares, losses, gains, shares_of_two, lost = [], [], [], [], []
        for number in range(orders):
            order = np.random.default_rng(number).permutation(count)
            some = order[:trials]
            best = float(final[some].max())
            one = replay(networks, some, rule)
            shares.append(one.epochs / (trials * epochs))
            losses.append((best - float(final[one.complete].max())) / deviation)
            longer = replay(networks, order, rule, budget=trials * epochs)
            gains.append((float(final[longer.complete].max()) - best) / deviation)
            two = replay(networks, some, rule, by_cost=True)
            shares_of_two.append(two.epochs / (trials * epochs))
            whole = area(final[some], costs[some], most, least)
            left = area(final[two.complete], costs[two.complete], most, least)
            lost.append(1 - left / whole)
        cells = [rule.name, _mean(shares, 2), _mean(losses), f"+{_mean(gains)}".replace("+-", "-")]
        yield f"| {' | '.join([*cells, _mean(shares_of_two, 2), _mean(lost)])} |"


def _mean(numbers: Sequence[float], digits: int = 3) -> str:
    return f"{statistics.fmean(numbers):.{digits}f}"


def main() -> None:
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("storage", type=Path, nargs="+")
    parser.add_argument("--trials", type=int, default=40)
    parser.add_argument("--orders", type=int, default=200)
    given = parser.parse_args()
    for line in table(known(*given.storage), given.trials, given.orders):
        print(line, flush=True)


if __name__ == "__main__":
    main()
