"""The input of a training, `Recipe` and `Evaluation` with its key; its output, `EpochResult`."""

import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from functools import cached_property
from typing import Any, Protocol, Self

from nasopt.errors import RecipeError, Spelled, closest
from nasopt.space.fields import Open, field_from_json, field_to_json
from nasopt.training.metrics import METRICS, Confusion

SEEDS = 2**63  # that a database can keep
VERSION = 2  # of the training's arithmetic: raise it whenever training gives other numbers

OPTIMIZERS = ("sgd", "adamw")
SCHEDULES = ("cosine", "onecycle", "constant")
PRECISIONS = ("auto", "fp32", "bf16", "fp16")
CLASS_WEIGHTS = (None, "balanced")
# Fields that came later are left out of keys and records at their default: so those are as before.
LATER = ("class_weights", "crop", "jitter", "cutout")


class HasKey(Protocol):
    """The part of an architecture that a search needs; an entry of a benchmark has it as well."""

    @property
    def key(self) -> str: ...

    def to_json(self) -> Any: ...


class HasFingerprint(Protocol):
    """The part of a data set that an evaluation's key covers."""

    @property
    def fingerprint(self) -> str: ...


@dataclass(frozen=True, kw_only=True)
class Recipe(Spelled):
    """The settings by which a network is trained.

    `lr` is the peak of the schedule: "cosine" decays it to 0, "onecycle" raises it linearly over
    the first quarter and lowers it to 0 after, "constant" keeps it. `optimizer` is "sgd" (Nesterov
    momentum .9) or "adamw". `weight_decay` is not applied to biases and batch norms. `shift` moves
    each image by up to so many pixels either way, `flip` mirrors half of them. `crop` cuts a window
    of at least that share of its area out of each and scales it back up, `jitter` changes its
    brightness, contrast and saturation by up to that share, and `cutout` covers a square of so many
    pixels (DeVries & Taylor 2017): all three are off at their defaults. `precision` "auto"
    is bf16 where the device computes in it (on a CPU, for images of 16 pixels and more), else fp16
    on a GPU and fp32 on a CPU. `compile` runs the network through `torch.compile`.
    `class_weights` "balanced" weighs each image in the loss by 1 / the number of training images
    of its class, so that rare classes count as much as frequent ones.

    Numeric fields but `epochs` may be open: they are hyperparameters of the study, `recipe.lr` say.
    """

    _error = RecipeError

    epochs: int = 10
    batch_size: int | Open = 128  # images
    optimizer: str = "sgd"
    lr: float | Open = 0.1
    weight_decay: float | Open = 5e-4
    label_smoothing: float | Open = 0.0
    schedule: str = "onecycle"
    shift: int | Open = 0  # pixels
    flip: bool = False
    precision: str = "auto"
    compile: bool = False
    class_weights: str | None = None
    crop: float | Open = 1.0  # share of the area
    jitter: float | Open = 0.0
    cutout: int | Open = 0  # pixels

    def __post_init__(self) -> None:
        if isinstance(self.epochs, Open):
            raise RecipeError(
                f"Recipe.epochs={self.epochs!r}: every trial may train as long as any other; "
                "give a number"
            )
        self._check("epochs", whole=True, least=1)
        self._check("batch_size", whole=True, least=2)  # batch norm needs two
        self._check("lr", above=0)
        self._check("weight_decay", least=0)
        self._check("label_smoothing", least=0, below=1)
        self._check("shift", whole=True, least=0)
        self._check("crop", above=0, most=1)
        self._check("jitter", least=0, below=1)
        self._check("cutout", whole=True, least=0)
        for name, choices in (
            ("optimizer", OPTIMIZERS),
            ("schedule", SCHEDULES),
            ("precision", PRECISIONS),
        ):
            if getattr(self, name) not in choices:
                value = getattr(self, name)
                what = "it may not be open" if isinstance(value, Open) else "unknown"
                raise RecipeError(
                    f"Recipe.{name}={value!r}: {what}; {closest(str(value), choices)}"
                )
        if self.class_weights not in CLASS_WEIGHTS:
            raise RecipeError(
                f"Recipe.class_weights={self.class_weights!r}: unknown; use 'balanced' or None"
            )
        for name in ("lr", "weight_decay", "label_smoothing", "crop", "jitter"):
            if not isinstance(getattr(self, name), Open):  # 0 and 0.0 must have one key
                object.__setattr__(self, name, float(getattr(self, name)))
        for name in ("flip", "compile"):
            if not isinstance(getattr(self, name), bool):
                raise RecipeError(f"Recipe.{name}={getattr(self, name)!r}: use True or False")

    def _check(
        self,
        name: str,
        *,
        whole: bool = False,
        least: float = -math.inf,
        above: float = -math.inf,
        below: float = math.inf,
        most: float = math.inf,
    ) -> None:
        field = getattr(self, name)
        for value in field.boundary_values if isinstance(field, Open) else (field,):
            number = type(value) is int or (type(value) is float and not whole)
            if not number or not math.isfinite(value):
                kind = "whole number" if whole else "finite number"
                raise RecipeError(f"Recipe.{name}={value!r}: not a {kind}; give one")
            if value < least:
                raise RecipeError(f"Recipe.{name}={value}: use {least} or more")
            if value <= above:
                raise RecipeError(f"Recipe.{name}={value}: use more than {above}")
            if value >= below:
                raise RecipeError(f"Recipe.{name}={value}: use less than {below}")
            if value > most:
                raise RecipeError(f"Recipe.{name}={value}: use {most} or less")

    @property
    def hyperparameters(self) -> dict[str, Open]:
        """The open fields under the names of the study's hyperparameters."""
        values = {f"recipe.{field.name}": getattr(self, field.name) for field in fields(self)}
        return {name: value for name, value in values.items() if isinstance(value, Open)}

    def chosen(self, name: str) -> Any:
        """Return the value of field `name`, or raise RecipeError if it is still open."""
        value = getattr(self, name)
        if isinstance(value, Open):
            raise RecipeError(f"Recipe.{name}={value!r} is still open; choose one of its values")
        return value

    def choose(self, params: Mapping[str, Any]) -> Self:
        """Return the recipe with the values of `params` for its open fields.

        Raises RecipeError if one of them is missing.
        """
        try:
            chosen = {name.removeprefix("recipe."): params[name] for name in self.hyperparameters}
        except KeyError as error:
            raise RecipeError(f"parameter {error.args[0]}: missing; give it a value") from error
        return replace(self, **chosen)

    def to_json(self) -> dict[str, Any]:
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        usual = {field.name: field.default for field in fields(self) if field.name in LATER}
        return {
            name: field_to_json(value)
            for name, value in values.items()
            if name not in usual or value != usual[name]
        }

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Self:
        """Return the recipe that `to_json` wrote."""
        return cls(**{name: field_from_json(each) for name, each in value.items()})


@dataclass(frozen=True)
class Evaluation:
    """One training, which determines an `EpochResult` for each epoch; nothing else goes in."""

    architecture: HasKey
    recipe: Recipe
    dataset: HasFingerprint
    seed: int

    @cached_property
    def key(self) -> str:
        """A digest of 32 hexadecimal digits, the same for the same training on every machine."""
        text = json.dumps({**self.describe(), "version": VERSION}, sort_keys=True)
        return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()

    def describe(self) -> dict[str, Any]:
        return {
            "architecture": self.architecture.to_json(),
            "recipe": self.recipe.to_json(),
            "dataset": self.dataset.fingerprint,
            "seed": self.seed,
        }

    def reseeded(self, offset: int) -> Self:
        """Return the evaluation with the seed `offset` after this one; after the last comes 0."""
        return replace(self, seed=(self.seed + offset) % SEEDS)


@dataclass(frozen=True)
class EpochResult:
    """The result of one epoch.

    `accuracy` (a fraction) and `loss` are of the validation images; `train_loss` is the mean over
    the epoch's batches. `seconds` is what the epoch took, evaluation included. `confusion` counts
    the validation images; a benchmark has none, nor has an epoch recorded before nasopt kept them.
    """

    epoch: int  # 1 after the first
    accuracy: float
    loss: float
    train_loss: float
    seconds: float
    device: str  # its torch name and what a result may depend on besides, as in "cpu, 2 threads"
    torch: str  # version
    confusion: Confusion | None = None

    @property
    def metrics(self) -> tuple[float, float, float]:
        """The numbers that the evaluation determines, on one device and number of threads."""
        return (self.accuracy, self.loss, self.train_loss)

    def score(self, metric: str) -> float:
        """Return the score by one of `METRICS`; those but "accuracy" need `confusion`."""
        if metric == "accuracy":
            return self.accuracy
        assert self.confusion is not None
        return METRICS[metric](self.confusion)

    @property
    def diverged(self) -> bool:
        return not (math.isfinite(self.train_loss) and math.isfinite(self.loss))

    def to_json(self) -> dict[str, Any]:
        return asdict(self)
