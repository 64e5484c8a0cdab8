"""The one place that reads test images: a look at them, recorded in one transaction."""

import base64
import io
from collections.abc import Iterator, Sequence

import numpy as np
import torch

from nasopt.analysis.final_test import MOST_MISTAKES, Contender, Mistake, content_of
from nasopt.data import Dataset
from nasopt.data.readers import Split
from nasopt.errors import DataError
from nasopt.models.final_training import FinalTraining
from nasopt.models.model import Model
from nasopt.storage.looks import Look, Looks, Predictions
from nasopt.training.devices import training_on
from nasopt.training.evaluation import Evaluation


def check_test(data: Dataset) -> None:
    """Raise DataError if there is no test image, as in a folder with train and val alone."""
    if data.test_files == ():
        raise DataError(
            f"{data.name}: no test split in the folder, only train and one for validation; add a "
            "test folder with the same classes and search on that"
        )


def look_at_test(
    training: FinalTraining,
    contenders: Sequence[tuple[Contender, Sequence[Evaluation]]],
    looks: Looks,
    key: str,
    left_out: Sequence[str] = (),
) -> None:
    """Record what the trained networks of all contenders say of the test images, at once.

    The first contender is the winner, and its first training the model whose mistakes are kept.
    """
    data = training.data
    test = data.load().test
    predictions = {
        evaluation.key: _predicted(training, training.model(evaluation), test)
        for _, evaluations in contenders
        for evaluation in evaluations
    }
    names = data.class_names()
    first = predictions[contenders[0][1][0].key]
    content = content_of(
        [contender for contender, _ in contenders],
        names,
        contenders[0][1][0].recipe.epochs,
        list(_mistakes(first, test, names, data.test_files)),
        left_out,
    )
    labels = test.labels.numpy()
    experiment = training.evaluator.experiment.name
    looks.add(key, Look(data.fingerprint, experiment, content, labels, predictions))


def _predicted(training: FinalTraining, model: Model, split: Split) -> Predictions:
    """Return what a model says of images: the same as it says to whoever loads it."""
    evaluator = training.evaluator
    model.module.to(evaluator.device)
    with training_on(evaluator.device, evaluator.threads):
        confidences, classes = model.probabilities(split.images.cpu()).max(1)
    return Predictions(classes.numpy(), confidences.numpy())


def _mistakes(
    predictions: Predictions, test: Split, names: Sequence[str], files: Sequence[str] | None
) -> Iterator[Mistake]:
    """Yield the images that were got wrong with the most confidence, the most confident first."""
    labels = test.labels.numpy()
    (wrong,) = np.nonzero(predictions.classes != labels)
    ranked = wrong[np.argsort(-predictions.confidences[wrong], kind="stable")]
    for image in map(int, ranked[:MOST_MISTAKES]):
        yield Mistake(
            image,
            None if files is None else files[image],
            names[int(labels[image])],
            names[int(predictions.classes[image])],
            float(predictions.confidences[image]),
            _png(test.images[image]),
        )


def _png(image: torch.Tensor) -> str:
    """Return an image (channels, height, width) as a PNG in base64; of odd channels the first."""
    from PIL import Image

    pixels = (image if len(image) == 3 else image[0]).numpy()
    content = io.BytesIO()
    Image.fromarray(pixels.transpose(1, 2, 0) if pixels.ndim == 3 else pixels).save(content, "PNG")
    return base64.b64encode(content.getvalue()).decode()
