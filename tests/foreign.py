"""Trials of plain Optuna in a study of nasopt's: whatever a person can do to an ordinary study."""

import math
from typing import Any

import optuna
from optuna.distributions import FloatDistribution
from optuna.trial import TrialState, create_trial

STRANGE: tuple[dict[str, Any], ...] = (  # user attributes by the names that nasopt uses
    {"key": 7, "epochs": "many", "seconds": [1], "parameters": {"a": 1}, "macs": "few"},
    {"key": "mine", "device": ["cpu"], "reason": None, "belief": "a little", "infeasible": 3},
    {"key": "mine", "belief": {"expected": 1.0}, "repeat_of": "2", "draws": None},
    {"free": "of charge"},
)


def add_foreign(study: optuna.Study) -> int:
    """Add every kind of finished trial that there is: how many it is left out of."""
    before = len(study.get_trials(deepcopy=False))
    own = next(trial for trial in study.trials if trial.state is TrialState.COMPLETE)
    whole: dict[str, Any] = {"params": own.params, "distributions": own.distributions}
    name = next(iter(own.params))
    part = {
        "params": {name: own.params[name]},
        "distributions": {name: own.distributions[name]},
    }
    other = {"params": {"x": 0.5}, "distributions": {"x": FloatDistribution(0, 1)}}
    best = [1e9, *(0.0 for _ in study.directions[1:])]
    for params in (whole, part, other, {}):
        study.add_trial(create_trial(values=best, **params))
        study.add_trial(create_trial(state=TrialState.PRUNED, **params))
        for attrs in STRANGE:
            study.add_trial(create_trial(values=best, user_attrs=attrs, **params))
    for params in (part, other):  # with all that our own trials have, but for their parameters
        study.add_trial(create_trial(values=best, user_attrs=own.user_attrs, **params))
    infinite = [math.inf for _ in study.directions]
    study.add_trial(create_trial(values=infinite, user_attrs=own.user_attrs, **whole))
    for attrs in STRANGE[:3]:
        study.add_trial(create_trial(state=TrialState.FAIL, user_attrs=attrs, **whole))
    added = study.get_trials(deepcopy=False)[before:]
    study.add_trial(create_trial(state=TrialState.FAIL))  # tells nothing but that
    study.enqueue_trial({"x": 0.5})
    study.ask()
    return len(added)
