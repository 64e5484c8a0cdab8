"""What a cheap training tells of a long one: rank correlations, regrets, and their price.

    python -m tests.benchmarks.proxies studies/cifar10_small.py --storage runs/proxies.db

Random networks of the study are trained twice by its recipe (or with `--epochs` epochs), and once
by each proxy: a recipe with fewer epochs, fewer training images, smaller pictures. The epochs of
the long trainings are proxies, too: what a pruner sees, the first one alone, and the sum of
training losses (TSE: Ru et al., Speedy Performance Estimation for Neural Architecture Search,
NeurIPS 2021). So are sizes, which cost nothing.

A long training judges the proxies; those that are taken from the other one, or trained apart, do
not share its luck. Each of the two judges once, and the mean is shown. The better third is the
judge's, so the correlations within it have the judge's luck against them, for each line alike:
the line "all epochs, another seed" is what can be had. Trainings are kept in the database: the same
command goes on.
"""

import argparse
import csv
import statistics
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
from scipy.stats import spearmanr

from nasopt import load_experiment
from nasopt.analysis.noise import SAMPLE_SEED
from nasopt.data import image_folder
from nasopt.search.evaluator import Evaluator
from nasopt.search.experiment import Experiment
from nasopt.training.evaluation import EpochResult

Floats = npt.NDArray[np.float64]

DRAWS = 2_000  # of the networks, for the intervals
BEST = 3  # networks that are trained long after a proxy has chosen them


@dataclass(frozen=True)
class Proxy:
    """A proxy's scores (judges, networks), more is better, and its seconds a network."""

    name: str
    scores: Floats
    seconds: float


@dataclass(frozen=True)
class Worth:
    """What a proxy is worth to one judge: correlations, and the accuracy lost by its choice."""

    everywhere: float
    third: float
    first: float  # loss if its first network is taken
    best: float  # and if the first few are trained long, and the best of them is taken


def worth(scores: Floats, judged: Floats) -> Worth:
    """Return what `scores` (networks,) are worth to the accuracies `judged` (networks,)."""
    third = np.argsort(-judged, kind="stable")[: max(3, round(len(judged) / 3))]
    order = np.argsort(-scores, kind="stable")
    return Worth(
        _rank_correlation(scores, judged),
        _rank_correlation(scores[third], judged[third]),
        float(judged.max() - judged[order[0]]),
        float(judged.max() - judged[order[:BEST]].max()),
    )


def _rank_correlation(a: Floats, b: Floats) -> float:
    if np.ptp(a) == 0 or np.ptp(b) == 0:
        return 0.0
    return float(spearmanr(a, b).statistic)


def mean_worth(proxy: Proxy, judges: Floats) -> Worth:
    each = [worth(*pair) for pair in zip(proxy.scores, judges, strict=True)]
    columns = zip(*(vars(one).values() for one in each), strict=True)
    return Worth(*map(statistics.fmean, columns))


def interval(proxy: Proxy, judges: Floats, of: Callable[[Worth], float]) -> tuple[float, float]:
    """Return the 90 % bootstrap interval of a figure, over the networks."""
    dice = np.random.default_rng(0)
    networks = judges.shape[1]
    found = []
    for _ in range(DRAWS):
        drawn = dice.integers(networks, size=networks)
        found.append(
            of(mean_worth(replace(proxy, scores=proxy.scores[:, drawn]), judges[:, drawn]))
        )
    low, high = np.quantile(found, (0.05, 0.95))
    return float(low), float(high)


class Trainings:
    """The trainings of the study's random networks, by its recipe and others."""

    def __init__(self, experiment: Experiment, networks: int, storage: Path, device: str) -> None:
        self.experiment = experiment
        self.networks = networks
        self.storage = storage
        self.device = device
        self.curves: dict[tuple[str, int], list[list[EpochResult]]] = {}

    def of(self, what: str, seed: int, **changes: object) -> list[list[EpochResult]]:
        """Return the epochs of each network by the experiment with `changes` and a seed."""
        experiment = replace(self.experiment, **changes)  # type: ignore[arg-type]
        evaluator = Evaluator(experiment, self.storage, self.device)
        # The networks are drawn by the study itself: other pictures have other limits and spaces.
        drawn = self.experiment.sample(self.networks, SAMPLE_SEED)
        curves = []
        for number, each in enumerate(drawn, 1):
            evaluation = replace(
                each, recipe=experiment.recipe, dataset=experiment.data, seed=experiment.seed + seed
            )
            curves.append(list(evaluator.epochs(evaluation)))
            print(f"{what}, seed {seed}: [{number}/{self.networks}] {curves[-1][-1].accuracy:.4f}",
                  flush=True)  # fmt: skip
        self.curves[what, seed] = curves
        return curves


def final(curves: Sequence[Sequence[EpochResult]]) -> Floats:
    return np.array([curve[-1].accuracy for curve in curves])


def seconds(curves: Sequence[Sequence[EpochResult]], epochs: int | None = None) -> float:
    return statistics.fmean(sum(r.seconds for r in curve[:epochs]) for curve in curves)


def proxies_of(trainings: Trainings, epochs: int) -> tuple[Floats, list[Proxy]]:
    """Return the judges' accuracies (judges, networks), and the proxies of the study."""
    experiment = trainings.experiment
    long = replace(experiment.recipe, epochs=epochs)
    both = [trainings.of(f"{epochs} epochs", seed, recipe=long) for seed in (0, 1)]
    judges = np.array([final(curves) for curves in both])
    others = both[::-1]  # each judge judges the other training

    def curve(name: str, score: Callable[[list[EpochResult]], float], until: int) -> Proxy:
        scores = np.array([[score(each) for each in curves] for curves in others])
        return Proxy(name, scores, statistics.fmean(seconds(curves, until) for curves in both))

    found = [curve("all epochs, another seed", lambda c: c[-1].accuracy, epochs)]
    cuts = sorted({1, epochs // 8, epochs // 4, epochs // 2} - {0})
    for cut in reversed(cuts):
        found.append(
            curve(f"stopped after epoch {cut}", lambda c, cut=cut: c[cut - 1].accuracy, cut)
        )
    for cut in reversed(cuts):
        found.append(
            curve(
                f"training losses to epoch {cut}, summed",
                lambda c, cut=cut: -sum(each.train_loss for each in c[:cut]),
                cut,
            )
        )
    own = experiment.recipe.epochs

    def apart(name: str, **changes: object) -> Proxy:
        curves = trainings.of(name, 2, **changes)
        return Proxy(name, np.array([final(curves)] * 2), seconds(curves))

    found += [
        apart(f"a recipe of {few} epochs", recipe=replace(experiment.recipe, epochs=few))
        for few in (own, own // 2, own // 4)
        if few < epochs
    ]
    data = experiment.data
    images = sum(data.counts)
    found += [
        apart(f"{own} epochs, 1/{part} of the images", dataset=replace(data, limit=images // part))
        for part in (2, 4)
    ]
    path, size = data.arguments["path"], data.arguments["size"]
    smaller = image_folder(path, size=size // 2, limit=data.limit)
    found.append(apart(f"{own} epochs, {size // 2} x {size // 2} pixels", dataset=smaller))
    drawn = experiment.sample(trainings.networks, SAMPLE_SEED)
    costs = [experiment.cost(each.architecture) for each in drawn]
    found.append(Proxy("parameters", np.array([[c.parameters for c in costs]] * 2, float), 0.0))
    found.append(Proxy("MACs", np.array([[c.macs for c in costs]] * 2, float), 0.0))
    return judges, found


def table(judges: Floats, proxies: Sequence[Proxy]) -> Iterator[str]:
    yield "| proxy | share of the time | all | best third | loss of its first | of its best 3 |"
    yield "|---|---|---|---|---|---|"
    whole = proxies[0].seconds
    for proxy in proxies:
        mean = mean_worth(proxy, judges)
        cells = [proxy.name, f"{proxy.seconds / whole:.2f}"]
        for name in ("everywhere", "third"):
            low, high = interval(proxy, judges, lambda each, name=name: getattr(each, name))
            cells.append(f"{getattr(mean, name):.2f} ({low:.2f} to {high:.2f})")
        cells += [f"{mean.first:.4f}", f"{mean.best:.4f}"]
        yield f"| {' | '.join(cells)} |"
    spread = statistics.fmean(float(each.max() - each.mean()) for each in judges)
    yield ""
    yield f"A network drawn at random loses {spread:.4f}."


def write_curves(trainings: Trainings, path: Path) -> None:
    """Write the curves as a table of one's own, a row an epoch, with what each network is."""
    experiment = trainings.experiment
    drawn = experiment.sample(trainings.networks, SAMPLE_SEED)
    with path.open("w", newline="") as file:
        rows = csv.writer(file, lineterminator="\n")
        rows.writerow(
            ["network", "seed", "epoch", "accuracy", "parameters", "macs", "seconds",
             "_train_loss", "_layers"]
        )  # fmt: skip
        for number, each in enumerate(drawn):
            cost = experiment.cost(each.architecture)
            layers = " ".join(
                f"{conv.filters}/{conv.kernel_size}/{conv.stride}"
                for conv in each.architecture.layers
            )
            for (what, seed), curves in trainings.curves.items():
                if what != next(iter(trainings.curves))[0]:
                    continue  # of a proxy
                for result in curves[number]:
                    rows.writerow(
                        [number, seed, result.epoch, f"{result.accuracy:.5f}", cost.parameters,
                         cost.macs, f"{result.seconds:.2f}", f"{result.train_loss:.4f}",
                         layers if seed == 0 and result.epoch == 1 else ""]
                    )  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("study")
    parser.add_argument("--networks", type=int, default=20)
    parser.add_argument("--epochs", type=int, help="of a long training; by default the recipe's")
    parser.add_argument("--storage", type=Path, required=True)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--csv", type=Path, help="write the curves of the long trainings")
    given = parser.parse_args()
    experiment = load_experiment(given.study)
    trainings = Trainings(experiment, given.networks, given.storage, given.device)
    judges, proxies = proxies_of(trainings, given.epochs or experiment.recipe.epochs)
    print("\n".join(table(judges, proxies)))
    if given.csv:
        write_curves(trainings, given.csv)


if __name__ == "__main__":
    main()
