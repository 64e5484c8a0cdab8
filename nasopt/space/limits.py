"""The limits on the cost of a network: `parameters <= 5_000` is a value."""

from dataclasses import dataclass
from typing import Any, Self

from nasopt.errors import SpaceError

COSTS = ("parameters", "macs")  # the quantities of a network that are known before training
LATENCY = "latency"  # the one that has to be measured: seconds


@dataclass(frozen=True)
class Limit:
    """The requirement that `cost.<quantity>` is at most `bound`."""

    quantity: str
    bound: float

    @classmethod
    def from_text(cls, text: str) -> Self:
        """Return the limit that `str` wrote."""
        quantity, _, bound = text.partition(" <= ")
        return cls(quantity, float(bound.replace(",", "")))

    @property
    def is_measured(self) -> bool:
        """True if whether a network is within the limit has to be measured, on a device."""
        return self.quantity == LATENCY

    def violation(self, cost: Any) -> float:
        """Return the share of the bound by which `cost` exceeds it; 0 or less if it does not.

        `cost` has an attribute of the quantity's name, as `model.Cost` has.
        """
        return float(getattr(cost, self.quantity)) / self.bound - 1

    def remedy(self, least: float) -> str:
        """Return the advice if no network within the limit was found, but one of `least`."""
        if self.is_measured:
            return (
                f"the fastest found takes {least:.3g} s; raise the limit, or let the space have "
                "smaller networks"
            )
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
    """A quantity of a cost that can be limited, such as `parameters`."""

    name: str

    def __ge__(self, bound: float) -> Limit:
        # Python calls this for `1_000 <= parameters` as well
        raise SpaceError(f"limits: {self.name} >= {bound!r}: only an upper bound is a limit")

    def __lt__(self, bound: float) -> Limit:
        raise SpaceError(f"limits: {self.name} < {bound!r}: use <=")

    def __le__(self, bound: float) -> Limit:
        if isinstance(bound, bool) or not isinstance(bound, int | float) or not bound > 0:
            raise SpaceError(f"limits: {self.name} <= {bound!r}: use a positive number")
        return Limit(self.name, bound)


parameters = Quantity("parameters")
macs = Quantity("macs")
latency = Quantity(LATENCY)  # seconds of a forward pass of one image
