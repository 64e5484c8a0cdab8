"""The prediction of a model for a trial, as it is kept in the trial's attributes."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from typing import Any, Self

from nasopt.storage.attributes import dict_of, dict_with, is_count, is_number, list_of, optional


@dataclass(frozen=True)
class Near:
    """A trial with a similar network; `distance` 0 is the same, 1 is still informative."""

    trial: int
    distance: float
    value: float | None


@dataclass(frozen=True)
class Prediction:
    """The value that a model expects to be observed for a trial, and the reasons.

    `expected` is the median of that value, `low` to `high` its 95 % interval. `weights` are shares
    of the kernel's weight, by parameter or feature, the largest first; `nearest` are the trials
    that the kernel takes for most alike.
    """

    expected: float
    low: float
    high: float
    weights: dict[str, float]
    nearest: tuple[Near, ...]

    def at_most(self, most: float) -> Self:
        """Return the prediction for values of at most `most`: a model knows of no bound."""
        low, expected, high = (min(each, most) for each in (self.low, self.expected, self.high))
        return replace(self, low=low, expected=expected, high=high)

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Self:
        known = {each.name: value[each.name] for each in fields(cls)}
        near = (Near(n["trial"], n["distance"], n["value"]) for n in known["nearest"])
        return cls(**{**known, "nearest": tuple(near)})


is_prediction = dict_with(
    expected=is_number,
    low=is_number,
    high=is_number,
    weights=dict_of(is_number),
    nearest=list_of(dict_with(trial=is_count, distance=is_number, value=optional(is_number))),
)
