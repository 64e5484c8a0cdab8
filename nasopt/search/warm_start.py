"""What earlier searches have seen of a space, for another search of it to begin with."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import optuna
from optuna.trial import FrozenTrial

from nasopt.errors import StudyError
from nasopt.samplers.points.observations import is_complete
from nasopt.space.fields import Open
from nasopt.storage.checks import check_study
from nasopt.storage.database import shown_url
from nasopt.storage.opening import open_storage
from nasopt.storage.record import StudyRecord, is_begun, is_own
from nasopt.text import several

LEAST, MOST = 2, 250  # trainings of a search: fewer say nothing, more would slow its model down

Trials = list[FrozenTrial]


def earlier_searches(
    hyperparameters: Mapping[str, Open], locations: Sequence[str | Path]
) -> list[dict[str, Any]]:
    """Return what the studies in the databases at `locations` have seen of a space.

    All trainings on one data set by one recipe are a search: "from" is its database, "studies" are
    their names; "parameters" are the names of all `hyperparameters`, "points" their values in each
    trial, "values" what it reached, of which more is better.

    Raises StudyError for a database in which nobody searched the space; StorageError for one that
    cannot be read.
    """
    return [each for place in locations for each in _searches(hyperparameters, place)]


def _searches(hyperparameters: Mapping[str, Open], location: str | Path) -> list[dict[str, Any]]:
    place = shown_url(str(location))
    by_kind: dict[tuple[str, str], list[tuple[StudyRecord, Trials]]] = {}
    others = []
    for record, trials in _studies(location):
        difference = _difference(hyperparameters, record.search_space)
        if difference is not None:
            others.append(f"{record.name} has {difference}")
            continue
        kind = record.experiment.dataset, str(record.experiment.recipe)
        by_kind.setdefault(kind, []).append((record, trials))
    if not by_kind:
        told = f"{several(len(others), 'study')} searched this space, as {others[0]}"
        raise StudyError(
            f"warm_start={place}: none of its {told}; name a database of the same space"
            if others
            else f"warm_start={place}: no study of nasopt's in it; name another database"
        )
    found = []
    for studies in by_kind.values():
        seen = [trial for _, trials in studies for trial in trials]
        if len(seen) >= LEAST:
            seen = _some(seen)
            found.append(
                {
                    "from": place,
                    "studies": [record.name for record, _ in studies],
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


def _studies(location: str | Path) -> list[tuple[StudyRecord, Trials]]:
    """Return the studies that nasopt has begun in a database, each with its complete trials."""
    storage = open_storage(location, "read")
    found = []
    for summary in optuna.get_all_study_summaries(storage, include_best_trial=False):
        if is_begun(summary.user_attrs):
            record = check_study(summary.study_name, summary.user_attrs)
            trials = storage.get_all_trials(summary._study_id, deepcopy=False)
            own = [t for t in trials if is_own(t, record.search_space) and is_complete(t)]
            found.append((record, own))
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


def _some(trials: Trials) -> Trials:
    """Return all `trials`, or of many the best third of `MOST`, and others evenly."""
    if len(trials) <= MOST:
        return trials
    ranked = sorted(trials, key=lambda trial: -trial.values[0])
    best, rest = ranked[: MOST // 3], ranked[MOST // 3 :]
    count = MOST - len(best)
    return best + [rest[i * len(rest) // count] for i in range(count)]
