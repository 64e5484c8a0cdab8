"""Limits on what a network may cost: `parameters <= 5_000` is a value."""

from dataclasses import dataclass
from typing import Any, Self

from nasopt.errors import SpaceError


@dataclass(frozen=True)
class Limit:
    """`cost.<quantity>` may be at most `bound`."""

    quantity: str
    bound: float

    @classmethod
    def from_text(cls, text: str) -> Self:
        """Return the limit that `str` wrote."""
        quantity, _, bound = text.partition(" <= ")
        return cls(quantity, float(bound.replace(",", "")))

    def violation(self, cost: Any) -> float:
        """By which share of the bound `cost` is over it; 0 or less if it is not.

        `cost` has an attribute of the quantity's name, as `model.Cost` has.
        """
        return float(getattr(cost, self.quantity)) / self.bound - 1

    def remedy(self, least: float) -> str:
        """What to do where no network within it was found, but one of `least`."""
        return (
            f"the smallest found has {least:,} {self.quantity}; raise the limit, or let the space "
            "have smaller networks"
        )

    def __str__(self) -> str:
        return f"{self.quantity} <= {self.bound:,.12g}"

    def __bool__(self) -> bool:
        # `1_000 <= parameters <= 5_000` would silently drop its first half
        raise SpaceError(f"limits: ({self}) has no truth value; write one upper bound a limit")


@dataclass(frozen=True)
class Quantity:
    """What a limit is put on."""

    name: str

    def __ge__(self, bound: float) -> Limit:
        # also what Python makes of `1_000 <= parameters`
        raise SpaceError(f"limits: {self.name} >= {bound!r}: only an upper bound is a limit")

    def __lt__(self, bound: float) -> Limit:
        raise SpaceError(f"limits: {self.name} < {bound!r}: use <=")

    def __le__(self, bound: float) -> Limit:
        if isinstance(bound, bool) or not isinstance(bound, int | float) or not bound > 0:
            raise SpaceError(f"limits: {self.name} <= {bound!r}: use a positive number")
        return Limit(self.name, bound)


parameters = Quantity("parameters")
macs = Quantity("macs")
