"""`Problem`: the facts that a sampler may know before the search."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)

from nasopt.space.fields import Categorical, Integer, Open
from nasopt.space.limits import COSTS, Limit
from nasopt.space.model import Cost
from nasopt.space.vectorized import Surveys
from nasopt.training.evaluation import HasKey


@dataclass(frozen=True)
class Problem:
    """The parameters of a study, the network that their values stand for, and its cost.

    `objectives` are what is sought, from the second on quantities of a cost; `directions` are
    Optuna's "maximize" or "minimize", one for each objective. A study ends after `trials`, or, if
    `epochs_budget` is given, once it has trained for so many epochs; a whole training has `epochs`.
    `has_time_budget` says that a run ends by the clock, `knows_seconds` that trials tell how long
    their trainings took.
    `costs` are the quantities of a cost that are known: a table may lack some, which are None then.
    `surveys`, if given, survey many networks at once, as `decode` and `cost` do a single one.
    """

    search_space: Mapping[str, Open]
    decode: Callable[[Mapping[str, Any]], HasKey]
    cost: Callable[[HasKey], Cost]
    limits: tuple[Limit, ...] = ()
    objectives: Sequence[str] = ("accuracy",)
    directions: Sequence[str] = ("maximize",)
    trials: int = 50
    epochs: int = 1
    epochs_budget: int | None = None
    has_time_budget: bool = False
    knows_seconds: bool = True
    costs: Sequence[str] = COSTS
    surveys: Surveys | None = None

    @cached_property
    def distributions(self) -> dict[str, BaseDistribution]:
        """The parameters as Optuna's distributions, in order."""
        return {name: _distribution(field) for name, field in self.search_space.items()}

    @property
    def known_limits(self) -> tuple[Limit, ...]:
        """The limits that nothing has to be measured for."""
        return tuple(limit for limit in self.limits if not limit.is_measured)

    def violations(self, cost: Cost) -> dict[str, float]:
        """Return for each limit the share by which `cost` exceeds it; at most 0 if it does not."""
        return {str(limit): limit.violation(cost) for limit in self.limits}


def _distribution(field: Open) -> BaseDistribution:
    if isinstance(field, Categorical):
        return CategoricalDistribution(field.choices)
    if isinstance(field, Integer):
        return IntDistribution(field.low, field.high, step=field.step)
    return FloatDistribution(field.low, field.high, log=field.log)
