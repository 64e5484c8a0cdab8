"""The folder that a final model is written into: a new one, or the one that it is in already."""

from pathlib import Path

from nasopt.models.loading import ARCHITECTURE, load
from nasopt.models.model import Model
from nasopt.models.saving import check_output


def usual_folder(name: str) -> Path:
    """Return the folder for the model of the experiment of that name."""
    return Path(f"{name}-model")


def check_folder(folder: Path, dataset: str) -> None:
    """Raise ModelError unless `folder` is free, or has a final model of the data set.

    What the model will be is not known yet: `holds` tells whether it is that one.
    """
    if not (folder / ARCHITECTURE).is_file():
        check_output(folder)
        return
    training = load(folder).training
    final = training is not None and training.validation_included
    if training is None or not final or training.dataset["fingerprint"] != dataset:
        check_output(folder)


def holds(folder: Path, model: Model) -> bool:
    """Return whether `folder` has this very model; False if it is free.

    Raises ModelError if it has anything else.
    """
    if (folder / ARCHITECTURE).is_file():
        there = load(folder)
        weights = there.module.state_dict(), model.module.state_dict()
        if weights[0].keys() == weights[1].keys() and all(
            weights[0][name].equal(weights[1][name].cpu()) for name in weights[0]
        ):
            return True
    check_output(folder)
    return False
