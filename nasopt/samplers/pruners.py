"""The pruners by name: name -> factory(epochs). Steps are epochs, from 1."""

import inspect
from collections.abc import Callable

import optuna
from optuna.pruners import (
    BasePruner,
    HyperbandPruner,
    MedianPruner,
    NopPruner,
    PercentilePruner,
    SuccessiveHalvingPruner,
)
from optuna.trial import FrozenTrial

from nasopt.errors import StudyError, closest
from nasopt.samplers.surrogate.pruner import SurrogatePruner


class QuarterPruner(PercentilePruner):
    """A pruner of the bottom quarter at each third of the epochs, once ten trials are complete.

    It is careful: early values that rank all networks well (Spearman .97) may rank the
    best fifth of them badly (.14), and then pruning the bottom half loses more than it saves. If a
    quarter were pruned after every epoch, it would soon be half.
    """

    def __init__(self, epochs: int) -> None:
        self.third = max(2, -(-epochs // 3))
        super().__init__(
            75.0, n_startup_trials=10, n_warmup_steps=self.third, interval_steps=self.third
        )

    def prune(self, study: optuna.Study, trial: FrozenTrial) -> bool:
        # Optuna's method reads the study before it looks at the step
        step = trial.last_step
        return step is not None and step % self.third == 0 and super().prune(study, trial)


# The resources are given: "auto" would depend on what a process has seen, and so differ after a
# restart.
PRUNERS: dict[str, Callable[[int], BasePruner]] = {
    "quarter": QuarterPruner,
    "median": lambda epochs: MedianPruner(n_startup_trials=5, n_warmup_steps=1),
    "halving": lambda epochs: SuccessiveHalvingPruner(min_resource=1, reduction_factor=3),
    "hyperband": lambda epochs: HyperbandPruner(
        min_resource=1, max_resource=epochs, reduction_factor=3
    ),
    "surrogate": SurrogatePruner,
    "none": lambda epochs: NopPruner(),
}


def make_pruner(pruner: str | BasePruner, epochs: int) -> BasePruner:
    """Return the pruner of that name, or that object; raise StudyError for an unknown name."""
    if isinstance(pruner, BasePruner):
        return pruner
    name = str(pruner).lower()
    if name not in PRUNERS:
        raise StudyError(f"pruner={pruner!r}: unknown; {closest(name, PRUNERS)}")
    return PRUNERS[name](epochs)


def pruner_name(pruner: str | BasePruner) -> str:
    """Return the pruner's name in small letters, or the class of an object with its settings."""
    if isinstance(pruner, str):
        return pruner.lower()
    settings = []
    for name in inspect.signature(type(pruner)).parameters:
        value = vars(pruner).get(f"_{name}")
        if value is not None:
            shown = pruner_name(value) if isinstance(value, BasePruner) else repr(value)
            settings.append(f"{name}={shown}")
    return f"{type(pruner).__name__}({', '.join(settings)})"
