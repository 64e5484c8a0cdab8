"""The best, the median and the worst network of a search, to be looked at side by side."""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median_low

from optuna.trial import FrozenTrial, TrialState

from nasopt.analysis.outcome import Outcome, outcome_of, rank, space_of
from nasopt.analysis.record import Record


@dataclass(frozen=True)
class Examples:
    """Of `complete` networks trained to their end; a pruned one's accuracy is no measure of it.

    They are different ones: one that was trained in several studies has its best accuracy.
    """

    complete: int
    best: Outcome
    median: Outcome
    worst: Outcome


def examples(studies: Sequence[Record]) -> Examples | None:
    """By accuracy, of all `studies` of one experiment; None where no trial is complete."""
    trials = [
        (study, trial)
        for study in studies
        for trial in study.counted
        if trial.state is TrialState.COMPLETE
    ]
    if not trials:
        return None
    ranked: dict[str, tuple[Record, FrozenTrial]] = {}
    for study, trial in sorted(trials, key=lambda each: rank(each[1])):
        ranked.setdefault(trial.user_attrs["key"], (study, trial))
    networks = list(ranked.values())
    space = space_of(studies[0].attrs)

    def outcome(place: int) -> Outcome:
        study, trial = networks[place]
        return outcome_of(study.name, space, trial)

    return Examples(
        complete=len(networks),
        best=outcome(0),
        median=outcome(median_low(range(len(networks)))),
        worst=outcome(-1),
    )
