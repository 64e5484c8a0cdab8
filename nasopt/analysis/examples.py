"""The best, the median and the worst network of a search, to be looked at side by side."""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median_low

from optuna.trial import TrialState

from nasopt.analysis.outcome import Outcome, outcome_of, space_of
from nasopt.analysis.record import Record


@dataclass(frozen=True)
class Examples:
    """Of `complete` networks trained to their end; a pruned one's accuracy is no measure of it."""

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
    ranked = sorted(range(len(trials)), key=lambda place: (-trials[place][1].values[0], place))
    space = space_of(studies[0].attrs)

    def outcome(place: int) -> Outcome:
        study, trial = trials[place]
        return outcome_of(study.name, space, trial)

    return Examples(
        complete=len(trials),
        best=outcome(ranked[0]),
        median=outcome(ranked[median_low(range(len(ranked)))]),
        worst=outcome(ranked[-1]),
    )
