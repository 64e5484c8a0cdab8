"""What a rule of pruning saves and what it loses, replayed on learning curves of real trainings.

    python -m tests.benchmarks.pruning runs/digits20.db --trials 40

The networks that the studies of a database trained to their end are tried in random orders, and a
rule stops those that it would have stopped. Told of each rule: the share of the epochs that so many
trials take; what the best that is left lacks of the best of all, in standard deviations of the
networks; and what is gained at equal epochs, where what was saved goes into further trials. Then
the same with two objectives, accuracy and MACs, by the area under the front that is lost.
"""

import argparse
import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from optuna.trial import TrialState

import nasopt
from nasopt.storage.record import TrialRecord, reports_of

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

ORDERS = 200
LEAST_SLOPE, MOST_SLOPE, PRIOR_TRIALS = 0.3, 3.0, 5  # of a line from early values to final ones


@dataclass(frozen=True)
class Rule:
    """A rule that is asked every so many epochs, once so many trials are complete.

    `stops` is given the scores (networks, epochs) of the complete trials and of one that has come
    so far, (epochs,).
    """

    name: str
    stops: Callable[[Floats, Floats], bool]
    every: int = 1
    start: int = 10


def lower(share: float) -> Callable[[Floats, Floats], bool]:
    """Return the rule that a trial whose best so far is in the lower `share` stops."""
    return lambda complete, own: bool(
        own.max() < np.quantile(complete[:, len(own) - 1], share, method="linear")
    )


def reach(deviations: float) -> Callable[[Floats, Floats], bool]:
    """Return the rule that a trial stops which will not reach the best, by so many deviations.

    What it will reach is told by a line, fitted to the complete trials, from the values now to the
    final ones, with the slope shrunk to 1.
    """

    def stops(complete: Floats, own: Floats) -> bool:
        early, late = complete[:, len(own) - 1], complete[:, -1]
        centred = early - early.mean()
        spread = float(centred @ centred)
        slope = float(centred @ (late - late.mean())) / spread if spread else 1.0
        slope = (len(early) * slope + PRIOR_TRIALS) / (len(early) + PRIOR_TRIALS)
        slope = float(np.clip(slope, LEAST_SLOPE, MOST_SLOPE))
        around = (late - late.mean() - slope * centred).std(ddof=2)
        expected = late.mean() + slope * (own[-1] - early.mean())
        return bool(expected + deviations * around < late.max())

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
    ]


@dataclass(frozen=True)
class Replay:
    """What was left of an order: `complete` networks of so many `trials`, and `epochs` spent."""

    complete: list[int]
    trials: int
    epochs: int


def replay(
    curves: Floats, order: Sequence[int] | Ints, rule: Rule | None,
    *, costs: Floats | None = None, budget: float = float("inf"),
) -> Replay:  # fmt: skip
    """Try networks of `curves` (networks, epochs) in order, until `budget` epochs are spent.

    With `costs` (networks,) a trial is compared with those that cost no more.
    """
    last = curves.shape[1]
    complete: list[int] = []
    tried = spent = 0
    for network in order:
        tried += 1
        others = complete
        if costs is not None:
            others = [each for each in complete if costs[each] <= costs[network]]
        seen = curves[others]
        reached = last
        if rule is not None and len(others) >= rule.start:
            asked = range(rule.every, last, rule.every)
            reached = next((e for e in asked if rule.stops(seen, curves[network, :e])), last)
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


def known(location: Path) -> tuple[Floats, Floats]:
    """Return the curves (networks, epochs) and the log MACs (networks,) of complete trainings."""
    found: dict[str, tuple[list[float], float]] = {}
    database = nasopt.open(location)
    for summary in database.studies:
        for trial in database.study(summary.study).record.counted:
            record = TrialRecord.of(trial)
            if trial.state is TrialState.COMPLETE and record.key and record.macs:
                scores = [score for _, score in sorted(reports_of(trial).items())]
                found[record.key] = scores, float(np.log(record.macs))
    longest = max(len(scores) for scores, _ in found.values())
    whole = [pair for pair in found.values() if len(pair[0]) == longest]
    return np.array([scores for scores, _ in whole]), np.array([cost for _, cost in whole])


def table(curves: Floats, costs: Floats, trials: int) -> list[str]:
    networks, epochs = curves.shape
    final = curves[:, -1]
    deviation = float(final.std())
    least, most = float(np.quantile(final, 0.05)), float(costs.max()) + 0.1
    orders = [np.random.default_rng(number).permutation(networks) for number in range(ORDERS)]
    lines = [
        f"| rule ({networks} networks, {epochs} epochs, {trials} trials) | epochs | loss | gain at "
        "equal epochs | two objectives: epochs | front lost |",
        "|---|---|---|---|---|---|",
    ]
    for rule in rules(epochs):
        shares, losses, gains, shares_of_two, lost = [], [], [], [], []
        for order in orders:
            some = order[:trials]
            best = float(final[some].max())
            one = replay(curves, some, rule)
            shares.append(one.epochs / (trials * epochs))
            losses.append((best - float(final[one.complete].max())) / deviation)
            longer = replay(curves, order, rule, budget=trials * epochs)
            gains.append((float(final[longer.complete].max()) - best) / deviation)
            two = replay(curves, some, rule, costs=costs)
            shares_of_two.append(two.epochs / (trials * epochs))
            whole = area(final[some], costs[some], most, least)
            left = area(final[two.complete], costs[two.complete], most, least)
            lost.append(1 - left / whole)
        cells = [rule.name, _mean(shares, 2), _mean(losses), f"+{_mean(gains)}".replace("+-", "-")]
        lines.append(f"| {' | '.join([*cells, _mean(shares_of_two, 2), _mean(lost)])} |")
    return lines


def _mean(numbers: Sequence[float], digits: int = 3) -> str:
    return f"{statistics.fmean(numbers):.{digits}f}"


def main() -> None:
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("storage", type=Path)
    parser.add_argument("--trials", type=int, default=40)
    given = parser.parse_args()
    curves, costs = known(given.storage)
    print("\n".join(table(curves, costs, given.trials)))


if __name__ == "__main__":
    main()
