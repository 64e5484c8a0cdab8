"""`Record`: a study, read once from its database."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Self

import optuna
from optuna.trial import FrozenTrial, TrialState

from nasopt.space.limits import Limit
from nasopt.storage.attributes import FREE
from nasopt.storage.checks import check_study, check_trials
from nasopt.storage.record import StudyRecord, TrialRecord, is_own, key_of
from nasopt.text import listed, several
from nasopt.training.metrics import in_words

NOT_NOTED = "a device that was not noted"  # by an older version


@dataclass(frozen=True, kw_only=True, eq=False)
class Record(StudyRecord):
    """A study as it stands: its record, and its trials by number.

    Of the finished trials those are read that a search made (`finished`); the others are `foreign`.
    """

    trials: Sequence[FrozenTrial] = field(repr=False)
    searched_by: str = ""  # the metric, where the trials are scored by another (see `rescored`)

    @classmethod
    def of(cls, study: optuna.Study) -> Self:
        """Read a study.

        Raises StudyError if its content cannot be that of a study of nasopt's.
        """
        attrs = study.user_attrs
        check_study(study.study_name, attrs)
        record = cls.from_attrs(study.study_name, attrs, trials=study.get_trials(deepcopy=False))
        check_trials(record, record.trials)
        return record

    @cached_property
    def finished(self) -> list[FrozenTrial]:
        """The finished trials that a search made."""
        return [trial for trial in self._finished if is_own(trial, self.search_space)]

    @cached_property
    def foreign(self) -> list[FrozenTrial]:
        """The finished trials that plain Optuna made; they say nothing about a network."""
        own = {trial.number for trial in self.finished}
        return [trial for trial in self._finished if trial.number not in own]

    @property
    def _finished(self) -> list[FrozenTrial]:
        return [trial for trial in self.trials if trial.state.is_finished()]

    @cached_property
    def counted(self) -> list[FrozenTrial]:
        """The trials of `finished` that count to the budget: repeats and the like are left out."""
        return [trial for trial in self.finished if FREE not in trial.user_attrs]

    @cached_property
    def over(self) -> list[FrozenTrial]:
        """The trials of `counted` that are over the limits in force: they began under others."""
        return [trial for trial in self.counted if self.broken(trial)]

    @cached_property
    def complete(self) -> list[FrozenTrial]:
        """The trials among which the best is: trained to their end, and within the limits."""
        complete = (trial for trial in self.counted if trial.state is TrialState.COMPLETE)
        return [trial for trial in complete if not self.broken(trial)]

    def broken(self, trial: FrozenTrial) -> list[str]:
        """Return the limits in force that the network of `trial` is over, as far as is known."""
        record = TrialRecord.of(trial)
        return [
            str(limit)
            for limit in self._bounds
            if (cost := getattr(record, limit.quantity, None)) is not None and cost > limit.bound
        ]

    @cached_property
    def _bounds(self) -> list[Limit]:
        bounds = (text for text in self.limits if " <= " in text)  # a table may have one of words
        return [Limit.from_text(text) for text in bounds]


def devices_of(trials: Iterable[FrozenTrial]) -> dict[str, int]:
    """Count the trials on each device, the most frequent first; {} if no trial names its device."""
    records = map(TrialRecord.of, trials)
    counts = Counter(record.device or NOT_NOTED for record in records if record.epochs)
    return dict(counts.most_common()) if counts.keys() - {NOT_NOTED} else {}


def remarks(studies: Sequence[Record]) -> list[str]:
    """Return a sentence on each kind of trials of `studies` that are not among the best."""
    over = sum(len(study.over) for study in studies)
    foreign = sum(len(study.foreign) for study in studies)
    found = []
    if studies and studies[0].searched_by:
        found.append(
            f"Scored by {in_words(studies[0].metric)}, from the ledger: the search itself went by "
            f"{in_words(studies[0].searched_by)}."
        )
    if over:
        limits = listed(list(dict.fromkeys(each for study in studies for each in study.limits)))
        are, they = ("is", "it is") if over == 1 else ("are", "they are")
        found.append(
            f"{several(over, 'earlier trial')} {are} over the limits in force ({limits}): {they} "
            "left out of what is the best."
        )
    if foreign:
        was, they = ("was", "it is") if foreign == 1 else ("were", "they are")
        found.append(
            f"{several(foreign, 'trial')} {was} made by plain Optuna (study.add_trial, "
            f"study.optimize): {they} left out."
        )
    return found


def furthest_trained(
    studies: Iterable[Record], *, within_limits: bool = False
) -> list[FrozenTrial]:
    """Return a trial of each different network that was trained: the one that took it furthest.

    Those `within_limits` are within those in force.
    """
    furthest: dict[str, FrozenTrial] = {}
    tried = ((trial, each.broken(trial)) for each in studies for trial in each.counted)
    for trial, broken in tried:
        if within_limits and broken:
            continue
        key = key_of(trial.user_attrs)
        if key is None or trial.state is TrialState.FAIL:
            continue
        known = furthest.get(key)
        if known is None or (known.state, trial.state) == (TrialState.PRUNED, TrialState.COMPLETE):
            furthest[key] = trial
    return list(furthest.values())
