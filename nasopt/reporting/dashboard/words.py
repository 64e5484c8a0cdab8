"""`InWords`: a database as pages show it, with lines to read where the attributes are JSON."""

from collections.abc import Container, Mapping
from typing import Any

from optuna.trial import FrozenTrial, TrialState

from nasopt.analysis.record import Record
from nasopt.reporting.captions import outline, pairs, size_in_words, training
from nasopt.reporting.dashboard.view import View
from nasopt.storage.attributes import EXPERIMENT, LIMITS, PREDICTION, VERSIONS
from nasopt.storage.record import is_begun, prediction_of
from nasopt.text import accuracy, listed
from nasopt.training.metrics import in_words

DIGITS = 4  # of an accuracy, or of seconds
FEW = 4  # parts of a recipe, the main ones: a card of optuna-dashboard's is that wide


class InWords(View):
    """The database for pages, to be looked at only: a copy of it would lose the stored values."""

    def get_all_studies(self) -> list[Any]:
        studies = super().get_all_studies()
        for study in studies:
            if is_begun(study.user_attrs):
                study.user_attrs = study_words(study.study_name, study.user_attrs)
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


def study_words(name: str, attrs: Mapping[str, Any]) -> dict[str, Any]:
    """Return the attributes of a study of nasopt's: its space and method, a line each."""
    study = Record.from_attrs(name, attrs, trials=())
    known = {key: value for key, value in attrs.items() if key != EXPERIMENT}
    known[LIMITS] = ", ".join(study.limits) or "none"
    known["features"] = ", ".join(study.features) or "none"
    known[VERSIONS] = pairs(study.versions)
    used = [(name, value) for name, value in study.experiment.recipe.items() if value]
    return {
        "data": study.experiment.dataset,
        "networks": outline(study),
        "possible networks": size_in_words(study),
        "training": training(dict(used[:FEW])),
        "training, the rest": training(dict(used[FEW:])),
        **{key: "none" if value is None else value for key, value in known.items()},
        "looked for": listed([*map(in_words, study.objectives)]),
        "training seed": study.experiment.seed,
    }


def trial_words(attrs: Mapping[str, Any]) -> dict[str, Any]:
    """Return the attributes of a trial; the model's expectation of it comes first."""
    prediction = prediction_of(attrs)
    known = {
        key: round(value, DIGITS) if isinstance(value, float) else value
        for key, value in attrs.items()
        if key != PREDICTION or prediction is None
    }
    if prediction is None:
        return known
    expected, low, high = map(accuracy, (prediction.expected, prediction.low, prediction.high))
    near = [
        f"trial {each.trial} ({accuracy(each.value) or 'failed'})" for each in prediction.nearest
    ]
    weights = [f"{name} {share:.0%}" for name, share in prediction.weights.items()]
    return {
        "expected": f"{expected}, 95 % from {low} to {high}",
        "most alike": listed(near),
        "goes by": listed(weights),
        **known,
    }
