"""The noise of an experiment, measured: a few networks trained with a few seeds each."""

import logging
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from nasopt.errors import OutOfMemory, RecipeError, SpaceError
from nasopt.storage.patience import waiting_for_servers
from nasopt.training.evaluation import EpochResult, Evaluation

if TYPE_CHECKING:  # they import torch, which what was measured before can be read without
    from nasopt.search.experiment import Experiment


from nasopt.analysis.noise import SAMPLE_SEED, Noise, variance_components

logger = logging.getLogger("nasopt")


@dataclass(frozen=True)
class NoiseProgress:
    """A training of `total` is under way: `result` is its latest epoch, scored by `metric`."""

    training: int  # from 1
    total: int
    evaluation: Evaluation
    result: EpochResult
    metric: str = "accuracy"


class NoiseStudy:
    """The trainings that measure the noise: iterate over it, then read `noise`.

    The evaluations are kept in the ledger: a second call costs nothing, and a search of the same
    experiment replays those of its own seed.
    """

    def __init__(
        self,
        experiment: "Experiment",
        storage: str | Path | None = None,
        device: str = "auto",
        *,
        architectures: int = 8,
        seeds: int = 3,
    ) -> None:
        from nasopt.search.evaluator import Evaluator

        for name, value in (("architectures", architectures), ("seeds", seeds)):
            if type(value) is not int or value < 2:
                raise RecipeError(f"{name}={value!r}: a variance needs 2 or more")
        if not experiment.backend.fresh_seeds:  # two seeds may well see the same replicate
            raise RecipeError(
                f"Experiment.dataset={experiment.name}: a benchmark trains nothing; give a data set"
            )
        most = experiment.distinct
        sample = []
        if most is None or architectures <= most:
            sample = experiment.sample(architectures, SAMPLE_SEED)
            most = len(sample)
        if len(sample) < architectures:
            raise SpaceError(
                f"architectures={architectures}: only {most} networks within the limits were "
                "found; ask for fewer, or widen the space"
            )
        self.evaluations = [[each.reseeded(offset) for offset in range(seeds)] for each in sample]
        self.evaluator = Evaluator(experiment, storage, device)
        self.accuracies: list[list[float]] = []

    def __iter__(self) -> Iterator[NoiseProgress]:
        with waiting_for_servers():
            yield from self._trainings()

    def _trainings(self) -> Iterator[NoiseProgress]:
        self.accuracies = []
        total = sum(map(len, self.evaluations))
        training, metric = 0, self.evaluator.experiment.metric
        for network in self.evaluations:
            row = []
            try:
                for evaluation in network:
                    training += 1
                    for result in self.evaluator.epochs(evaluation):
                        yield NoiseProgress(training, total, evaluation, result, metric)
                    row.append(result.score(metric))
            except OutOfMemory as error:
                logger.warning("one network is left out: %s", error)
                training += len(network) - len(row) - 1
                continue
            self.accuracies.append(row)

    @property
    def noise(self) -> Noise:
        """The noise that the trainings show.

        Raises SpaceError if fewer than two networks fit the device.
        """
        if len(self.accuracies) < 2:
            raise SpaceError("fewer than two networks fit the device's memory; limit macs, say")
        return replace(
            variance_components(self.accuracies), metric=self.evaluator.experiment.metric
        )
