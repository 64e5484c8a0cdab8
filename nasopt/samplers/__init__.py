"""The samplers by name, as the command line knows them.

A sampler is one line here: name -> factory(problem, seed). The seed is that of the study; `Seeded`
derives one for each trial from it.
"""

import copy
from collections.abc import Callable

import optuna
from optuna.samplers import BaseSampler

from nasopt.errors import StudyError, closest
from nasopt.samplers.baselines.evolution import RegularizedEvolution
from nasopt.samplers.baselines.largest import largest
from nasopt.samplers.baselines.local import LocalSearch
from nasopt.samplers.baselines.one_epoch import one_epoch
from nasopt.samplers.naming import GivenSampler, check_given, sampler_name, unnamed
from nasopt.samplers.problem import Problem
from nasopt.samplers.seeding import Seeded
from nasopt.samplers.stateless import StatelessSampler
from nasopt.samplers.surrogate.sampler import SurrogateSampler
from nasopt.samplers.tpe import RememberingTPESampler

Factory = Callable[[Problem, int], BaseSampler]

SAMPLERS: dict[str, Factory] = {
    "random": lambda problem, seed: optuna.samplers.RandomSampler(seed=seed),
    "tpe": lambda problem, seed: RememberingTPESampler(seed=seed),
    "tpe-univariate": lambda problem, seed: RememberingTPESampler(seed=seed, multivariate=False),
    "gp": lambda problem, seed: optuna.samplers.GPSampler(seed=seed),
    "nsga2": lambda problem, seed: optuna.samplers.NSGAIISampler(seed=seed),
    "largest": largest,
    "one-epoch": one_epoch,
    "evolution": lambda problem, seed: RegularizedEvolution(problem=problem, seed=seed),
    "local": lambda problem, seed: LocalSearch(problem=problem, seed=seed),
    "surrogate": lambda problem, seed: SurrogateSampler(problem=problem, seed=seed),
}


def make_sampler(sampler: GivenSampler, problem: Problem, seed: int) -> Seeded:
    """Return the sampler of that name, or a pristine copy of that object, seeded trial by trial.

    An object of nasopt's that has no problem of its own is told this one, as by its name.

    Raises StudyError for an unknown name, a seed that is no whole number from 0, or a sampler that
    cannot handle the problem.
    """
    if type(seed) is not int or not 0 <= seed < 2**32:
        raise StudyError(f"seed={seed!r}: use a whole number from 0 to {2**32 - 1}")
    check_given(sampler, SAMPLERS)
    inner = unnamed(sampler)
    if isinstance(inner, BaseSampler):
        pristine = copy.deepcopy(inner)
        return Seeded(lambda: _copy(pristine, problem), problem, seed)
    name = str(inner).lower()
    if name not in SAMPLERS:
        raise StudyError(f"sampler={inner!r}: unknown; {closest(name, SAMPLERS)}")
    factory = SAMPLERS[name]
    return Seeded(lambda: factory(problem, seed), problem, seed)


def _copy(pristine: BaseSampler, problem: Problem) -> BaseSampler:
    sampler = copy.deepcopy(pristine)
    if isinstance(sampler, StatelessSampler) and not sampler.has_problem:
        sampler.take(problem)
    return sampler


__all__ = [
    "SAMPLERS",
    "Factory",
    "GivenSampler",
    "LocalSearch",
    "RegularizedEvolution",
    "Seeded",
    "SurrogateSampler",
    "make_sampler",
    "sampler_name",
]
