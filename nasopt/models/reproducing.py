"""`reproduce`: the training of a saved model done again, and whether the figures agree."""

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch

from nasopt.analysis.classification import wilson
from nasopt.data import Dataset
from nasopt.data.datasets import check_same, described
from nasopt.errors import ModelError, spelled
from nasopt.models.fitting import Fit
from nasopt.models.loading import load
from nasopt.models.model import Training
from nasopt.search.interruption import Interrupted, interruptible
from nasopt.text import BEGINS_ANEW, accuracy, listed, several
from nasopt.training.evaluation import EpochResult


@dataclass(frozen=True)
class Reproduction:
    """A training and its repetition.

    `differences` say what else was different: the device, say. Without any, `exactly` should be
    True: all figures of all epochs and all weights are equal, bit for bit. `interval` is where an
    accuracy on as many images lies with 95 %, if the true one is the recorded one.
    """

    recorded: tuple[float, ...]  # validation accuracies, one for each epoch
    found: tuple[float, ...]
    same_figures: bool
    same_weights: bool
    differences: tuple[str, ...]
    interval: tuple[float, float]

    @property
    def exactly(self) -> bool:
        return self.same_figures and self.same_weights

    @property
    def agrees(self) -> bool:
        """True if they are equal, or differ no more than chance explains."""
        low, high = self.interval
        return self.exactly or low <= self.found[-1] <= high

    @property
    def verdict(self) -> str:
        """One sentence on whether the figures agree, and how far."""
        if self.exactly:
            epochs = several(len(self.found), "epoch")
            return f"The figures agree bit for bit: those of {epochs}, and all weights."
        both = f"{accuracy(self.found[-1])} now, {accuracy(self.recorded[-1])} as recorded"
        agree = "agree, as far as chance allows" if self.agrees else "do not agree"
        why = (
            f" Bit for bit they could not: {listed(self.differences)}."
            if self.differences
            else " Device, torch and threads are the same by name; another processor may still be "
            "why it is not bit for bit."
        )
        return f"The figures {agree}: an accuracy of {both}.{why}"

    def to_json(self) -> dict[str, Any]:
        return {
            **asdict(self),
            "exactly": self.exactly,
            "agrees": self.agrees,
            "verdict": self.verdict,
        }


class Reproducing:
    """A training that is done again: iterate over its epochs, then read `result`.

    The images are those that the folder describes, in `data` if they are in another folder now, or
    `dataset`, if it is given.

    Raises an Error if the training is not recorded, or the images are others. Iterating raises
    Interrupted on Ctrl-C or SIGTERM; the same call begins anew.
    """

    def __init__(
        self,
        folder: str | Path,
        *,
        data: str | Path | None = None,
        dataset: Dataset | None = None,
        device: str = "auto",
    ) -> None:
        self.signum: int | None = None  # of the signal that asked to stop
        self.model = load(folder)
        if self.model.training is None:
            raise ModelError(f"{folder}: its training is not recorded; train it with nasopt.train")
        self.training: Training = self.model.training
        told = self.training.dataset
        if dataset is None:
            dataset = described(told, data)
        else:
            check_same(dataset, told)
        self.fit = Fit(
            self.model.architecture, dataset, self.training.recipe, self.training.seed, device,
            threads=self.training.threads, validation_included=self.training.validation_included,
        )  # fmt: skip

    def __iter__(self) -> Iterator[EpochResult]:
        with interruptible(self):
            for result in self.fit.batches():
                if self.signum is not None:
                    raise Interrupted(self.signum, BEGINS_ANEW)
                if result is not None:
                    yield result

    @property
    def result(self) -> Reproduction:
        """The comparison, once it was iterated to the end."""
        recorded, again = self.training, self.fit.model.training
        assert again is not None
        images = recorded.images[1]
        return Reproduction(
            recorded=tuple(each[0] for each in recorded.epochs),
            found=tuple(each[0] for each in again.epochs),
            same_figures=recorded.epochs == again.epochs,
            same_weights=self._same_weights(),
            differences=tuple(_differences(recorded, again)),
            interval=wilson(round(recorded.accuracy * images), images),
        )

    def _same_weights(self) -> bool:
        ours, theirs = (each.module.state_dict() for each in (self.model, self.fit.model))
        return all(torch.equal(ours[name], theirs[name].cpu()) for name in ours)


def _differences(recorded: Training, again: Training) -> Iterator[str]:
    for name, then, now in (
        ("the device", recorded.device, again.device),
        ("torch", recorded.torch, again.torch),
        ("the version of the training", recorded.version, again.version),
    ):
        if then != now:
            yield f"{name} was {then} and is {now}"


@spelled(ModelError)
def reproduce(
    folder: str | Path,
    *,
    data: str | Path | None = None,
    dataset: Dataset | None = None,
    device: str = "auto",
) -> Reproduction:
    """Train the model in `folder` again, and say whether the figures agree.

        print(nasopt.reproduce("photos-model").verdict)

    `data` is the folder of the images, if it is not where it was; `dataset` the data set itself, if
    its images were in memory.

    Raises an `Error` if the training is not recorded, or the images are others; Interrupted on
    Ctrl-C or SIGTERM.
    """
    again = Reproducing(folder, data=data, dataset=dataset, device=device)
    for _ in again:
        pass
    return again.result
