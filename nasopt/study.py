"""One study: its name, opening it, and refusing to go on with another experiment's."""

import json
import logging
from importlib.metadata import version
from typing import Any

import optuna
from optuna.pruners import BasePruner
from optuna.samplers import BaseSampler

from nasopt.alike import difference
from nasopt.claims import EXPERIMENT, LAST, THREADS, Storage
from nasopt.devices import threads_here
from nasopt.errors import StudyError
from nasopt.experiment import DIRECTIONS, Experiment
from nasopt.pruners import make_pruner, pruner_name
from nasopt.samplers import Seeded, sampler_name
from nasopt.workshop import threads_of

logger = logging.getLogger("nasopt")


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
    """The study of `experiment`, made or taken up.

    Raises StudyError if it was begun with another space, recipe, data set, training seed or other
    objectives. Budgets, limits and the pruner may change; that is noted. So are `threads`, where
    those that it began with cannot be had. A sampler that is a pruner as well decides for itself.
    """
    name = study_name(experiment, sampler, seed)
    single = len(experiment.objectives) == 1
    pruner = make_pruner(experiment.pruner if single else "none", experiment.recipe.epochs)
    changeable = may_change(experiment)
    if isinstance(seeded.inner, BasePruner):
        pruner, changeable["pruner"] = seeded.inner, sampler_name(sampler)
    study = _create_or_load(experiment, storage, name, seeded, pruner)
    begun = study.user_attrs.get(EXPERIMENT)
    if begun is None:
        wanted = [DIRECTIONS[objective].upper() for objective in experiment.objectives]
        other = [direction.name for direction in study.directions] != wanted
        if other or study.get_trials(deepcopy=False):
            raise StudyError(
                f"study={name}: not begun by nasopt; "
                "choose another --storage, or Experiment(name=...)"
            )
        study.set_user_attr(EXPERIMENT, experiment.describe())
        study._storage.set_study_system_attr(
            study._study_id, "study:metric_names", list(experiment.objectives)
        )
        study.set_user_attr("sampler", sampler_name(sampler))
        study.set_user_attr("seed", seed)
    else:
        refuse_difference(name, begun, experiment)
    before = study.user_attrs
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
        if before.get(key) != value:
            study.set_user_attr(key, value)
    return study


def may_change(experiment: Experiment) -> dict[str, Any]:
    """What a study may go on with differently, as its user attributes tell it."""
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
