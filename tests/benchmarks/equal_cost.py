"""A comparison at equal epochs and seconds, and whether its samplers find more than size.

    gunzip -k studies/results/cifar10_small.db.gz
    python -m tests.benchmarks.equal_cost studies/results/cifar10_small.db

A training counts with all its epochs and seconds in each study that it is a trial of, as in the
report. Size: accuracy is fitted linearly on the logarithms of MACs and parameters, by the networks
that the other samplers have trained to the end. A network of several samplers is the first one's.
"""

import argparse
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.stats import spearmanr

import nasopt

EPOCHS, SECONDS = (60, 120), (600, 1_200)  # of training, of a study
NEAR_LIMIT = 37_500_000  # MACs


def best_seen(trials: pd.DataFrame, spent: str, budget: float) -> float:
    """Return the best accuracy of a study that was seen once no more than `budget` is spent."""
    within = trials[(trials[spent].cumsum() <= budget) & (trials.state == "complete")]
    return float(within.accuracy.max())


def trials_of(database: str | Path) -> dict[str, list[pd.DataFrame]]:
    """Return the trials of each study, in order, by samplers."""
    found: dict[str, list[pd.DataFrame]] = {}
    opened = nasopt.open(database)
    for each in opened.studies:
        trials = opened.study(each.study).trials.sort_values("number")
        found.setdefault(each.sampler, []).append(trials)
    return found


def report(studies: dict[str, list[pd.DataFrame]]) -> Iterator[str]:
    budgets = [("epochs", n) for n in EPOCHS] + [("seconds", n) for n in SECONDS]
    after = " | ".join(f"{n:,} {spent}" for spent, n in budgets)
    yield f"| sampler | {after} | mean MACs |"
    yield "|---" * (2 + len(budgets)) + "|"
    for sampler, of_seeds in studies.items():
        means = [np.mean([best_seen(each, *budget) for each in of_seeds]) for budget in budgets]
        macs = pd.concat(of_seeds).macs.mean()
        yield f"| {sampler} | " + " | ".join(f"{mean:.3f}" for mean in means) + f" | {macs:,.0f} |"
    every = pd.concat([each for of_seeds in studies.values() for each in of_seeds])
    complete = every[every.state == "complete"]
    rank = spearmanr(complete.macs, complete.accuracy).statistic
    yield ""
    yield f"Of {len(complete)} complete trials MACs and accuracy: Spearman {rank:.2f}."
    once = complete.drop_duplicates(["macs", "parameters", "accuracy"])  # TPE begins as random does
    near = once[once.macs >= NEAR_LIMIT]
    for sampler, rows in near.groupby("sampler", sort=False):
        yield (
            f"From {NEAR_LIMIT:,} MACs on {sampler} has {len(rows)} networks, in the mean of "
            f"{rows.accuracy.mean():.3f} and {rows.parameters.mean():,.0f} parameters."
        )
    sizes = np.column_stack([np.log(once.macs), np.log(once.parameters), np.ones(len(once))])
    others = (once.sampler != "surrogate").to_numpy()
    fitted = np.linalg.lstsq(sizes[others], once.accuracy[others], rcond=None)[0]
    above = (once.accuracy - sizes @ fitted)[~others]
    error = above.std() / len(above) ** 0.5
    yield f"Above what its sizes say the surrogate has {above.mean():+.4f} +- {error:.4f}."


def main() -> None:
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("database")
    print("\n".join(report(trials_of(parser.parse_args().database))))


if __name__ == "__main__":
    main()
