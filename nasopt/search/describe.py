"""The numbers of a space, before anything is searched."""

import math
import statistics
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import torch

from nasopt.data.readers import Split
from nasopt.errors import OutOfMemory, SpaceError
from nasopt.search.experiment import Experiment
from nasopt.space.architecture import Architecture
from nasopt.space.fields import RandomTrial
from nasopt.training.devices import (
    find_device,
    out_of_memory_told,
    suitable_threads,
    threads_here,
)
from nasopt.training.evaluation import Evaluation
from nasopt.training.trainer import Trainer

SAMPLE = 200  # random networks that the ranges are taken over
TIMED_BATCHES = 2
TIMED_IMAGES = 1_024  # at most, for each of the parts that are timed
TRIAL_MACS = 2e9  # of a timed batch, forward: what a slow machine does in a second or so


@dataclass(frozen=True)
class Range:
    """The least, median and greatest value of a sample."""

    low: float
    median: float
    high: float


@dataclass(frozen=True)
class Description:
    """A space in numbers; ranges are over a sample of random networks, all limits left aside.

    `size` counts architectures as written, `distinct` the different networks among them.
    `feasible` is the share of the sample within the limits, those of latency left aside.
    `seconds_per_trial` is of whole trainings (without pruning) on `device`, measured on a few
    batches of random images.
    """

    parameters: dict[str, str]
    size: int
    distinct: int | None  # None: too many to be counted
    sample: int
    network_parameters: Range
    macs: Range
    resolution: Range  # pixels, of the shorter side of the last feature map
    feasible: float
    seconds_per_trial: Range | None
    device: str | None

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


def describe(experiment: Experiment, device: str | None = "auto") -> Description:
    """Describe the experiment's space; with a `device`, time trials on it, which needs no data."""
    dice = RandomTrial(0)
    sample = []
    for _ in range(SAMPLE):
        fields = experiment.hyperparameters.items()
        sample.append(experiment.evaluation({name: f.suggest(dice, name) for name, f in fields}))
    costs = [experiment.cost(each.architecture) for each in sample]
    limits = experiment.known_limits
    within = [all(limit.violation(cost) <= 0 for limit in limits) for cost in costs]
    shape = experiment.data.input_shape
    networks = [each.architecture for each in sample if isinstance(each.architecture, Architecture)]
    seconds = name = None
    if device is not None and experiment.batch_macs is not None:  # else it is trained elsewhere
        found = find_device(device)
        name = str(found)
        affordable = [each for each, inside in zip(sample, within, strict=True) if inside]
        if not affordable:
            raise SpaceError(
                f"limits: none of {SAMPLE} random networks has "
                f"{' and '.join(map(str, limits))}; raise the limit, or widen the space"
            )
        affordable.sort(key=lambda each: experiment.cost(each.architecture).macs)
        chosen = {0, len(affordable) // 2, len(affordable) - 1}
        timed = [_seconds(experiment, affordable[place], found) for place in sorted(chosen)]
        seconds = _range(timed)
    return Description(
        parameters={name: repr(field) for name, field in experiment.hyperparameters.items()},
        size=experiment.space.size,
        distinct=experiment.space.distinct,
        sample=SAMPLE,
        network_parameters=_range([cost.parameters for cost in costs]),
        macs=_range([cost.macs for cost in costs]),
        resolution=_range([min(each.resolution(shape)) for each in networks]),
        feasible=statistics.fmean(within),
        seconds_per_trial=seconds,
        device=name,
    )


def _range(values: Sequence[float]) -> Range:
    return Range(min(values), statistics.median(values), max(values))


def _seconds(experiment: Experiment, evaluation: Evaluation, device: torch.device) -> float:
    """Return the seconds of one whole training; infinite if out of memory.

    They are measured on a few batches of random images.
    """
    train, validation = experiment.data.counts
    macs = experiment.cost(evaluation.architecture).macs
    batch = min(evaluation.recipe.chosen("batch_size"), train)
    while batch > 8 and batch * macs > TRIAL_MACS:
        batch //= 2  # convolutions of such size take as long per image in a smaller batch
    scored = min(validation, TIMED_IMAGES, max(8, int(TRIAL_MACS / macs)))
    generator = torch.Generator().manual_seed(0)

    def images(count: int) -> Split:
        shape = (count, *experiment.data.input_shape)
        pixels = torch.randint(0, 256, shape, dtype=torch.uint8, generator=generator)
        labels = torch.randint(0, experiment.data.classes, (count,), generator=generator)
        return Split(pixels, labels).to(device)

    recipe = replace(evaluation.recipe, epochs=2, batch_size=batch)  # the first warms up
    try:
        with out_of_memory_told(device):
            drawn = images(batch * TIMED_BATCHES), images(scored)
        trainer = Trainer(
            Evaluation(evaluation.architecture, recipe, experiment.data, 0),
            *drawn,
            experiment.data.classes,
            threads=threads_here(suitable_threads(experiment.batch_macs or 0)),
        )
        for result in trainer.batches():
            if result is None:
                training = trainer.seconds
            else:
                scoring = result.seconds - training
    except OutOfMemory:
        return math.inf
    per_epoch = training / (batch * TIMED_BATCHES) * train + scoring / scored * validation
    return float(experiment.recipe.epochs * per_epoch)
