"""`InWords`: a database as pages show it, with lines to read where the attributes are JSON."""

from collections.abc import Container, Mapping
from typing import Any

from optuna.trial import FrozenTrial, TrialState

from nasopt.analysis.record import Record
from nasopt.reporting.captions import outline, pairs, size_in_words, training
from nasopt.reporting.dashboard.view import View
from nasopt.storage.own_trials import belief_of
from nasopt.storage.rdb import EXPERIMENT, LAST
from nasopt.text import accuracy, listed

DIGITS = 4  # of an accuracy, or of seconds
FEW = 4  # parts of a recipe, the main ones: a card of optuna-dashboard's is that wide


class InWords(View):
    """The database for pages, to be looked at only: a copy of it would lose the stored values."""

    def get_all_studies(self) -> list[Any]:
        studies = super().get_all_studies()
        for study in studies:
            if {EXPERIMENT, LAST} <= study.user_attrs.keys():
                study.user_attrs = study_words(Record(study.study_name, study.user_attrs, ()))
        return studies

    def get_all_trials(
        self,
        study_id: int,
        deepcopy: bool = True,
        states: Container[TrialState] | None = None,
    ) -> list[FrozenTrial]:
        return [_in_words(trial) for trial in super().get_all_trials(study_id, deepcopy, states)]

    def get_trial(self, trial_id: int) -> FrozenTrial:
        return _in_words(super().get_trial(trial_id))


def _in_words(trial: FrozenTrial) -> FrozenTrial:
    trial.user_attrs = trial_words(trial.user_attrs)
    return trial


def study_words(study: Record) -> dict[str, Any]:
    """Return the attributes of a study of nasopt's: its space and method, a line each."""
    begun = study.attrs[EXPERIMENT]
    known = {key: value for key, value in study.attrs.items() if key != EXPERIMENT}
    known["limits"] = ", ".join(study.limits) or "none"
    known[LAST] = pairs(known[LAST])
    used = [(name, value) for name, value in begun["recipe"].items() if value]
    return {
        "data": str(begun["dataset"]),
        "networks": outline(study),
        "possible networks": size_in_words(study),
        "training": training(dict(used[:FEW])),
        "training, the rest": training(dict(used[FEW:])),
        **{key: "none" if value is None else value for key, value in known.items()},
        "looked for": listed(study.objectives),
        "training seed": begun["seed"],
    }


def trial_words(attrs: Mapping[str, Any]) -> dict[str, Any]:
    """Return the attributes of a trial; the model's expectation of it comes first."""
    prediction = belief_of(attrs)
    known = {
        key: round(value, DIGITS) if isinstance(value, float) else value
        for key, value in attrs.items()
        if key != "belief" or prediction is None
    }
    if prediction is None:
        return known
    expected, low, high = (accuracy(prediction[name]) for name in ("expected", "low", "high"))
    near = [
        f"trial {each['trial']} ({accuracy(each['value']) or 'failed'})"
        for each in prediction["nearest"]
    ]
    weights = [f"{name} {share:.0%}" for name, share in prediction["weights"].items()]
    return {
        "expected accuracy": f"{expected}, 95 % from {low} to {high}",
        "most alike": listed(near),
        "goes by": listed(weights),
        **known,
    }
