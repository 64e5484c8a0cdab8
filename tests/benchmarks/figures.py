"""A figure beside its target."""

from dataclasses import dataclass

TOLERANCE = 0.1  # of a target: a figure that misses it by more fails the run


@dataclass(frozen=True)
class Figure:
    """`value` of `what`, to be `at_least` or `at_most` so much; without either it only informs."""

    what: str
    value: float
    at_least: float | None = None
    at_most: float | None = None
    unit: str = ""
    detail: str = ""

    @property
    def missed(self) -> bool:
        """Whether the target is missed by more than a tenth."""
        if self.at_least is not None:
            return not self.value >= (1 - TOLERANCE) * self.at_least  # nan is missed as well
        return self.at_most is not None and not self.value <= (1 + TOLERANCE) * self.at_most

    def __str__(self) -> str:
        target = ""
        if self.at_least is not None:
            target = f"(target: at least {self.at_least:g}{self.unit})"
        if self.at_most is not None:
            target = f"(target: at most {self.at_most:g}{self.unit})"
        words = f"{self.what}: {self.value:.3g}{self.unit}", target, self.detail
        return " ".join(word for word in words if word) + (" MISSED" if self.missed else "")
