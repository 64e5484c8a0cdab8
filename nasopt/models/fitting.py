"""`train`: a network trained from Python into a `Model`, without a study or a database."""

import copy
from collections.abc import Iterator

from nasopt.data import DATASETS, Dataset
from nasopt.errors import DataError, ModelError, closest, spelled
from nasopt.models.model import Model, Training
from nasopt.models.preprocessing import Preprocessing
from nasopt.search.backend import joined, load_images
from nasopt.space.architecture import Architecture
from nasopt.space.model import cost
from nasopt.training.devices import find_device, suitable_threads, threads_here
from nasopt.training.evaluation import EpochResult, Evaluation, Recipe
from nasopt.training.trainer import Trainer

DEFAULT = Recipe()


class Fit:
    """One training of `architecture`, epoch by epoch: iterate, then take `model`.

    With `validation_included` it trains on the validation images as well, and its epochs are
    scored on images that it has seen. `threads` are of the CPU, by default as many as suit the
    network.
    """

    def __init__(
        self,
        architecture: Architecture,
        dataset: Dataset,
        recipe: Recipe,
        seed: int,
        device: str = "auto",
        *,
        threads: int | None = None,
        validation_included: bool = False,
    ) -> None:
        self.architecture, self.dataset, self.recipe, self.seed = (
            architecture, dataset, recipe, seed,
        )  # fmt: skip
        self.validation_included = validation_included
        self.device = find_device(device)
        seen = load_images(dataset, self.device)
        train, validation = seen
        self.images = joined(seen, self.device) if validation_included else train
        self.threads = self._threads(threads) if self.device.type == "cpu" else None
        self.results: list[EpochResult] = []
        self.trainer = Trainer(
            Evaluation(architecture, recipe, dataset, seed), self.images, validation,
            dataset.classes, device=self.device, threads=self.threads,
        )  # fmt: skip

    def _threads(self, wanted: int | None) -> int:
        if wanted is None:
            macs = cost(self.architecture, self.dataset.input_shape, self.dataset.classes).macs
            wanted = suitable_threads(macs * self.recipe.chosen("batch_size"))
        return threads_here(wanted)

    def __iter__(self) -> Iterator[EpochResult]:
        """Train to the end; raise ModelError if a loss is not finite."""
        return filter(None, self.batches())

    def batches(self) -> Iterator[EpochResult | None]:
        """Train likewise, but yield None after each batch as well."""
        for result in self.trainer.batches():
            if result is not None:
                self.results.append(result)
            yield result
            if result is not None and result.diverged:
                raise ModelError(
                    f"lr={self.recipe.lr}: the loss is not finite after epoch {result.epoch}; "
                    "use a smaller one"
                )

    @property
    def model(self) -> Model:
        """The network as it is after the last epoch."""
        return Model(
            copy.deepcopy(self.trainer.network),  # which further training does not change
            self.architecture,
            Preprocessing.of(self.images, self.dataset.class_names()),
            Training.of(
                self.results, self.recipe, self.dataset, self.seed,
                threads=self.threads, validation_included=self.validation_included,
            ),
            self.dataset,
        )  # fmt: skip


@spelled(ModelError)
def train(
    architecture: Architecture,
    dataset: Dataset | str,
    *,
    recipe: Recipe = DEFAULT,
    seed: int = 0,
    device: str = "auto",
    validation_included: bool = False,
) -> Model:
    """Train one network and return it; no study is needed.

        model = nasopt.train(nasopt.best(study), "digits", recipe=Recipe(epochs=20))
        nasopt.save(model, "digits-model")

    With `validation_included` it is trained on the validation images as well. The test images are
    never looked at.

    Raises an `Error` for arguments that do not fit.
    """
    fit = Fit(
        checked_architecture(architecture), named(dataset), recipe, seed, device,
        validation_included=validation_included,
    )  # fmt: skip
    for _ in fit:
        pass
    return fit.model


def named(dataset: Dataset | str) -> Dataset:
    """Return the data set, or that of the name; raise DataError for an unknown one."""
    if isinstance(dataset, Dataset):
        return dataset
    if not isinstance(dataset, str) or dataset not in DATASETS:
        raise DataError(f"dataset={dataset!r}: unknown; {closest(str(dataset), DATASETS)}")
    return DATASETS[dataset]()


def checked_architecture(value: object) -> Architecture:
    if isinstance(value, Architecture):
        return value
    raise ModelError(f"architecture={value!r}: give an Architecture, as nasopt.best(study)")
