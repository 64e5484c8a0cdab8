"""Finished studies of a database, chosen by name and held to be alike, then compared."""

from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import optuna

from nasopt.analysis.compared import ComparisonResult, compared
from nasopt.analysis.curves import Budget, Row, study_rows
from nasopt.analysis.difference import difference
from nasopt.analysis.evidence import Evidence, Trainings
from nasopt.analysis.outcome import load_study, studies_of, study_records
from nasopt.analysis.record import Record, devices_of, remarks
from nasopt.analysis.start_up import start_up
from nasopt.analysis.winners import QUARTERS, quarter_winners
from nasopt.errors import RecipeError, StudyError, closest
from nasopt.storage.attributes import FREE
from nasopt.storage.budget import spent
from nasopt.storage.ledger import Ledger
from nasopt.storage.opening import folders, open_storage
from nasopt.storage.rdb import Storage
from nasopt.storage.record import StudyRecord
from nasopt.text import trained_on

NAMED = 10  # studies in an error, at most


def compare_studies(
    storage: str | Path,
    studies: str | Sequence[str],
    *,
    replicates: int = 3,
    baseline: str = "random",
) -> ComparisonResult:
    """Compare finished studies that are in a database, by names or patterns ("digits/*").

    Nothing is trained: winners that were trained again with `replicates` seeds are compared by
    that, others by what the searches saw.

    Raises StudyError if there are none, one is unfinished, or they are not of one experiment.
    """
    check_replicates(replicates)
    opened = open_storage(storage, "read")
    there = studies_of(opened)
    patterns = studies.split(",") if isinstance(studies, str) else studies
    names: dict[str, None] = {}
    for pattern in patterns:
        matching = [name for name in there if fnmatchcase(name, pattern.strip())]
        if not matching:
            few = 0 < len(there) <= NAMED
            remedy = closest(pattern, there) if few else "nasopt show DB --studies lists them"
            raise StudyError(f"studies={pattern!r}: none of that name in this database; {remedy}")
        names |= dict.fromkeys(matching)
    if not names:
        raise StudyError("studies: none given; name them, or give a pattern (digits/*)")
    records = [read_study(opened, name) for name in names]
    _refuse_tables(records)
    _check_budgets(records)
    return analyse(records, opened, budget_of(records[0]), replicates=replicates, baseline=baseline)


def read_study(storage: Storage, name: str) -> Record:
    return Record.of(optuna.load_study(study_name=name, storage=storage))


def studies_together(storage: Storage, name: str | None = None) -> tuple[list[Record], list[str]]:
    """Return the studies of one experiment, read; and the names of those of other experiments.

    With a `name` that study alone. Without, all with the experiment of the one begun last.
    Raises StudyError for an unknown name, or a database without a study of nasopt's.
    """
    chosen = load_study(storage, name).study_name
    shared = {each.name: shared_by(each) for each in study_records(storage)}
    alike = [each for each in shared if shared[each] == shared[chosen]]
    names = alike if name is None else [name]
    return [read_study(storage, each) for each in names], [n for n in shared if n not in alike]


def shared_by(study: StudyRecord) -> tuple[str, dict[str, Any]]:
    """Return what a study shares with those of the same experiment."""
    return study.name.rsplit("/", 2)[0], _terms(study)


def compare_records(studies: Sequence[Record], storage: Storage) -> ComparisonResult:
    """Compare `studies` of one experiment with what is known of them, and train nothing.

    Raises StudyError if there is nothing to compare, or as `compare_studies`.
    """
    samplers = list(dict.fromkeys(study.sampler for study in studies))
    if len(samplers) < 2:
        raise StudyError(f"sampler={samplers[0]}: the only one here; compare it with another")
    _refuse_tables(studies)
    _check_budgets(studies)
    baseline = "random" if "random" in samplers else samplers[0]
    return analyse(studies, storage, budget_of(studies[0]), replicates=None, baseline=baseline)


def analyse(
    studies: Sequence[Record],
    storage: Storage,
    budget: Budget,
    *,
    replicates: int | None,
    baseline: str,
    evidence: Evidence | None = None,
    start_ups: Mapping[str, int] | None = None,
    notes: Sequence[str] = (),
) -> ComparisonResult:
    """Compare the samplers of `studies` within `budget`, by the ledger unless `evidence` is given.

    `start_ups` say how many first trials of a sampler are random; without them it goes by names.

    With `replicates` None their winners are compared by as many other seeds as all were trained
    with. Raises StudyError if one is unfinished, or they differ in more than sampler and seed.
    """
    _check_alike(studies)
    baseline = check_baseline(baseline, [study.sampler for study in studies])
    for study in studies:
        if not is_done(study, budget):
            done = spent_of(study, budget)
            raise StudyError(f"study={study.name}: {done:,} of {budget}; run it to its end")
    if evidence is None:
        folder = folders(storage).checkpoints
        ledger = Ledger(storage.engine, folder, metric=studies[0].metric)
        evidence = Trainings.of(ledger, studies[0].epochs)
    if replicates is None:
        known = (_replicates(study, budget, evidence) for study in studies)
        replicates = min((each for each in known if each is not None), default=0)
    return compared(
        studies,
        budget,
        evidence,
        baseline=baseline,
        replicates=replicates,
        start_ups=start_ups or {study.sampler: start_up(study.sampler) for study in studies},
        notes=[
            *notes,
            *remarks(studies),
            *_ended_early(studies, budget),
            *_on_devices(studies),
        ],
    )


def _replicates(study: Record, budget: Budget, evidence: Evidence) -> int | None:
    """Return the number of other seeds that the last winner of `study` was trained with.

    None if it has no winner.
    """
    winners = [w for w in quarter_winners(rows_of(study), budget) if w.quarter == QUARTERS]
    return evidence.replicates(study, study.trials[winners[0].number].params) if winners else None


def _ended_early(studies: Sequence[Record], budget: Budget) -> list[str]:
    """Return a sentence for each sampler and reason for which studies ended early."""
    seeds: dict[tuple[str, str], list[str]] = {}
    for study in studies:
        if study.ended and spent_of(study, budget) < budget.amount:
            seeds.setdefault((study.sampler, study.ended), []).append(str(study.seed))
    return [
        f"{sampler} ended early with seed {', '.join(each)}: {reason}."
        for (sampler, reason), each in seeds.items()
    ]


def _on_devices(studies: Sequence[Record]) -> list[str]:
    """Return a sentence if a difference may be one of devices."""
    devices = devices_of(trial for study in studies for trial in study.counted)
    if len(devices) < 2:
        return []
    return [
        f"The networks were trained on {trained_on(devices)}: what differs may be due to that, too."
    ]


def rows_of(study: Record) -> list[Row]:
    return study_rows([study])[study.sampler][study.seed]


def is_done(study: Record, budget: Budget) -> bool:
    """Return True if the budget of the study is spent, or it had nothing left to try."""
    return bool(study.ended) or spent_of(study, budget) >= budget.amount


def spent_of(study: Record, budget: Budget) -> int:
    """Return the part of the budget that `study` has spent, in the unit of `budget`."""
    if budget.unit == "evaluations":
        foreign = [trial for trial in study.foreign if FREE not in trial.user_attrs]
        return len(study.counted) + len(foreign)  # they count to what a search may still try
    return sum(each.epochs for each in spent(study.counted))


def budget_of(study: Record) -> Budget:
    if study.epochs_budget:
        return Budget(study.epochs_budget, "epochs")
    return Budget(study.trials_budget or 0)  # a study has one of the two


def check_replicates(replicates: Any) -> None:
    if type(replicates) is not int or replicates < 0:
        raise RecipeError(f"replicates={replicates!r}: use a whole number from 0")


def check_baseline(baseline: str, samplers: Sequence[str]) -> str:
    """Return the one of `samplers` that is meant.

    Raises StudyError if it is none of them.
    """
    named = {each.lower(): each for each in samplers}
    if baseline.lower() not in named:
        remedy = closest(baseline, set(samplers))
        raise StudyError(f"baseline={baseline!r}: not among the samplers; {remedy}")
    return named[baseline.lower()]


def _refuse_tables(studies: Sequence[Record]) -> None:
    """Raise StudyError for a study of a table, which alone has the true values of winners.

    The accuracies that a search saw of them are no verdict.
    """
    for study in studies:
        if study.is_benchmark:
            raise StudyError(
                f"study={study.name}: of a benchmark, which is not in the database; name it: "
                "nasopt compare --benchmark NAME --storage DB --analyse-only"
            )


def _check_budgets(studies: Sequence[Record]) -> None:
    first = budget_of(studies[0])
    for study in studies:
        if budget_of(study) != first:
            raise StudyError(
                f"study={study.name}: its budget is {budget_of(study)}, but {first} in "
                f"{studies[0].name}; compare studies of one budget"
            )


def _check_alike(studies: Sequence[Record]) -> None:
    """Raise StudyError unless all differ in nothing but sampler and seed."""
    first = studies[0]
    taken: dict[tuple[str, int], Record] = {}
    pruners: dict[str, Record] = {}
    for study in studies:
        twin = taken.setdefault((study.sampler, study.seed), study)
        if twin is not study:
            raise StudyError(
                f"study={study.name}: by {study.sampler} with seed {study.seed}, as {twin.name} "
                "is; leave one out"
            )
        found = difference(_terms(first), _terms(study))
        if found is not None:
            place, before, after = found
            raise StudyError(
                f"study={study.name}: {place} is {after}, but {before} in {first.name}; compare "
                "studies of one experiment"
            )
        if study.pruner != study.sampler:  # a sampler that prunes is compared as that
            pruners.setdefault(study.pruner, study)
    if len(pruners) > 1:
        (one, by_one), (other, by_other), *_ = pruners.items()
        raise StudyError(
            f"study={by_other.name}: pruner is {other}, but {one} in {by_one.name}; compare "
            "studies with one pruner"
        )


def _terms(study: StudyRecord) -> dict[str, Any]:
    """Return the terms that studies of one experiment share."""
    terms = {"limits": list(study.limits), **study.experiment.to_json()}
    if study.is_benchmark:
        del terms["seed"]  # it chooses the replicates, other ones for each study
    return terms
