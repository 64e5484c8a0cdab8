"""`Model`: a trained network that answers, with all that it takes to ask it."""

from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, Self, TypeVar

import numpy as np
import torch

from nasopt.data import Dataset
from nasopt.errors import DataError
from nasopt.models.preprocessing import Preprocessing
from nasopt.space.architecture import Architecture
from nasopt.space.layers import Shape
from nasopt.space.model import Network
from nasopt.training.devices import out_of_memory_told
from nasopt.training.evaluation import VERSION, EpochResult, Recipe

T = TypeVar("T")

PIXELS_AT_ONCE = 2**20  # channels not counted
Pictures = str | Path | np.ndarray[Any, Any] | torch.Tensor | Iterable[str | Path]


@dataclass(frozen=True, kw_only=True)
class Training:
    """The training that the weights of a model come from: enough to repeat it.

    `dataset` is what `Dataset.describe` gives. With `validation_included` the network was trained
    on the validation images as well, and `epochs` scored on images that it had seen. `images` are
    the numbers of training and of validation images. `epochs` are (accuracy, loss, train_loss)
    after each; `device` and `torch` are what those numbers may depend on besides, and `threads`
    were of the CPU. `metric` is what the network was chosen by.
    """

    recipe: Recipe
    dataset: Mapping[str, Any]
    seed: int
    validation_included: bool
    images: tuple[int, int]
    epochs: tuple[tuple[float, float, float], ...]
    device: str
    torch: str
    threads: int | None = None
    version: int = VERSION
    metric: str = "accuracy"

    @classmethod
    def of(
        cls, results: Sequence[EpochResult], recipe: Recipe, dataset: Dataset, seed: int,
        *, threads: int | None = None, validation_included: bool = False, metric: str = "accuracy",
    ) -> Self:  # fmt: skip
        """Return the record of the training that gave `results`, one for each epoch."""
        return cls(
            recipe=recipe, dataset=dataset.describe(), seed=seed, threads=threads, metric=metric,
            validation_included=validation_included,
            images=dataset.counts, epochs=tuple(each.metrics for each in results),
            device=results[-1].device, torch=results[-1].torch,
        )  # fmt: skip

    @property
    def accuracy(self) -> float:
        """The accuracy on the validation images after the last epoch."""
        return self.epochs[-1][0]

    def to_json(self) -> dict[str, Any]:
        return {
            **vars(self),
            "recipe": self.recipe.to_json(),
            "dataset": dict(self.dataset),
            "images": list(self.images),
            "epochs": [list(each) for each in self.epochs],
        }

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Self:
        """Return the training that `to_json` wrote."""
        train, validation = map(int, value["images"])
        typed = {
            "recipe": Recipe.from_json(value["recipe"]),
            "images": (train, validation),
            "epochs": tuple((float(a), float(b), float(c)) for a, b, c in value["epochs"]),
        }
        return cls(**{**value, **typed})


@dataclass(frozen=True)
class Classification:
    """What a model says of one picture: all classes with their probabilities, the likeliest first.

    `picture` is its path, or None if it was given as an array.
    """

    picture: str | None
    ranked: tuple[tuple[str, float], ...]

    @property
    def label(self) -> str:
        return self.ranked[0][0]

    @property
    def probability(self) -> float:
        return self.ranked[0][1]

    def to_json(self, top: int | None = None) -> dict[str, Any]:
        classes = [{"class": name, "probability": share} for name, share in self.ranked[:top]]
        return {"picture": self.picture, "classes": classes}


class Model:
    """A trained network with its architecture and preprocessing.

        model = nasopt.load("photos-model")
        for prediction in model.predict(["a.jpg", "b.jpg"]):
            print(prediction.label, prediction.probability)

    `module` is a `torch.nn.Module` in evaluation mode. It takes what `preprocessing.normalised`
    returns. `training` is known of all that nasopt has trained; `dataset` only in the process that
    trained it, `trained_on` (the digests of its images) only of one that was loaded.
    """

    def __init__(
        self,
        module: Network,
        architecture: Architecture,
        preprocessing: Preprocessing,
        training: Training | None = None,
        dataset: Dataset | None = None,
        trained_on: Set[str] = frozenset(),
    ) -> None:
        self.module = module.to(memory_format=torch.contiguous_format).eval()
        self.architecture = architecture
        self.preprocessing = preprocessing
        self.training = training
        self.dataset = dataset
        self.trained_on = trained_on

    @property
    def classes(self) -> tuple[str, ...]:
        return self.preprocessing.classes

    @property
    def input_shape(self) -> Shape:
        return self.preprocessing.input_shape

    @property
    def device(self) -> torch.device:
        return next(self.module.parameters()).device

    def __repr__(self) -> str:
        shape = "x".join(map(str, self.input_shape))
        return f"<Model: {len(self.architecture.layers)} layers, {shape}, {self.classes}>"

    @torch.no_grad()
    def logits(self, images: torch.Tensor) -> torch.Tensor:
        """Return the logits (n, classes) of uint8 `images` (n, channels, height, width).

        They are computed in float32, as one batch, on the model's device, and returned on the CPU.

        Raises OutOfMemory if there is no room for them.
        """
        with out_of_memory_told(self.device):
            answer: torch.Tensor = self.module(
                self.preprocessing.normalised(images.to(self.device))
            )
        return answer.cpu()

    def probabilities(self, images: torch.Tensor) -> torch.Tensor:
        """Return the probabilities (n, classes) of uint8 `images`, in batches."""
        batches = images.split(self._at_once)  # type: ignore[no-untyped-call]
        return torch.cat([self.logits(batch).softmax(1) for batch in batches])

    def predict(self, pictures: Pictures) -> list[Classification]:
        """Return a prediction for each of `pictures`.

        They are the path of a file, several paths, or uint8 arrays or tensors (n, channels, height,
        width), as the model's `input_shape` says.

        Raises DataError for a file that is no picture, and for arrays that do not fit.
        """
        if isinstance(pictures, np.ndarray | torch.Tensor):
            images = self.checked(pictures)
            return list(self.answers(images, [None] * len(images)))
        paths = _paths(pictures)
        return [each for batch in self.batched(paths) for each in self._read_and_answered(batch)]

    def _read_and_answered(self, paths: Sequence[str | Path]) -> Iterator[Classification]:
        images = torch.stack([self.preprocessing.read(Path(path)) for path in paths])
        return self.answers(images, [str(path) for path in paths])

    def batched(self, pictures: Iterable[T]) -> Iterator[list[T]]:
        """Yield `pictures` in lists of as many as are predicted at once."""
        waiting = iter(pictures)
        while batch := list(islice(waiting, self._at_once)):
            yield batch

    @property
    def _at_once(self) -> int:
        height, width = self.preprocessing.size
        return max(1, PIXELS_AT_ONCE // (height * width))

    def answers(
        self, images: torch.Tensor, names: Sequence[str | None]
    ) -> Iterator[Classification]:
        """Yield a prediction for each of `images`, under its name."""
        if not len(images):
            return
        shares, order = self.probabilities(images).sort(dim=1, descending=True, stable=True)
        for name, row, ranks in zip(names, shares.tolist(), order.tolist(), strict=True):
            ranked = zip((self.classes[rank] for rank in ranks), row, strict=True)
            yield Classification(name, tuple(ranked))

    def checked(self, images: np.ndarray[Any, Any] | torch.Tensor) -> torch.Tensor:
        """Return the pictures as a tensor; raise DataError if they do not fit."""
        if isinstance(images, np.ndarray) and images.dtype == np.uint8:
            images = torch.from_numpy(images.copy())
        if (
            not isinstance(images, torch.Tensor)
            or images.dtype != torch.uint8
            or images.shape[1:] != self.input_shape
        ):
            raise DataError(
                f"pictures={images.dtype} {tuple(images.shape)}: give uint8 of shape "
                f"(n, {', '.join(map(str, self.input_shape))})"
            )
        return images


def _paths(pictures: object) -> list[str | Path]:
    """Return the paths that are given; raise DataError for anything that is none."""
    given = pictures if isinstance(pictures, Iterable) else [pictures]
    paths = [pictures] if isinstance(pictures, str | Path) else [*given]
    for path in paths:
        if not isinstance(path, str | Path):
            raise DataError(f"pictures={type(path).__name__}: give paths, or one array of all")
    return paths
