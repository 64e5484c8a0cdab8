"""`propose`: an experiment that fits a folder of pictures, and this machine."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from nasopt.data import image_folder
from nasopt.data.survey import Survey
from nasopt.errors import DataError
from nasopt.search.describe import SAMPLE, describe
from nasopt.search.experiment import Experiment
from nasopt.space.fields import RandomTrial, categorical
from nasopt.space.layers import Conv
from nasopt.space.limits import macs, parameters
from nasopt.space.space import Space, repeat
from nasopt.training.evaluation import Recipe

HALF_AN_HOUR = 1_800  # seconds
TRIAL_SECONDS = 60  # of a typical trial, at most: then half an hour has thirty of them
FEWEST_TRIALS, MOST_TRIALS = 10, 200
SIZES = (64, 48, 32)  # pixels; more only by --size
LEAST_SIZE = 8
STEM_SIZE = 48  # pixels, from which on the first layer halves the map
FEWEST_EPOCHS = 6
FEWEST_PICTURES, FEWEST_OF_A_CLASS = 2_000, 40  # to search with, where all would take too long
MANY_CLASSES = 20


@dataclass(frozen=True)
class Proposal:
    """An `experiment` on the pictures of a `survey`.

    `seconds_per_trial` is of a typical trial, unpruned, measured on `device`.
    """

    survey: Survey
    experiment: Experiment
    seconds_per_trial: float
    device: str

    @property
    def seconds(self) -> float:
        """The seconds that all trials take, unpruned."""
        return self.experiment.trials * self.seconds_per_trial

    @property
    def size(self) -> int:
        return int(self.experiment.data.input_shape[-1])

    @property
    def standard_error(self) -> float:
        """The standard error of an accuracy on the validation pictures, at most."""
        return 0.5 / math.sqrt(self.experiment.data.counts[1])

    def to_json(self) -> dict[str, Any]:
        experiment = self.experiment
        return {
            **self.survey.to_json(),
            "size": self.size,
            "limit": experiment.data.limit,
            "limits": [str(limit) for limit in experiment.limits],
            "recipe": experiment.recipe.to_json(),
            "metric": experiment.metric,
            "trials": experiment.trials,
            "seconds_per_trial": self.seconds_per_trial,
            "device": self.device,
        }


def propose(
    survey: Survey, *, name: str, size: int | None = None, device: str = "auto"
) -> Proposal:
    """Return the experiment for `survey`, with pictures of `size` pixels if that is given.

    It is measured here: where a typical trial would take more than a minute, there are fewer
    epochs, then smaller pictures, then fewer of them.

    Raises DataError if pictures of that size do not fit into memory.
    """
    for side in _sizes(survey) if size is None else [size]:
        proposal = _with_fewer_epochs(_measured(survey, name, side, device))
        if proposal.seconds_per_trial <= TRIAL_SECONDS:
            break
    if math.isinf(proposal.seconds_per_trial):
        raise DataError(
            f"size={proposal.size}: too large for the memory of {proposal.device}; "
            "use a smaller one"
        )
    proposal = _with_fewer_pictures(proposal)
    trials = _trials(proposal.seconds_per_trial)
    return replace(proposal, experiment=replace(proposal.experiment, trials=trials))


def _sizes(survey: Survey) -> list[int]:
    """Return the sizes that suit the pictures, the largest first."""
    side = survey.short_sides[1]
    return [each for each in SIZES if each <= side] or [max(LEAST_SIZE, side)]


def _trials(seconds: float) -> int:
    """Return how many trials of `seconds` there are in half an hour, as a round number."""
    trials = min(max(HALF_AN_HOUR / seconds, FEWEST_TRIALS), MOST_TRIALS)
    return int(trials) // 5 * 5


def _measured(survey: Survey, name: str, size: int, device: str) -> Proposal:
    """Return the proposal with pictures of `size`, however long a trial takes."""
    experiment = Experiment(
        dataset=image_folder(survey.path.absolute(), size),
        space=_space(size, len(survey.classes)),
        recipe=_recipe(survey, size),
        metric="balanced_accuracy" if survey.is_unbalanced else "accuracy",
        name=name,
    )
    experiment = _limited(experiment, survey.training)
    found = describe(experiment, device)
    assert found.seconds_per_trial is not None
    return Proposal(survey, experiment, found.seconds_per_trial.median, str(found.device))


def _space(size: int, classes: int) -> Space:
    """Return a space of 3 to 6 layers, wider for many classes; large maps are halved first."""
    filters = categorical(16, 32, 64) if classes <= MANY_CLASSES else categorical(32, 64, 128)
    layer = Conv(filters=filters, kernel_size=categorical(3, 5), stride=categorical(1, 2))
    stem = [Conv(filters=filters, kernel_size=3, stride=2)] if size >= STEM_SIZE else []
    return Space(*stem, repeat(layer, 3, 6), min_resolution=min(4, size))


def _recipe(survey: Survey, size: int) -> Recipe:
    """Return a recipe with about as many steps for few pictures as for many."""
    images = survey.training
    batch_size = 16 if images < 200 else 32 if images < 2_000 else 64 if images < 20_000 else 128
    return Recipe(
        epochs=min(60, max(12, round(20 * math.sqrt(10_000 / images)))),
        batch_size=batch_size,
        lr={16: 0.025, 32: 0.05, 64: 0.1, 128: 0.2}[batch_size],
        shift=max(1, size // 8),
        flip=not survey.is_grey,
    )


def _limited(experiment: Experiment, images: int) -> Experiment:
    """Return the experiment with limits that let through the smaller part of its networks.

    Few pictures train few parameters; the limit of MACs keeps trials alike in time.
    """
    dice = RandomTrial(0)
    fields = experiment.hyperparameters.items()
    costs = [
        experiment.cost(
            experiment.evaluation({n: f.suggest(dice, n) for n, f in fields}).architecture
        )
        for _ in range(SAMPLE)
    ]
    share = 0.35 if images < 500 else 0.5 if images < 5_000 else 0.75
    limits = (
        parameters <= _quantile([each.parameters for each in costs], share),
        macs <= _quantile([each.macs for each in costs], 0.6),
    )
    return replace(experiment, limits=limits)


def _quantile(amounts: Sequence[int], share: float) -> int:
    """Return the quantile as a number of two digits and zeros."""
    found = float(np.quantile(amounts, share))
    unit = int(10 ** max(0, math.floor(math.log10(found)) - 1))
    return math.ceil(found / unit) * unit


def _with_fewer_epochs(proposal: Proposal) -> Proposal:
    """Return the proposal with as many epochs as there is time for, if not too few."""
    recipe, seconds = proposal.experiment.recipe, proposal.seconds_per_trial
    wanted = int(recipe.epochs * TRIAL_SECONDS / seconds)
    epochs = min(recipe.epochs, max(FEWEST_EPOCHS, wanted))
    experiment = replace(proposal.experiment, recipe=replace(recipe, epochs=epochs))
    seconds *= epochs / recipe.epochs
    return replace(proposal, experiment=experiment, seconds_per_trial=seconds)


def _with_fewer_pictures(proposal: Proposal) -> Proposal:
    """Return the proposal with as many pictures as there is time for, if not too few."""
    images = sum(proposal.experiment.data.counts)
    least = max(FEWEST_PICTURES, FEWEST_OF_A_CLASS * len(proposal.survey.classes))
    wanted = int(images * TRIAL_SECONDS / proposal.seconds_per_trial) // 1_000 * 1_000
    limit = max(least, wanted)
    if limit >= images:
        return proposal
    data = replace(proposal.experiment.data, limit=limit)
    seconds = proposal.seconds_per_trial * limit / images
    experiment = replace(proposal.experiment, dataset=data)
    return replace(proposal, experiment=experiment, seconds_per_trial=seconds)
