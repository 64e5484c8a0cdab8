"""The trials of a large search that are shown one by one; numbers are always of all."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from nasopt.analysis.record import Record

MOST = 1_000  # trials: a page of more is slow to open and says nothing more


@dataclass(frozen=True)
class Shown:
    """The `trials` (study, number) that are shown, of `total` that count to the budgets."""

    total: int
    trials: frozenset[tuple[str, int]] = field(repr=False)

    @property
    def is_thinned(self) -> bool:
        return len(self.trials) < self.total


def shown(studies: Sequence[Record], most: int = MOST) -> Shown:
    """Return all trials, or the better half of `most` and as many evenly among the others."""
    trials = [(study.name, trial) for study in studies for trial in study.counted]
    ranked = sorted(trials, key=lambda each: -(each[1].values or [float("-inf")])[0])
    best, others = ranked[: most // 2], ranked[most // 2 :]
    if len(trials) > most:
        rest = most - len(best)
        others = [others[place * len(others) // rest] for place in range(rest)]
    return Shown(len(trials), frozenset((name, trial.number) for name, trial in (*best, *others)))
