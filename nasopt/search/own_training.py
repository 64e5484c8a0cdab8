"""`OwnTraining`: the networks of a space, trained by a function of the user's."""

import inspect
import sys
import time
import traceback
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from importlib.metadata import version
from numbers import Real
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nasopt.data import Dataset
from nasopt.errors import Error, RecipeError, closest
from nasopt.search.backend import Resources, Trained
from nasopt.space.architecture import Architecture
from nasopt.space.features import Features
from nasopt.space.space import Space
from nasopt.text import RUN_AGAIN, several
from nasopt.training.devices import out_of_memory_told
from nasopt.training.evaluation import EpochResult, Evaluation, HasFingerprint, Recipe

if TYPE_CHECKING:
    import torch

Train = Callable[[Architecture, Recipe, int], Iterator[Any]]
ARGUMENTS = "(architecture, recipe, seed)"
NUMBERS = ("accuracy", "loss", "train_loss")


def train_name(train: Train) -> str:
    """Return the name of a training function with its module, the same in every process.

    A study file and a script are called by the name of the file, however they are run.
    """
    module = train.__module__.rpartition("nasopt-study:")[2]
    if module == "__main__":
        module = Path(getattr(sys.modules["__main__"], "__file__", None) or module).stem
    return f"{module}.{train.__qualname__}"


def check_train(train: Any) -> None:
    """Raise RecipeError unless `train` is a function with a name and three arguments."""
    if not inspect.isroutine(train) or "<lambda>" in train.__qualname__:
        raise RecipeError(
            f"Experiment.train={train!r}: its name says which training a result is of; give a "
            f"function, def my_epochs{ARGUMENTS}"
        )
    try:
        inspect.signature(train).bind(None, None, 0)
    except TypeError as error:
        name = train_name(train)
        raise RecipeError(f"Experiment.train={name}: {error}; it is called {ARGUMENTS}") from error


@dataclass(frozen=True)
class TrainedBy:
    """A data set, and the function that trains on it: both name an evaluation."""

    data: Dataset
    train: Train

    @cached_property
    def fingerprint(self) -> str:
        return f"{self.data.fingerprint} train={train_name(self.train)}"


class OwnTraining(Trained):
    """The networks of a space, trained by a function of the user's.

    It keeps no state that another process could go on from: known epochs are trained again to get
    to the next one.
    """

    keeps_state = False

    def __init__(
        self,
        train: Train,
        space: Space,
        recipe: Recipe,
        data: Dataset,
        features: Features | None = None,
    ) -> None:
        super().__init__(space, recipe, data, features)
        self.train = train

    @cached_property
    def dataset(self) -> HasFingerprint:
        return TrainedBy(self.data, self.train)

    def load(self, device: "torch.device") -> None:
        return None

    def check(self) -> None:
        """Leave the images to the function of the user."""

    def batch_macs(self, sample: Iterable[Evaluation]) -> list[float]:
        return []

    def trainer(self, evaluation: Evaluation, using: Resources) -> "OwnEpochs":
        return OwnEpochs(self.train, evaluation, using.device)


class OwnEpochs:
    """The epochs that the function `train` yields for `evaluation`, checked one by one."""

    keeps_state = False

    def __init__(self, train: Train, evaluation: Evaluation, device: "torch.device") -> None:
        self.train = train
        self.evaluation = evaluation
        self.device = device

    def state_dict(self) -> dict[str, Any]:
        return {}

    def fits(self, state: Any) -> bool:
        return False

    def load_state_dict(self, state: dict[str, Any]) -> None:
        raise NotImplementedError

    def batches(self) -> Iterator[EpochResult | None]:
        """Yield the result of each epoch; raise RecipeError for what cannot be one."""
        last = self.evaluation.recipe.epochs
        yielded = self._begin()
        for epoch in range(1, last + 1):
            started = time.perf_counter()
            with self._told(epoch):
                value = next(yielded, None)
            if value is None:
                raise self._error(f"yielded {epoch - 1} of {several(last, 'epoch')}")
            result = self._result(epoch, value, time.perf_counter() - started)
            if epoch == last:
                self._end(yielded)
            yield result
            if result.diverged:
                return

    def _begin(self) -> Iterator[Any]:
        evaluation = self.evaluation
        assert isinstance(evaluation.architecture, Architecture)
        with self._told(1):
            yielded = self.train(evaluation.architecture, evaluation.recipe, evaluation.seed)
        if not isinstance(yielded, Iterator):
            raise self._error(f"returned {_shown(yielded)}")
        return yielded

    def _end(self, yielded: Iterator[Any]) -> None:
        """Let the function come to its end; raise RecipeError if it has a further epoch."""
        last = self.evaluation.recipe.epochs
        with self._told(last):
            further = next(yielded, None)
        if further is not None:
            raise self._error(f"yielded more than {several(last, 'epoch')}")

    def _result(self, epoch: int, value: Any, seconds: float) -> EpochResult:
        given = value if isinstance(value, Mapping) else {"accuracy": value}
        # a loss that is not told is no sign that the training went wrong, as nan would be
        numbers: dict[str, Any] = {"loss": 0.0, "train_loss": 0.0}
        for name, each in given.items():
            if name not in NUMBERS:
                raise self._error(f"yielded {name!r} after epoch {epoch}", closest(name, NUMBERS))
            number = _number(each)
            if number is None:
                raise self._error(f"yielded {_shown(each)} after epoch {epoch}")
            numbers[name] = number
        if "accuracy" not in numbers:
            raise self._error(f"yielded no accuracy after epoch {epoch}")
        if not 0 <= numbers["accuracy"] <= 1:
            raise self._error(
                f"yielded the accuracy {numbers['accuracy']:g} after epoch {epoch}",
                "give a fraction from 0 to 1",
            )
        return EpochResult(epoch, seconds=seconds, device="", torch=version("torch"), **numbers)

    @contextmanager
    def _told(self, epoch: int) -> Iterator[None]:
        """Raise RecipeError, with the line of the function, for an exception within it."""
        try:
            with out_of_memory_told(self.device):
                yield
        except Error:
            raise
        except Exception as error:
            text = f"{type(error).__name__}: {error}".splitlines()[0]
            where = _line(error, self.train)
            raise self._error(f"{text} in epoch {epoch}{where}", f"fix it and {RUN_AGAIN}") from (
                error
            )

    def _error(self, what: str, remedy: str = "yield an accuracy after each epoch") -> RecipeError:
        return RecipeError(f"Experiment.train={train_name(self.train)}: {what}; {remedy}")


def _number(value: Any) -> float | None:
    """Return a number of Python, NumPy or torch as a float; None if it is none."""
    if isinstance(value, Real) and not isinstance(value, bool):
        return float(value)
    if getattr(value, "shape", None) == () and hasattr(value, "item"):  # a tensor, or an array
        return _number(value.item())
    return None


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 40 else f"{text[:40]}..."


def _line(error: Exception, train: Train) -> str:
    """Return the last line of the file of `train` that was running, as ", mine.py:12"."""
    frames = traceback.extract_tb(error.__traceback__)
    file = getattr(getattr(train, "__code__", None), "co_filename", None)
    lines = [frame.lineno for frame in frames if frame.filename == file]
    return f", {Path(str(file)).name}:{lines[-1]}" if lines else ""
