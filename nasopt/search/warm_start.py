"""What earlier searches have seen of a space, for another search of it to begin with."""

import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import optuna
from optuna.trial import FrozenTrial

from nasopt.errors import StorageError, StudyError
from nasopt.samplers.points.observations import is_complete
from nasopt.space.fields import Open
from nasopt.storage.checks import check_study
from nasopt.storage.database import shown_url
from nasopt.storage.opening import open_storage
from nasopt.storage.record import StudyRecord, is_begun, is_own, is_repeat
from nasopt.text import several

LEAST, MOST = 2, 250  # trainings of a search: fewer say nothing, more would slow its model down

Trials = list[FrozenTrial]


def earlier_searches(
    hyperparameters: Mapping[str, Open], locations: Sequence[str | Path]
) -> list[dict[str, Any]]:
    """Return what the studies in the databases at `locations` have seen of a space.

    All trainings of one space, on one data set, by one recipe and scored by one metric, are a
    search: "from" is its database, "studies" are their names; "parameters" are the names of all
    `hyperparameters`, "points" their values in each trial, "values" what it reached, of which more
    is better.

    Raises StudyError for a database in which nobody searched the space; StorageError for one that
    cannot be read.
    """
    return [each for place in locations for each in _searches(hyperparameters, place)]


def source_name(location: str | Path) -> str:
    """Return the name of a database that a study keeps: of a path, its shortest spelling."""
    return shown_url(os.path.normpath(location) if "://" not in str(location) else str(location))


def _searches(hyperparameters: Mapping[str, Open], location: str | Path) -> list[dict[str, Any]]:
    place = source_name(location)
    found = []
    for alike in _of_one_kind(hyperparameters, location, place):
        seen = _different([trial for _, trials in alike for trial in trials])
        if len(seen) >= LEAST:
            seen = _some(seen)
            found.append(
                {
                    "from": place,
                    "studies": [record.name for record, _ in alike],
                    "parameters": list(hyperparameters),
                    "points": [[trial.params[name] for name in hyperparameters] for trial in seen],
                    "values": [trial.values[0] for trial in seen],
                }
            )
    if not found:
        raise StudyError(
            f"warm_start={place}: fewer than {LEAST} trials of this space are complete; let a "
            "study finish some, or leave it out"
        )
    return found


def _of_one_kind(
    hyperparameters: Mapping[str, Open], location: str | Path, place: str
) -> Iterable[list[tuple[StudyRecord, Trials]]]:
    """Return the studies of the space, those of one data set, recipe and metric together."""
    kinds: dict[tuple[str, ...], list[tuple[StudyRecord, Trials]]] = {}
    others = []
    try:
        studies = _studies(location)
    except (StorageError, StudyError) as error:
        raise type(error)(f"warm_start={place}: {error}") from error
    for record, trials in studies:
        difference = _difference(hyperparameters, record.search_space)
        if difference is not None:
            others.append(f"{record.name} has {difference}")
            continue
        begun = record.experiment
        kind = str(begun.space), begun.dataset, str(begun.recipe), record.metric
        kinds.setdefault(kind, []).append((record, trials))
    if not kinds and not others:
        raise StudyError(f"warm_start={place}: no study of nasopt's in it; name another database")
    if not kinds:
        told = f"{several(len(others), 'study')} searched this space, as {others[0]}"
        raise StudyError(
            f"warm_start={place}: none of its {told}; name a database of the same space"
        )
    return kinds.values()


def _studies(location: str | Path) -> list[tuple[StudyRecord, Trials]]:
    """Return the studies that nasopt has begun in a database, each with its complete trials."""
    storage = open_storage(location, "read")
    found = []
    for summary in optuna.get_all_study_summaries(storage, include_best_trial=False):
        if is_begun(summary.user_attrs):
            record = check_study(summary.study_name, summary.user_attrs)
            trials = storage.get_all_trials(summary._study_id, deepcopy=False)
            own = [t for t in trials if is_own(t, record.search_space)]
            found.append((record, [t for t in own if is_complete(t) and not is_repeat(t)]))
    return found


def _difference(wanted: Mapping[str, Open], theirs: Mapping[str, Open]) -> str | None:
    """Return how `theirs` differ from the hyperparameters that are `wanted`; None if not at all.

    Those that they have besides, of a recipe say, are left aside.
    """
    for name, field in wanted.items():
        if theirs.get(name) != field:
            return f"{name} {theirs.get(name, 'not at all')}, not {field}"
    networks = {name for name in theirs if not name.startswith("recipe.")} - wanted.keys()
    return f"{min(networks)} besides" if networks else None


def _different(trials: Trials) -> Trials:
    """Return `trials` without those that only tell again what an earlier one has told.

    Several studies of a comparison may all have found the best networks.
    """
    first: dict[str, FrozenTrial] = {}
    for trial in trials:
        first.setdefault(repr((sorted(trial.params.items()), trial.values)), trial)
    return list(first.values())


def _some(trials: Trials) -> Trials:
    """Return all `trials`, or of many the best third of `MOST`, and others evenly."""
    if len(trials) <= MOST:
        return trials
    ranked = sorted(trials, key=lambda trial: -trial.values[0])
    best, rest = ranked[: MOST // 3], ranked[MOST // 3 :]
    count = MOST - len(best)
    return best + [rest[i * len(rest) // count] for i in range(count)]
