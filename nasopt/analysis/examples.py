"""The best, the median and the worst network of a search, to be looked at side by side."""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median_low

from optuna.trial import FrozenTrial

from nasopt.analysis.outcome import Outcome, honest_first, outcome_of, rank
from nasopt.analysis.record import Record
from nasopt.storage.rdb import Storage
from nasopt.storage.record import key_of


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
