"""The folder that a final model is written into: a new one, or the one that it is in already."""

import logging
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory

from nasopt.errors import ModelError
from nasopt.models.loading import ARCHITECTURE, load
from nasopt.models.model import Model
from nasopt.models.saving import ONNX, check_output
from nasopt.text import RUN_AGAIN, installing

logger = logging.getLogger("nasopt")

ONNX_EXTRA = ("onnx", "onnxscript")  # its packages


def usual_folder(name: str) -> Path:
    """Return the folder for the model of the experiment of that name."""
    return Path(f"{name}-model")


def check_folder(folder: Path, dataset: str) -> None:
    """Raise ModelError unless `folder` is free, or has a final model of the data set.

    What the model will be is not known yet: `holds` tells whether it is that one. That there will
    be no ONNX is said here, before anything is trained.
    """
    if not (folder / ARCHITECTURE).is_file():
        check_output(folder)
        _check_writable(folder)
        if (missing := _missing_for_onnx()) is not None:
            logger.warning("%s: will not be written, %s", ONNX, missing)
        return
    training = load(folder).training
    final = training is not None and training.validation_included
    if training is None or not final or training.dataset["fingerprint"] != dataset:
        check_output(folder)


def _check_writable(folder: Path) -> None:
    """Raise ModelError unless a folder can be made where `folder` will be."""
    place = folder.resolve().parent
    while not place.exists():
        place = place.parent
    try:
        with TemporaryDirectory(prefix=".nasopt-", dir=place):
            pass
    except OSError as error:
        raise ModelError(
            f"{folder}: cannot be written ({error.strerror}); name another folder with -o"
        ) from error


def _missing_for_onnx() -> str | None:
    """Return the package that is missing, with the remedy; None if ONNX can be written."""
    missing = [name for name in ONNX_EXTRA if find_spec(name) is None]
    return f"{missing[0]} is not installed; run: {installing('onnx')}" if missing else None


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
            if not (folder / ONNX).exists() and _missing_for_onnx() is None:
                remedy = f"remove the folder and {RUN_AGAIN}: nothing is trained anew"
                logger.warning("%s: has no %s; %s", folder, ONNX, remedy)
            return True
    check_output(folder)
    return False
