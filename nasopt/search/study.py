"""One study: its name, opening it, and refusing to go on with another experiment's."""

import copy
import json
import logging
from importlib.metadata import version
from pathlib import Path
from typing import Any
from uuid import uuid4

import optuna
from optuna.pruners import BasePruner
from optuna.samplers import BaseSampler

from nasopt.analysis.difference import difference
from nasopt.errors import StudyError
from nasopt.samplers import GivenSampler, Seeded, sampler_name
from nasopt.samplers.naming import given_settings, unnamed
from nasopt.samplers.pruners import make_pruner, pruner_name
from nasopt.samplers.settings import has_own_seed
from nasopt.search.experiment import DIRECTIONS, Experiment
from nasopt.search.warm_start import earlier_searches, source_name
from nasopt.storage.attributes import (
    ENDED,
    EXPERIMENT,
    IDENTITY,
    METRIC_NAMES,
    THREADS,
    VERSIONS,
    WARM_START,
)
from nasopt.storage.checks import check_study, check_trials
from nasopt.storage.rdb import Storage
from nasopt.storage.record import StudyRecord, is_begun, threads_of
from nasopt.training.devices import threads_here

logger = logging.getLogger("nasopt")


def study_name(experiment: Experiment, sampler: GivenSampler, seed: int) -> str:
    return f"{experiment.name}/{sampler_name(sampler)}/{seed}"


def open_study(
    experiment: Experiment,
    storage: Storage,
    *,
    sampler: GivenSampler,
    seed: int,
    seeded: Seeded,
    trials: int | None,
    epochs_budget: int | None,
    threads: int | None,
    timed_on: str | None = None,
    is_shared: bool = False,
) -> optuna.Study:
    """Open the study of `experiment`, made or taken up.

    Raises StudyError if it was begun with another space, recipe, data set, training seed or other
    objectives. Budgets, limits and the pruner may change; that is noted. So are `threads`, if
    those that it began with cannot be had. A sampler that is a pruner as well decides for itself.
    `is_shared` is True if threads share the experiment: a pruner may note what it has seen.
    """
    name = study_name(experiment, sampler, seed)
    sources = _sources(name, experiment, seeded)
    earlier: list[dict[str, Any]] = []
    if sources and not is_begun(_attrs_of(name, storage)):  # what cannot be leaves no study behind
        earlier = earlier_searches(experiment.hyperparameters, list(sources.values()))
    pruner = make_pruner(experiment.pruner, experiment.recipe.epochs)
    if is_shared:
        pruner = copy.deepcopy(pruner)
    changeable = may_change(experiment)
    if isinstance(seeded.inner, BasePruner):
        pruner, changeable["pruner"] = seeded.inner, sampler_name(sampler)
    study = _create_or_load(experiment, storage, name, seeded, pruner)
    before = study.user_attrs
    _check(study, experiment, sampler, seed)
    record = StudyRecord(
        name=name,
        experiment=experiment.record,
        given_sampler=sampler_name(sampler),
        given_seed=seed,
        sampler_settings=given_settings(sampler),
        warm_start=_kept(name, before, list(sources)) if is_begun(before) else tuple(earlier),
        trials_budget=trials,
        epochs_budget=epochs_budget,
        threads=None if threads is None else threads_here(threads_of(before) or threads),
        timed_on=timed_on,
        versions={each: version(each) for each in ("nasopt", "optuna", "torch")},
        **changeable,
    )
    storage.describe_study(
        study._study_id,
        lasting=record.lasting(),
        settings=_changed(name, before, record.settings()),
        system={METRIC_NAMES: list(experiment.sought), IDENTITY: uuid4().hex},
    )
    for params in experiment.first_params:
        study.enqueue_trial(params, skip_if_exists=True)
    return study


def _check(study: optuna.Study, experiment: Experiment, sampler: GivenSampler, seed: int) -> None:
    """Raise StudyError if `study` is another's, or of another experiment or sampler."""
    name, before = study.study_name, study.user_attrs
    if EXPERIMENT in before:
        refuse_difference(name, before[EXPERIMENT], experiment)
    if is_begun(before):
        known = check_study(name, before)
        refuse_other_settings(known, sampler)
        check_trials(known, study.get_trials(deepcopy=False))
    elif EXPERIMENT not in before:
        _refuse_others(study, experiment)
        inner = unnamed(sampler)
        if not isinstance(inner, str) and has_own_seed(inner):
            logger.warning(
                "%s: the sampler's own seed is not used, seed=%d of the study is", name, seed
            )


def _sources(name: str, experiment: Experiment, seeded: Seeded) -> dict[str, str | Path]:
    """Return the databases to begin with, each once, by the name that the study keeps of it."""
    sources = {source_name(each): each for each in experiment.warm_start}
    if sources and not seeded.learns_from_earlier:
        logger.warning(
            "%s: %s does not learn from earlier searches, so warm_start is left aside",
            name, name.split("/")[-2],
        )  # fmt: skip
        return {}
    return sources


def _attrs_of(name: str, storage: Storage) -> dict[str, Any]:
    """Return the user attributes of a study, none if there is no such study."""
    try:
        return storage.get_study_user_attrs(storage.get_study_id_from_name(name))
    except KeyError:
        return {}


def _kept(name: str, before: dict[str, Any], wanted: list[str]) -> tuple[dict[str, Any], ...]:
    """Return what a begun study has kept of earlier searches, whatever has become of those.

    Raises StudyError if it was begun with other databases than are `wanted`, if any are.
    """
    kept: list[dict[str, Any]] = before.get(WARM_START, [])
    begun_with = list(dict.fromkeys(each["from"] for each in kept))
    if wanted and set(wanted) != set(begun_with):
        told = ", ".join(begun_with) or "nothing"
        raise StudyError(
            f"study={name}: warm_start is {', '.join(wanted)} now, was {told} when it began; set "
            "it back, or choose another --storage or Experiment(name=...)"
        )
    return tuple(kept)


def _changed(name: str, before: dict[str, Any], settings: dict[str, Any]) -> dict[str, Any]:
    """Return the settings that are others than `before`, with a warning for each known one."""
    changed = {key: value for key, value in settings.items() if before.get(key) != value}
    for key, value in changed.items():
        if key in before:
            logger.warning("%s: %s is %s from here on, was %s", name, key, value, before[key])
    if before.get(ENDED) and changed.keys() - {VERSIONS, THREADS}:
        changed[ENDED] = ""  # what is new may let it go on
    return changed


def _refuse_others(study: optuna.Study, experiment: Experiment) -> None:
    """Raise StudyError unless `study` is one that was being made when its worker died."""
    wanted = [DIRECTIONS[objective].upper() for objective in experiment.objectives]
    other = [direction.name for direction in study.directions] != wanted
    if other or study.get_trials(deepcopy=False):
        raise StudyError(
            f"study={study.study_name}: not begun by nasopt; "
            "choose another --storage, or Experiment(name=...)"
        )


def refuse_other_settings(study: StudyRecord, sampler: GivenSampler) -> None:
    """Raise StudyError if a study had a sampler of other settings.

    Names compare by name, which is in that of the study. Only settings that both have are compared:
    another version of Optuna may have settings that the one before had not.
    """
    before, given = study.sampler_settings, given_settings(sampler)
    if given is None or before is None:
        return
    now = json.loads(json.dumps(given))
    both = before.keys() & now.keys()
    found = difference(
        {k: before[k] for k in both}, {k: now[k] for k in both}, sampler_name(sampler)
    )
    if found is not None:
        place, was, is_ = found
        raise StudyError(
            f"study={study.name}: {place} is {is_} now, was {was} when it began; set it back, "
            'name the sampler ({"mine": ...}), or choose another --storage or Experiment(name=...)'
        )


def may_change(experiment: Experiment) -> dict[str, Any]:
    """Return the settings that may change in a study, from its user attributes."""
    return {
        "features": experiment.own_features,
        "limits": [str(limit) for limit in experiment.limits],
        "pruner": pruner_name(experiment.pruner),
    }


def _create_or_load(
    experiment: Experiment, storage: Storage, name: str, sampler: BaseSampler, pruner: BasePruner
) -> optuna.Study:
    try:
        return optuna.create_study(
            storage=storage,
            study_name=name,
            sampler=sampler,
            pruner=pruner,
            directions=[DIRECTIONS[objective] for objective in experiment.objectives],
        )
    except optuna.exceptions.DuplicatedStudyError:
        return optuna.load_study(storage=storage, study_name=name, sampler=sampler, pruner=pruner)


def refuse_difference(name: str, begun: dict[str, Any], experiment: Experiment) -> None:
    """Raise StudyError if a study was `begun` with anything else than `experiment` has."""
    found = difference(begun, experiment.record.to_json())
    if found is not None:
        place, before, after = found
        told = f"{place} is {after} now, was {before} when it began"
        if place.endswith(".code"):  # two digests
            told = f"{place}, the block's own, is another now than when it began"
        raise StudyError(
            f"study={name}: {told}; set it back, "
            "or choose another --storage or Experiment(name=...)"
        )
