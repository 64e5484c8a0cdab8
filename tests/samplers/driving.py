"""A small problem, and a study of it that any sampler may drive."""

from collections.abc import Callable
from functools import cache
from typing import Any

import optuna
from optuna.samplers import BaseSampler

from nasopt.samplers import Seeded, make_sampler
from nasopt.samplers.problem import Problem
from nasopt.space.fields import categorical, integer, real
from nasopt.space.layers import Conv, Dense
from nasopt.space.limits import Limit, macs, parameters
from nasopt.space.model import cost
from nasopt.space.space import Space, repeat
from nasopt.space.vectorized import Networks

INPUT_SHAPE, CLASSES = (1, 8, 8), 10
SPACE = Space(
    repeat(Conv(filters=categorical(4, 8), stride=categorical(1, 2)), 1, 3),
    Dense(width=integer(4, 32)),
).on(INPUT_SHAPE)
LIMITS = (parameters <= 600, macs <= 20_000)
SEED = 7


def problem(limits: tuple[Limit, ...] = ()) -> Problem:
    return Problem(
        search_space=SPACE.hyperparameters | {"recipe.lr": real(0.01, 1, log=True)},
        decode=SPACE.decode,
        cost=lambda architecture: cost(architecture, INPUT_SHAPE, CLASSES),
        limits=limits,
        trials=24,
        epochs=4,
        surveys=Networks(SPACE, CLASSES),
    )


def quality(params: dict[str, Any]) -> float:
    """Something to be learnt."""
    depth, width = params["conv.depth"], params["dense01.width"]
    return float(
        depth - abs(width - 20) / 20 + (params["conv01.filters"] == 8) - params["recipe.lr"]
    )


def suggest(trial: optuna.Trial) -> dict[str, Any]:
    for name, field in problem().search_space.items():
        field.suggest(trial, name)
    return trial.params


def driven(
    sampler: Callable[[], BaseSampler], trials: int, restart_every: int | None = None
) -> list[dict[str, Any]]:
    """The parameters of a study's trials, with a new sampler now and then."""
    storage = optuna.storages.InMemoryStorage()
    study = optuna.create_study(
        storage=storage, study_name="study", direction="maximize", sampler=sampler()
    )
    for number in range(trials):
        if restart_every and number % restart_every == 0:
            study = optuna.load_study(storage=storage, study_name="study", sampler=sampler())
        tell(study, study.ask())
    return [trial.params for trial in study.trials]


def tell(study: optuna.Study, trial: optuna.Trial) -> None:
    """End a trial as a worker does: without a value if it is beyond the limits."""
    params = suggest(trial)
    if isinstance(study.sampler, Seeded):
        limited = study.sampler.problem
        excesses = limited.violations(limited.cost(limited.decode(params)))
        for limit, excess in excesses.items():
            trial.set_constraint(limit, excess)
        if max(excesses.values(), default=0) > 0:
            study.tell(trial, state=optuna.trial.TrialState.PRUNED)
            return
    study.tell(trial, quality(params))


def length(name: str) -> int:
    """So many trials that it has left its random beginning; few where a trial takes a second."""
    return 14 if name == "gp" else 60 if name in ("nsga2", "evolution", "local") else 24


@cache
def suggestions(
    name: str, seed: int = SEED, limits: tuple[Limit, ...] = (), restart_every: int | None = None
) -> list[dict[str, Any]]:
    return driven(lambda: make_sampler(name, problem(limits), seed), length(name), restart_every)
