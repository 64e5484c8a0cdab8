"""What earlier searches save: a table is searched after another one of the same space, and without.

    python -m tests.benchmarks.warm [--seeds 10]

50 trainings by the surrogate on the one, then 50 on the other. In "unrelated" the accuracies that
the first search saw are dealt out anew among its networks, in "contrary" they are negated. Ratios
are of the regret, plus a hundredth of that of a random network, as geometric means over trainings 1
to 50, with twice the standard error over seeds. Nothing is trained: three minutes.
"""

import argparse
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import optuna
from numpy.typing import NDArray

from nasopt import Experiment
from nasopt.benchmarks import Benchmark
from nasopt.samplers import make_sampler
from nasopt.storage.attributes import EXPERIMENT, VERSIONS, WARM_START
from tests.benchmarks.regret import SHARE, TABLES, trained

Floats = NDArray[np.float64]

PAIRS = (
    ("cifar10", "cifar100"),
    ("cifar10", "imagenet"),
    ("cifar100", "cifar10"),
    ("fcnet-naval_propulsion", "fcnet-protein_structure"),
    ("fcnet-slice_localization", "fcnet-parkinsons_telemonitoring"),
    ("mlp-car", "mlp-segment"),
    ("mlp-kc1", "mlp-vehicle"),
)
TRIALS = 50
SOURCE_SEEDS = 100  # added to those of the sources: a search sees other replicates than they did
AT = (5, 10, 25, 50)


def regrets(
    table: Benchmark, seed: int, before: Sequence[Mapping[str, Any]] = ()
) -> tuple[Floats, dict[str, Any]]:
    """Return the true regret after each training, and what the search has seen."""
    experiment = Experiment.on_benchmark(table, trials=TRIALS, seed=seed)
    observed, gaps = table.observed(seed), table.optimum - table.true
    search = optuna.create_study(
        direction="maximize",
        sampler=make_sampler("surrogate", experiment.problem, seed),
        pruner=optuna.pruners.NopPruner(),
    )
    if before:
        for name, value in ((EXPERIMENT, {}), (VERSIONS, {}), (WARM_START, list(before))):
            search.set_user_attr(name, value)  # as of a study that nasopt has begun
    rows = list(trained(experiment, observed, "surrogate", seed, TRIALS, search))
    best = [max(rows[: n + 1], key=lambda row: observed[row]) for n in range(len(rows))]
    names = list(experiment.hyperparameters)
    entries = [dict(table.space.entries[row].params) for row in rows]
    seen = {
        "from": table.name,
        "studies": [table.name],
        "parameters": names,
        "points": [[entry[name] for name in names] for entry in entries],
        "values": [float(observed[row]) for row in rows],
    }
    return gaps[best], seen


def lines(seeds: int) -> Iterator[str]:
    tables = {name: TABLES[name]() for name in {name for pair in PAIRS for name in pair}}
    after = " / ".join(map(str, AT))
    yield f"| before, then | regret after {after}: without | with | ratio | unrelated | contrary |"
    yield "|---|---|---|---|---|---|"
    ratios: dict[str, list[Floats]] = {"with": [], "unrelated": [], "contrary": []}
    for source, target in PAIRS:
        curves: dict[str, list[Floats]] = {how: [] for how in ("without", *ratios)}
        table = tables[target]
        for seed in range(seeds):
            _, seen = regrets(tables[source], seed + SOURCE_SEEDS)
            values = np.array(seen["values"])
            told = {
                "without": [],
                "with": [seen],
                "unrelated": [
                    {**seen, "values": np.random.default_rng(seed).permutation(values).tolist()}
                ],
                "contrary": [{**seen, "values": (-values).tolist()}],
            }
            for how, before in told.items():
                curves[how].append(regrets(table, seed, before)[0])
        least = SHARE * (table.optimum - table.true).mean()
        for how, found in ratios.items():
            pairs = zip(curves[how], curves["without"], strict=True)
            logs = [np.log((ours + least) / (theirs + least)).mean() for ours, theirs in pairs]
            found.append(np.array(logs))
        cells = [
            " / ".join(f"{np.median(curves[how], axis=0)[at - 1]:.3g}" for at in AT)
            for how in ("without", "with")
        ]
        cells += [_ratio([found[-1]]) for found in ratios.values()]
        yield f"| {source}, {target} | {' | '.join(cells)} |"
    yield f"| all | | | {' | '.join(_ratio(found) for found in ratios.values())} |"


def _ratio(logs: Sequence[Floats]) -> str:
    """Return the geometric mean over tables, and the bounds of twice its standard error."""
    mean = float(np.mean([each.mean() for each in logs]))
    squares = sum(each.var(ddof=1) / len(each) for each in logs)
    error = 2 * float(np.sqrt(squares)) / len(logs)
    low, middle, high = np.exp([mean - error, mean, mean + error])
    return f"{middle:.2f} ({low:.2f} to {high:.2f})"


if __name__ == "__main__":
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("--seeds", type=int, default=10)
    for line in lines(parser.parse_args().seeds):
        print(line, flush=True)
