"""One study: its name, opening it, and refusing to go on with another experiment's."""

import json
import logging
from collections.abc import Mapping
from importlib.metadata import version
from typing import Any
from uuid import uuid4

import optuna
from optuna.pruners import BasePruner
from optuna.samplers import BaseSampler

from nasopt.analysis.difference import difference
from nasopt.errors import StudyError
from nasopt.samplers import Seeded, sampler_name
from nasopt.samplers.pruners import make_pruner, pruner_name
from nasopt.samplers.settings import has_own_seed, settings_of
from nasopt.search.evaluator import threads_of
from nasopt.search.experiment import DIRECTIONS, Experiment
from nasopt.storage.attributes import check_trials
from nasopt.storage.rdb import EXPERIMENT, IDENTITY, LAST, THREADS, Storage
from nasopt.training.devices import threads_here

logger = logging.getLogger("nasopt")

ENDED = "ended"  # user attribute: why a study ended before its total
SETTINGS = "sampler_settings"  # user attribute of a study whose sampler was an object


def study_name(experiment: Experiment, sampler: str | BaseSampler, seed: int) -> str:
    return f"{experiment.name}/{sampler_name(sampler)}/{seed}"


def open_study(
    experiment: Experiment,
    storage: Storage,
    *,
    sampler: str | BaseSampler,
    seed: int,
    seeded: Seeded,
    trials: int | None,
    epochs_budget: int | None,
    threads: int | None,
) -> optuna.Study:
    """Open the study of `experiment`, made or taken up.

    Raises StudyError if it was begun with another space, recipe, data set, training seed or other
    objectives. Budgets, limits and the pruner may change; that is noted. So are `threads`, if
    those that it began with cannot be had. A sampler that is a pruner as well decides for itself.
    """
    name = study_name(experiment, sampler, seed)
    single = len(experiment.objectives) == 1
    pruner = make_pruner(experiment.pruner if single else "none", experiment.recipe.epochs)
    changeable = may_change(experiment)
    if isinstance(seeded.inner, BasePruner):
        pruner, changeable["pruner"] = seeded.inner, sampler_name(sampler)
    study = _create_or_load(experiment, storage, name, seeded, pruner)
    before = study.user_attrs
    if EXPERIMENT in before:
        refuse_difference(name, before[EXPERIMENT], experiment)
        refuse_other_settings(name, before, sampler)
        check_trials(name, before, study.get_trials(deepcopy=False))
    else:
        _refuse_others(study, experiment)
        if not isinstance(sampler, str) and has_own_seed(sampler):
            logger.warning(
                "%s: the sampler's own seed is not used, seed=%d of the study is", name, seed
            )
    lasting = {
        EXPERIMENT: experiment.describe(),
        "sampler": sampler_name(sampler),
        "seed": seed,
        **({} if isinstance(sampler, str) else {SETTINGS: settings_of(sampler)}),
    }
    settings = {
        "trials": trials,
        "epochs_budget": epochs_budget,
        **changeable,
        LAST: {each: version(each) for each in ("nasopt", "optuna", "torch")},
    }
    if threads is not None:
        settings[THREADS] = threads_here(threads_of(before) or threads)
    for key, value in settings.items():
        if key in before and before[key] != value:
            logger.warning("%s: %s is %s from here on, was %s", name, key, value, before[key])
    changed = {key: value for key, value in settings.items() if before.get(key) != value}
    if before.get(ENDED) and changed.keys() - {LAST, THREADS}:
        changed[ENDED] = ""  # what is new may let it go on
    storage.describe_study(
        study._study_id,
        lasting=lasting,
        settings=changed,
        system={"study:metric_names": list(experiment.objectives), IDENTITY: uuid4().hex},
    )
    return study


def _refuse_others(study: optuna.Study, experiment: Experiment) -> None:
    """Raise StudyError unless `study` is one that was being made when its worker died."""
    wanted = [DIRECTIONS[objective].upper() for objective in experiment.objectives]
    other = [direction.name for direction in study.directions] != wanted
    if other or study.get_trials(deepcopy=False):
        raise StudyError(
            f"study={study.study_name}: not begun by nasopt; "
            "choose another --storage, or Experiment(name=...)"
        )


def refuse_other_settings(name: str, attrs: Mapping[str, Any], sampler: str | BaseSampler) -> None:
    """Raise StudyError if a study with these user attributes had a sampler of other settings.

    Names compare by name, which is in that of the study. Only settings that both have are compared:
    another version of Optuna may have settings that the one before had not.
    """
    if isinstance(sampler, str) or SETTINGS not in attrs:
        return
    before, now = attrs[SETTINGS], json.loads(json.dumps(settings_of(sampler)))
    both = before.keys() & now.keys()
    found = difference(
        {k: before[k] for k in both}, {k: now[k] for k in both}, sampler_name(sampler)
    )
    if found is not None:
        place, was, is_ = found
        raise StudyError(
            f"study={name}: {place} is {is_} now, was {was} when it began; set it back, "
            "or choose another --storage or Experiment(name=...)"
        )


def may_change(experiment: Experiment) -> dict[str, Any]:
    """Return the settings that may change in a study, from its user attributes."""
    single = len(experiment.objectives) == 1
    return {
        "limits": [str(limit) for limit in experiment.limits],
        "pruner": pruner_name(experiment.pruner) if single else "none",
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
    found = difference(begun, json.loads(json.dumps(experiment.describe())))
    if found is not None:
        place, before, after = found
        raise StudyError(
            f"study={name}: {place} is {after} now, was {before} when it began; set it back, "
            "or choose another --storage or Experiment(name=...)"
        )
