"""What a cheap training tells of a long one: rank correlations, regrets, and their price.

    python -m tests.benchmarks.proxies studies/cifar10_small.py \\
        tests/data/cifar10-small-curves.csv tests/data/cifar10-small-proxies.csv

Random networks of the study are trained twice by its recipe, and once by each proxy: a recipe with
fewer epochs, fewer training images, smaller pictures. The epochs of the long trainings are proxies,
too: what a pruner sees, the first one alone, and the sum of training losses (TSE: Ru et al., Speedy
Performance Estimation for Neural Architecture Search, NeurIPS 2021). So are sizes, which cost
nothing.

A long training judges the proxies; those that are taken from the other one, or trained apart, do
not share its luck. Each of the two judges once, and the mean is shown. The better third is the
judge's, so the correlations within it have the judge's luck against them, for each line alike:
the line "all epochs, another seed" is what can be had.

The first file is a table of one's own of the long trainings, a row an epoch, the second has a row
for each training by a proxy. What is there is not trained again, so the same command goes on, and
with the files of the repository it trains nothing (its pictures have to be there, as for any use of
the study).
"""

import argparse
import csv
import statistics
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from scipy.stats import spearmanr

from nasopt import load_experiment
from nasopt.analysis.noise import SAMPLE_SEED
from nasopt.data import Dataset, image_folder
from nasopt.data.readers import Split
from nasopt.data.splitting import stratified
from nasopt.search.experiment import Experiment
from nasopt.training.evaluation import Evaluation
from nasopt.training.trainer import Trainer

Floats = npt.NDArray[np.float64]
Change = Callable[[Evaluation], Evaluation]

DRAWS = 2_000  # of the networks, for the intervals
BEST = 3  # networks that are trained long after a proxy has chosen them


@dataclass(frozen=True)
class Proxy:
    """A proxy's scores (judges, networks), more is better, and its work.

    That is MACs x training images x epochs, as a share of a long training's.
    """

    name: str
    scores: Floats
    work: float


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


class Epoch(NamedTuple):
    accuracy: float
    train_loss: float
    seconds: float


class Trainings:
    """The trainings of the study's random networks: long ones by its recipe, and by proxies."""

    def __init__(self, experiment: Experiment, networks: int, curves: Path, proxies: Path) -> None:
        self.experiment = experiment
        self.drawn = list(experiment.sample(networks, SAMPLE_SEED))
        self.costs = [experiment.cost(each.architecture) for each in self.drawn]
        self.curves = curves
        self.proxies = proxies

    def long(self, seed: int) -> list[list[Epoch]]:
        """Return the epochs of each network by the recipe of the study and a seed."""
        known: dict[int, list[Epoch]] = defaultdict(list)
        for each in _rows(self.curves):
            if int(each["seed"]) == seed:
                epoch = Epoch(*(float(each[n]) for n in ("accuracy", "_train_loss", "seconds")))
                known[int(each["network"])].append(epoch)
        for number, each in enumerate(self.drawn):
            if number not in known:
                known[number] = trained(replace(each, seed=self.experiment.seed + seed))
                for epoch, result in enumerate(known[number], 1):
                    self._write_epoch(number, seed, epoch, result)
        return [known[number] for number in range(len(self.drawn))]

    def _write_epoch(self, number: int, seed: int, epoch: int, result: Epoch) -> None:
        cost, architecture = self.costs[number], self.drawn[number].architecture
        layers = " ".join(
            f"{conv.filters}/{conv.kernel_size}/{conv.stride}" for conv in architecture.layers
        )
        _append(
            self.curves,
            network=number, seed=seed, epoch=epoch, accuracy=f"{result.accuracy:.5f}",
            parameters=cost.parameters, macs=cost.macs, seconds=f"{result.seconds:.2f}",
            _train_loss=f"{result.train_loss:.4f}",
            _layers=layers if (seed, epoch) == (0, 1) else "",
        )  # fmt: skip

    def short(self, proxy: str, change: Change, share: float = 1) -> Floats:
        """Return the accuracy of each network by a proxy.

        `share` is that of the training images; the validation images are the same.
        """
        known = {
            int(each["network"]): float(each["accuracy"])
            for each in _rows(self.proxies)
            if each["proxy"] == proxy
        }
        for number, each in enumerate(self.drawn):
            if number not in known:
                other = change(replace(each, seed=self.experiment.seed + 2))
                known[number] = trained(other, share)[-1].accuracy
                accuracy = f"{known[number]:.5f}"
                _append(self.proxies, proxy=proxy, network=number, accuracy=accuracy)
        return np.array([known[number] for number in range(len(self.drawn))])


def _rows(path: Path) -> Iterator[dict[str, str]]:
    if path.exists():
        with path.open(newline="") as file:
            yield from csv.DictReader(file)


def _append(path: Path, **row: object) -> None:
    begun = path.exists()
    with path.open("a", newline="") as file:
        writer = csv.DictWriter(file, list(row), lineterminator="\n")
        if not begun:
            writer.writeheader()
        writer.writerow(row)


def images_of(data: Dataset, share: float = 1) -> tuple[Split, Split]:
    """Return that share of the training images of each class, and all validation images."""
    train, validation, _ = data.load()
    if share < 1:
        labels = train.labels.numpy()
        places, _ = stratified(np.arange(len(labels)), labels, share, np.random.default_rng(0))
        train = Split(train.images[places], train.labels[places])
    return train, validation


def trained(evaluation: Evaluation, share: float = 1) -> list[Epoch]:
    data = evaluation.dataset
    assert isinstance(data, Dataset)
    results = Trainer(evaluation, *images_of(data, share), data.classes).epochs()
    return [Epoch(each.accuracy, each.train_loss, each.seconds) for each in results]


def proxies_of(trainings: Trainings) -> tuple[Floats, list[Proxy]]:
    """Return the judges' accuracies (judges, networks), and the proxies of the study."""
    both = [trainings.long(seed) for seed in (0, 1)]
    judges = np.array([[curve[-1].accuracy for curve in curves] for curves in both])
    others = both[::-1]  # each judge judges the other training
    epochs = trainings.experiment.recipe.epochs

    def curve(name: str, score: Callable[[list[Epoch]], float], until: int) -> Proxy:
        scores = np.array([[score(each) for each in curves] for curves in others])
        return Proxy(name, scores, until / epochs)

    def apart(
        name: str, work: float, change: Change = lambda each: each, share: float = 1
    ) -> Proxy:
        return Proxy(name, np.array([trainings.short(name, change, share)] * 2), work)

    found = [curve("all epochs, another seed", lambda c: c[-1].accuracy, epochs)]
    for few in (epochs // 2, epochs // 4):
        recipe = replace(trainings.experiment.recipe, epochs=few)
        found.append(
            apart(
                f"a recipe of {few} epochs",
                few / epochs,
                lambda each, recipe=recipe: replace(each, recipe=recipe),
            )
        )
    for part in (2, 4):
        found.append(apart(f"1/{part} of the training images", 1 / part, share=1 / part))
    found.append(_smaller(trainings, apart))
    cuts = sorted({1, epochs // 8, epochs // 4, epochs // 2} - {0}, reverse=True)
    for cut in cuts:
        found.append(
            curve(f"stopped after epoch {cut}", lambda c, cut=cut: c[cut - 1].accuracy, cut)
        )
    for cut in cuts:
        found.append(
            curve(
                f"training losses to epoch {cut}, summed",
                lambda c, cut=cut: -sum(each.train_loss for each in c[:cut]),
                cut,
            )
        )
    for name, of in (("parameters", "parameters"), ("MACs", "macs")):
        sizes = np.array([[getattr(cost, of) for cost in trainings.costs]] * 2, float)
        found.append(Proxy(name, sizes, 0.0))
    return judges, found


def _smaller(trainings: Trainings, apart: Callable[[str, float, Change], Proxy]) -> Proxy:
    """Return the proxy of pictures of half the size."""
    experiment = trainings.experiment
    data = experiment.data
    path, size = data.arguments["path"], data.arguments["size"] // 2
    smaller = image_folder(path, size=size, limit=data.limit)
    small = replace(experiment, dataset=smaller, limits=())
    macs = sum(small.cost(each.architecture).macs for each in trainings.drawn)
    work = macs / sum(cost.macs for cost in trainings.costs)
    return apart(f"{size} x {size} pixels", work, lambda each: replace(each, dataset=smaller))


def table(judges: Floats, proxies: Sequence[Proxy]) -> Iterator[str]:
    yield "| proxy | work | all | best third | loss of its first | of its best 3 |"
    yield "|---|---|---|---|---|---|"
    for proxy in proxies:
        mean = mean_worth(proxy, judges)
        cells = [proxy.name, f"{proxy.work:.3g}"]
        for name in ("everywhere", "third"):
            low, high = interval(proxy, judges, lambda each, name=name: getattr(each, name))
            cells.append(f"{getattr(mean, name):.2f} ({low:.2f} to {high:.2f})")
        cells += [f"{mean.first:.4f}", f"{mean.best:.4f}"]
        yield f"| {' | '.join(cells)} |"
    spread = statistics.fmean(float(each.max() - each.mean()) for each in judges)
    yield ""
    yield f"A network drawn at random loses {spread:.4f}."


def main() -> None:
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("study")
    parser.add_argument("curves", type=Path, help="of the long trainings")
    parser.add_argument("proxies", type=Path)
    parser.add_argument("--networks", type=int, default=16)
    given = parser.parse_args()
    torch.set_num_threads(1)
    experiment = load_experiment(given.study)
    trainings = Trainings(experiment, given.networks, given.curves, given.proxies)
    print("\n".join(table(*proxies_of(trainings))))


if __name__ == "__main__":
    main()
