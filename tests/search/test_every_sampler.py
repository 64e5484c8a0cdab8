"""Every sampler by name on every kind of open field, from an empty study: in full, and resumed."""

from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from functools import cache
from typing import Any

import optuna
import pytest
from optuna.pruners import MedianPruner
from optuna.trial import TrialState

from nasopt import (
    Conv,
    Dense,
    Experiment,
    Pool,
    Recipe,
    Space,
    categorical,
    integer,
    macs,
    parameters,
    real,
    repeat,
)
from nasopt.data import digits
from nasopt.errors import Unsuitable
from nasopt.samplers import SAMPLERS
from nasopt.search.evaluator import Evaluator
from nasopt.search.search import Search
from nasopt.space.layers import CONV_OPS
from nasopt.storage.record import reports_of
from tests.space.blocks_of_a_user import OPEN

TRIALS = 4
STEM = Conv(filters=4, stride=2)
OPS = categorical(*CONV_OPS)
NORM = categorical("batch", "group", "none")
DIGITS = digits(limit=100)
LIMITS = (parameters <= 600, macs <= 20_000)
TWO = ("accuracy", "macs")
EAGER = MedianPruner(n_startup_trials=1, n_warmup_steps=0)
FOR_ONE = ("one-epoch", "evolution", "local")
RESUMED = ("conv.op alone", "mixed", "own blocks")  # of the kinds below

Kind = tuple[Space, dict[str, Any]]  # and the open fields of the recipe

KINDS: dict[str, Kind] = {
    "conv.op alone": (Space(Conv(filters=4, stride=2, op=OPS)), {}),
    "conv.op": (Space(repeat(Conv(filters=categorical(2, 4), stride=2, op=OPS), 2)), {}),
    "conv.activation and norm": (
        Space(
            repeat(
                Conv(filters=4, stride=2, activation=categorical("relu", "silu"), norm=NORM), 1, 2
            )
        ),
        {},
    ),
    "conv depth": (Space(repeat(Conv(filters=4, stride=2), 1, 6)), {}),
    "pool.op": (Space(STEM, repeat(Pool(op=categorical("max", "average")), 0, 2)), {}),
    "pool.kernel_size": (Space(STEM, Pool(kernel_size=categorical(1, 2, 4))), {}),
    "dense width and depth": (Space(STEM, repeat(Dense(width=integer(4, 12)), 0, 2)), {}),
    "integers": (Space(Conv(filters=integer(2, 8, 2), stride=integer(1, 3))), {}),
    "recipe alone": (Space(STEM), {"lr": real(1e-3, 1, log=True)}),
    "recipe": (
        Space(Conv(filters=categorical(2, 4), stride=2)),
        {
            "lr": real(1e-3, 1, log=True),
            "weight_decay": real(0, 1e-3),
            "batch_size": categorical(32, 64),
            "shift": integer(0, 1),
            "crop": real(0.5, 1),
            "jitter": categorical(0.0, 0.2),
            "cutout": integer(0, 2),
        },
    ),
    "one value": (
        Space(Conv(filters=categorical(4), stride=integer(2, 2), op=categorical("separable"))),
        {"lr": real(0.1, 0.1)},
    ),
    "own blocks": (Space(*OPEN[:2], Conv(filters=2), repeat(OPEN[2], 0, 1)), {}),
    "one value beside others": (
        Space(repeat(Conv(filters=categorical(4), op=OPS, stride=categorical(1, 2)), 1, 2)),
        {},
    ),
    "mixed": (
        Space(
            repeat(Conv(filters=categorical(2, 4), kernel_size=categorical(1, 3), op=OPS), 1, 2),
            Pool(kernel_size=integer(1, 2), op=categorical("max", "average")),
            repeat(Dense(width=integer(4, 12)), 0, 2),
        ),
        {"lr": real(1e-3, 1, log=True), "label_smoothing": categorical(0.0, 0.1)},
    ),
}


def experiment_on(kind: str, **fields: Any) -> Experiment:
    space, recipe = KINDS[kind]
    return Experiment(
        dataset=DIGITS,
        space=space,
        recipe=Recipe(epochs=2, **{"batch_size": 64, **recipe}),
        trials=TRIALS,
        **fields,
    )


@pytest.fixture(scope="module")
def evaluator_of(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Evaluator]:
    """One for each kind, whose studies share a database: a network is trained once."""
    folder = tmp_path_factory.mktemp("studies")
    return cache(lambda kind: Evaluator(experiment_on(kind), folder / f"{kind}.db", "cpu"))


Told = list[tuple[Any, ...]]


def searched(search: Search, until: int | None = None) -> Told:
    """What its study has in the end, or where trial `until` was stopped after an epoch."""
    with closing(iter(search)) as running:
        for progress in running:
            if progress.number == until and progress.epoch == 1:
                break
    study = optuna.load_study(study_name=search._study.study_name, storage=search.storage)
    return [
        (t.number, t.state, t.params, t.values, reports_of(t), t.user_attrs["key"])
        for t in study.get_trials(deepcopy=False)
    ]


def check_ends(sampler: str, evaluator: Evaluator, experiment: Experiment) -> Told:
    search = Search(experiment, sampler=sampler, evaluator=evaluator)
    told = searched(search)
    assert {state for _, state, *_ in told} <= {TrialState.COMPLETE, TrialState.PRUNED}
    assert all([*params] == [*experiment.hyperparameters] for _, _, params, *_ in told)
    assert search.counts.done == TRIALS or search.ended
    return told


def check_resumes(sampler: str, evaluator: Evaluator, whole: Experiment) -> None:
    parts = replace(whole, name=f"{whole.name} in parts")
    searched(Search(parts, sampler=sampler, evaluator=evaluator), until=1)
    assert check_ends(sampler, evaluator, parts) == check_ends(sampler, evaluator, whole)


@pytest.mark.parametrize("sampler", SAMPLERS)
@pytest.mark.parametrize("kind", KINDS)
def test_a_study_runs_to_its_end(evaluator_of, kind, sampler):
    check_ends(sampler, evaluator_of(kind), experiment_on(kind))


@pytest.mark.parametrize("sampler", SAMPLERS)
@pytest.mark.parametrize("kind", RESUMED)
def test_a_study_in_two_parts_is_the_same_as_in_one(evaluator_of, kind, sampler):
    check_resumes(sampler, evaluator_of(kind), experiment_on(kind))


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_so_it_is_within_limits(evaluator_of, sampler):
    limited = experiment_on("mixed", limits=LIMITS, name="limited")
    check_resumes(sampler, evaluator_of("mixed"), limited)


@pytest.mark.parametrize("sampler", [name for name in SAMPLERS if name not in FOR_ONE])
def test_so_it_is_with_two_objectives(evaluator_of, sampler):
    two = experiment_on("mixed", objectives=TWO, name="two", pruner=EAGER)
    check_resumes(sampler, evaluator_of("mixed"), two)


@pytest.mark.parametrize("sampler", FOR_ONE)
def test_a_sampler_that_cannot_do_with_two_objectives_says_so(evaluator_of, sampler):
    two = experiment_on("mixed", objectives=TWO, name="two")
    with pytest.raises(Unsuitable, match="objective"):
        Search(two, sampler=sampler, evaluator=evaluator_of("mixed"))
