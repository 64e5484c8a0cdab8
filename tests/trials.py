"""The trials of a study, as tests compare them."""

import optuna


def told(study: optuna.Study) -> list[tuple]:
    """What a reader of the study sees, but for times."""
    return [
        (t.number, t.state.name, t.params, t.values, t.intermediate_values, t.user_attrs.get("key"))
        for t in study.get_trials(deepcopy=False)
    ]


def counted(study: optuna.Study) -> list[optuna.trial.FrozenTrial]:
    return [trial for trial in study.trials if "free" not in trial.user_attrs]
