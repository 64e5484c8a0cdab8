"""The final training of a network: on training and validation images together, weights kept."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import cached_property
from typing import Any

import torch

from nasopt.analysis.winners import fresh_seeds
from nasopt.data import Seen
from nasopt.data.readers import Split
from nasopt.search.evaluator import Evaluator
from nasopt.space.architecture import Architecture
from nasopt.space.model import Network, build
from nasopt.storage.ledger import Ledger
from nasopt.storage.opening import folders
from nasopt.storage.record import Data
from nasopt.training.batches import normalisation
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
        together = (torch.cat(parts) for parts in zip(*seen, strict=True))
        return Seen(Split(*together), seen.validation)

    def evaluations(
        self, trained: Evaluation, epochs: int | None, seeds: int
    ) -> Sequence[Evaluation]:
        """Return the final trainings of the network of `trained`, a fresh seed each."""
        recipe = trained.recipe if epochs is None else replace(trained.recipe, epochs=epochs)
        together = Data(f"{self.data.fingerprint} {ALL_IMAGES}")
        return list(fresh_seeds(replace(trained, recipe=recipe, dataset=together), seeds))

    def epochs(self, evaluation: Evaluation, stop: Callable[[], bool]) -> Iterator[EpochResult]:
        """Return the results of a final training, of which only those not known are paid for."""
        if self.weights(evaluation) is None:
            self.discard(evaluation)  # damaged
        using = replace(
            self.evaluator.resources,
            images=self.images,
            threads=self.evaluator.threads,
            stop=stop,
            kept=self.kept,
        )
        return self.evaluator.backend.epochs(evaluation, using)

    def weights(self, evaluation: Evaluation) -> dict[str, Any] | None:
        """Return the weights after the last epoch; None if they are not kept, or damaged."""
        expected = {
            name: (each.shape, each.dtype) for name, each in self._built(evaluation).items()
        }

        def fits(state: Any) -> bool:
            found = state.get("network") if isinstance(state, dict) else None
            return isinstance(found, dict) and expected == {
                name: (each.shape, each.dtype)
                for name, each in found.items()
                if isinstance(each, torch.Tensor)
            }

        state = self.kept.checkpoint(evaluation.key, fits)
        return None if state is None else dict(state["network"])

    def _built(self, evaluation: Evaluation) -> dict[str, torch.Tensor]:
        with torch.device("meta"):
            return self._network(evaluation).state_dict()

    def _network(self, evaluation: Evaluation) -> Network:
        assert isinstance(evaluation.architecture, Architecture)
        return build(evaluation.architecture, self.data.input_shape, self.data.classes)

    def network(self, evaluation: Evaluation) -> Network:
        """Return the trained network on the CPU, ready to predict."""
        weights = self.weights(evaluation)
        assert weights is not None  # it was trained by `epochs`
        network = self._network(evaluation)
        network.load_state_dict(weights)
        return network.eval()

    def discard(self, evaluation: Evaluation) -> None:
        """Remove weights that nobody needs any more."""
        self.kept.discard_checkpoint(evaluation.key)

    @cached_property
    def normalisation(self) -> tuple[torch.Tensor, torch.Tensor]:
        """The mean of each channel and 1 / its deviation, each (1, channels, 1, 1), on the CPU."""
        mean, scale = normalisation(self.images.train)
        return mean.cpu(), scale.cpu()
