"""`Card` and its text: the README.md of a model folder, in the form of Hugging Face's cards."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from nasopt.models.model import Model


@dataclass(frozen=True, kw_only=True)
class Score:
    """One figure of a model on one split, by the name that Hugging Face has for it.

    `interval` is where the true value lies with 95 %.
    """

    name: str  # "accuracy", "balanced_accuracy", "f1"
    value: float
    split: str = "test"
    interval: tuple[float, float] | None = None


@dataclass(frozen=True, kw_only=True)
class Card:
    """What a model card says beyond the model itself.

    `found` tells in Markdown how the network was found, `command` reproduces it. `sections` are
    further ones, titles with their Markdown. `figures` are picture files by name, shown in order.
    """

    scores: Sequence[Score] = ()
    found: str = ""
    command: str = ""
    sections: Mapping[str, str] = field(default_factory=dict)
    figures: Mapping[str, bytes] = field(default_factory=dict)


def card_text(model: Model, card: Card, name: str, files: Sequence[str]) -> str:
    return ""
