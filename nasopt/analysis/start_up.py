"""The number of trials that a sampler needs before it is more than random sampling."""

import inspect

from optuna.samplers import BaseSampler, GPSampler, NSGAIISampler, TPESampler

# As `nasopt.samplers` has them, which imports torch.
POPULATION = 20  # of regularized evolution
FIRST = 5  # of the surrogate


def _default(sampler: type[BaseSampler], argument: str) -> int:
    return int(inspect.signature(sampler.__init__).parameters[argument].default)


START_UP = {
    "tpe": _default(TPESampler, "n_startup_trials"),
    "tpe-univariate": _default(TPESampler, "n_startup_trials"),
    "gp": _default(GPSampler, "n_startup_trials"),
    "nsga2": _default(NSGAIISampler, "population_size"),
    "evolution": POPULATION,
    "surrogate": FIRST,
}


def start_up(sampler: str | BaseSampler) -> int:
    """Return how many first trials of a study `sampler` draws at random; 0 if it is not known.

    The surrogate spreads them out.
    """
    if isinstance(sampler, str):
        return START_UP.get(sampler, 0)
    names = ("_n_startup_trials", "_population_size")  # where Optuna keeps them
    return next((int(vars(sampler)[name]) for name in names if name in vars(sampler)), 0)
