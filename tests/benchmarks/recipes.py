"""What helps deep networks within a study's space: its random networks, each trained otherwise.

    python -m tests.benchmarks.recipes studies/cifar10_small.py ROWS.csv

A difference is to the training of the same network and seed by the study's own recipe; +- is its
standard error over networks. Each training is a line of the file, and those that are there are not
done again, so that the same command goes on.
"""

import argparse
import csv
import statistics
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import nn

from nasopt import Architecture, Conv, load_experiment
from nasopt.analysis.noise import SAMPLE_SEED
from nasopt.data import Dataset, image_folder
from nasopt.space.blocks import Residual
from nasopt.training.evaluation import Evaluation
from nasopt.training.trainer import Trainer

AS_IT_IS = "as it is"


@dataclass(frozen=True)
class Otherwise:
    """A change of a training: of what is trained, and of the trainer before its first step."""

    of: Callable[[Evaluation], Evaluation] = lambda evaluation: evaluation
    before: Callable[[Trainer], None] = lambda trainer: None


def _layers(op: str) -> Callable[[Evaluation], Evaluation]:
    def change(evaluation: Evaluation) -> Evaluation:
        layers = tuple(replace(each, op=op) for each in evaluation.architecture.layers)
        return replace(evaluation, architecture=Architecture(layers))

    return change


def _with_stem(evaluation: Evaluation) -> Evaluation:
    layers = (Conv(filters=24, kernel_size=3), *evaluation.architecture.layers)
    return replace(evaluation, architecture=Architecture(layers))


def _recipe(**fields: object) -> Callable[[Evaluation], Evaluation]:
    return lambda each: replace(each, recipe=replace(each.recipe, **fields))


def _rate(factor: float) -> Callable[[Evaluation], Evaluation]:
    return lambda each: replace(each, recipe=replace(each.recipe, lr=factor * each.recipe.lr))


def _twice(field: str) -> Callable[[Evaluation], Evaluation]:
    def change(each: Evaluation) -> Evaluation:
        return replace(
            each, recipe=replace(each.recipe, **{field: 2 * getattr(each.recipe, field)})
        )

    return change


def _of_32_pixels(evaluation: Evaluation) -> Evaluation:
    data = evaluation.dataset
    assert isinstance(data, Dataset)
    larger = image_folder(data.arguments["path"], size=32, limit=data.limit)
    return replace(evaluation, dataset=larger)


def _branches_off(trainer: Trainer) -> None:
    """Let each residual layer begin as its shortcut (Goyal et al., arXiv 1706.02677)."""
    for module in trainer.network.modules():
        if isinstance(module, Residual):
            norms = [each for each in module.branch if isinstance(each, nn.BatchNorm2d)]
            nn.init.zeros_(norms[-1].weight)


@torch.no_grad()
def _orthogonal(trainer: Trainer) -> None:
    with torch.random.fork_rng([]):
        torch.manual_seed(trainer.seed)
        for module in trainer.network.modules():
            if isinstance(module, nn.Conv2d):
                weight = torch.empty(module.weight.shape)  # in the usual memory layout
                gain = nn.init.calculate_gain("relu")
                module.weight.copy_(nn.init.orthogonal_(weight, gain))


def _by_depth(first: float, last: float) -> Callable[[Trainer], None]:
    """Scale the rates of convolutions, from the first to the last, by scaling their gradients."""

    def change(trainer: Trainer) -> None:
        convolutions = [m for m in trainer.network.modules() if isinstance(m, nn.Conv2d)]
        for place, module in enumerate(convolutions):
            share = place / max(1, len(convolutions) - 1)
            factor = first ** (1 - share) * last**share
            module.weight.register_hook(lambda gradient, factor=factor: factor * gradient)

    return change


VARIANTS = {
    AS_IT_IS: Otherwise(),
    "plain layers": Otherwise(_layers("conv")),
    "plain layers, orthogonal weights": Otherwise(_layers("conv"), _orthogonal),
    "plain layers, half the rate": Otherwise(lambda each: _rate(0.5)(_layers("conv")(each))),
    "separable layers": Otherwise(_layers("separable")),
    "a stem, 3x3 of 24 filters": Otherwise(_with_stem),
    "branches begin at 0": Otherwise(before=_branches_off),
    "orthogonal weights": Otherwise(before=_orthogonal),
    "rates by depth, 2 to 1/2": Otherwise(before=_by_depth(2, 0.5)),
    "rates by depth, 1/2 to 2": Otherwise(before=_by_depth(0.5, 2)),
    "half the rate": Otherwise(_rate(0.5)),
    "twice the rate": Otherwise(_rate(2)),
    "no warm-up (cosine)": Otherwise(_recipe(schedule="cosine")),
    "label smoothing 0.1": Otherwise(_recipe(label_smoothing=0.1)),
    "twice the batch": Otherwise(_twice("batch_size")),
    "twice the epochs": Otherwise(_twice("epochs")),
    "32 pixels": Otherwise(_of_32_pixels),
}


def trained(evaluation: Evaluation, otherwise: Otherwise) -> tuple[float, float]:
    """Return the accuracy on the validation images after the last epoch, and the seconds."""
    changed = otherwise.of(evaluation)
    data = changed.dataset
    assert isinstance(data, Dataset)
    train, validation, _ = data.load()
    trainer = Trainer(changed, train, validation, data.classes)
    otherwise.before(trainer)
    results = list(trainer.epochs())
    return results[-1].accuracy, sum(each.seconds for each in results)


def row(name: str, rows: dict[tuple[str, int], tuple[float, float]]) -> str:
    """Return a line of the table: the mean, the paired difference, the share of the seconds."""
    networks = [n for variant, n in rows if variant == name and (AS_IT_IS, n) in rows]
    accuracies, seconds = zip(*(rows[name, n] for n in networks), strict=True)
    before, before_seconds = zip(*(rows[AS_IT_IS, n] for n in networks), strict=True)
    cells = [name, str(len(networks)), f"{statistics.fmean(accuracies):.4f}", "", ""]
    if name != AS_IT_IS:
        differences = [ours - theirs for ours, theirs in zip(accuracies, before, strict=True)]
        cells[3] = f"{statistics.fmean(differences):+.4f}"
        if len(differences) > 1:
            cells[3] += f" +- {statistics.stdev(differences) / len(differences) ** 0.5:.4f}"
        cells[4] = f"{sum(seconds) / sum(before_seconds):.2f}"
    return f"| {' | '.join(cells)} |"


def read(path: Path) -> dict[tuple[str, int], tuple[float, float]]:
    if not path.exists():
        return {}
    with path.open(newline="") as file:
        return {
            (name, int(network)): (float(accuracy), float(seconds))
            for name, network, accuracy, seconds in csv.reader(file)
        }


def main() -> None:
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("study")
    parser.add_argument("rows", type=Path)
    parser.add_argument("--networks", type=int, default=3)
    parser.add_argument("--only", nargs="+", choices=list(VARIANTS), default=list(VARIANTS))
    given = parser.parse_args()
    torch.set_num_threads(1)
    experiment = load_experiment(given.study)
    drawn = list(experiment.sample(given.networks, SAMPLE_SEED))
    rows = read(given.rows)
    print("| training | networks | accuracy | difference | share of the time |")
    print("|---|---|---|---|---|")
    for name in dict.fromkeys((AS_IT_IS, *given.only)):
        for number, evaluation in enumerate(drawn):
            if (name, number) not in rows:
                rows[name, number] = trained(evaluation, VARIANTS[name])
                with given.rows.open("a", newline="") as file:
                    csv.writer(file).writerow([name, number, *rows[name, number]])
        print(row(name, rows), flush=True)


if __name__ == "__main__":
    main()
