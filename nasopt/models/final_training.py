"""The final training of a network: on training and validation images together, weights kept."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import cached_property
from typing import Any

import torch

from nasopt.analysis.winners import fresh_seeds
from nasopt.data import Seen
from nasopt.errors import StudyError
from nasopt.models.model import Model, Training
from nasopt.models.preprocessing import Preprocessing
from nasopt.search.backend import joined
from nasopt.search.evaluator import Evaluator
from nasopt.space.architecture import Architecture
from nasopt.space.model import Network, build
from nasopt.storage.ledger import Ledger
from nasopt.storage.opening import folders
from nasopt.storage.record import Data
from nasopt.text import RUN_AGAIN
from nasopt.training.evaluation import EpochResult, Evaluation

ALL_IMAGES = "train+validation"  # in the fingerprint of what such a training is on
WEIGHTS_BYTES = 2**40  # of kept weights together: none are thrown away for room


class FinalTraining:
    """Trainings on all images that a search may see, whose weights are kept beside the database.

    No image is left to validate on: the accuracies of their epochs are of the validation images,
    which they are trained on, and say how well a network fits, not how good it is.
    """

    def __init__(self, evaluator: Evaluator) -> None:
        self.evaluator = evaluator
        self.data = evaluator.experiment.data
        self.kept = Ledger(
            evaluator.storage.engine,
            folders(evaluator.storage).weights,
            checkpoint_bytes=WEIGHTS_BYTES,
        )

    @cached_property
    def images(self) -> Seen:
        """Training and validation images together, and the latter once more to be scored on."""
        seen = self.evaluator.resources.images
        assert seen is not None
        return Seen(joined(seen, self.evaluator.device), seen.validation)

    def evaluations(
        self, trained: Evaluation, epochs: int | None, seeds: int
    ) -> Sequence[Evaluation]:
        """Return the final trainings of the network of `trained`, a fresh seed each."""
        recipe = trained.recipe if epochs is None else replace(trained.recipe, epochs=epochs)
        together = Data(f"{self.data.fingerprint} {ALL_IMAGES}")
        return list(fresh_seeds(replace(trained, recipe=recipe, dataset=together), seeds))

    def epochs(
        self, evaluation: Evaluation, stop: Callable[[], bool] = lambda: False
    ) -> Iterator[EpochResult]:
        """Return the results of a final training, of which only those not known are paid for."""
        if self._weights(evaluation) is None:
            self.discard(evaluation)  # damaged
        using = replace(
            self.evaluator.resources,
            images=self.images,
            threads=self.evaluator.threads,
            stop=stop,
            kept=self.kept,
        )
        return self.evaluator.backend.epochs(evaluation, using)

    def discard(self, evaluation: Evaluation) -> None:
        """Remove weights that nobody needs any more."""
        self.kept.discard_checkpoint(evaluation.key)

    def model(self, evaluation: Evaluation) -> Model:
        """Return the network that `epochs` has trained, on the CPU.

        Raises StudyError if its weights are gone since: the same finals elsewhere may end first.
        """
        weights = self._weights(evaluation)
        if weights is None:
            raise StudyError(
                f"seed={evaluation.seed}: the weights of its final training are gone, as if the "
                f"same finals ran twice at a time; {RUN_AGAIN}"
            )
        network = self._network(evaluation)
        network.load_state_dict(weights)
        assert isinstance(evaluation.architecture, Architecture)
        results = self.evaluator.ledger.results(evaluation.key)
        training = Training.of(
            results, evaluation.recipe, self.data, evaluation.seed,
            threads=self.evaluator.threads, validation_included=True,
            metric=self.evaluator.experiment.metric,
        )  # fmt: skip
        return Model(network, evaluation.architecture, self.preprocessing, training, self.data)

    @cached_property
    def preprocessing(self) -> Preprocessing:
        return Preprocessing.of(self.images.train, self.data.class_names())

    def _network(self, evaluation: Evaluation) -> Network:
        assert isinstance(evaluation.architecture, Architecture)
        return build(evaluation.architecture, self.data.input_shape, self.data.classes)

    def _weights(self, evaluation: Evaluation) -> dict[str, torch.Tensor] | None:
        """Return the weights after the last epoch; None if they are not kept, or damaged."""
        with torch.device("meta"):
            wanted = _shapes(self._network(evaluation).state_dict())

        def fits(state: Any) -> bool:
            found = state.get("network") if isinstance(state, dict) else None
            return isinstance(found, dict) and _shapes(found) == wanted

        state = self.kept.checkpoint(evaluation.key, fits)
        return None if state is None else state["network"]


def _shapes(state: dict[str, Any]) -> dict[str, Any]:
    """Return the shape and type of each tensor of a state, and None of what is none."""
    return {
        name: (each.shape, each.dtype) if isinstance(each, torch.Tensor) else None
        for name, each in state.items()
    }
