"""The trials of a search that are shown: three examples side by side, and some of very many."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from statistics import median_low

from optuna.trial import FrozenTrial

from nasopt.analysis.outcome import Outcome, honest_first, outcome_of, rank
from nasopt.analysis.record import Record
from nasopt.storage.rdb import Storage
from nasopt.storage.record import key_of

MOST = 1_000  # trials: a page of more is slow to open and says nothing more


@dataclass(frozen=True)
class Examples:
    """Three of `complete` networks trained to their end; a pruned accuracy is no measure of one.

    They are different ones: one that was trained in several studies has its best accuracy. All are
    within the limits in force.
    """

    complete: int
    best: Outcome
    median: Outcome
    worst: Outcome


def examples(studies: Sequence[Record], storage: Storage | None = None) -> Examples | None:
    """Return the examples by accuracy, of all `studies` of one experiment.

    None if no trial is complete. The accuracies of trainings with other seeds are looked up in
    their `storage`.
    """
    trials = [(study, trial) for study in studies for trial in study.complete]
    if not trials:
        return None
    ranked: dict[str, tuple[Record, FrozenTrial]] = {}
    for study, trial in honest_first(sorted(trials, key=lambda each: rank(each[1])), storage):
        ranked.setdefault(key_of(trial.user_attrs) or "", (study, trial))
    different = list(ranked.values())

    def outcome(place: int) -> Outcome:
        study, trial = different[place]
        return outcome_of(study, trial, storage)

    return Examples(
        complete=len(different),
        best=outcome(0),
        median=outcome(median_low(range(len(different)))),
        worst=outcome(-1),
    )


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
