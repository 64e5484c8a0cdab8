import optuna
import pytest
from optuna.trial import TrialState, create_trial

import nasopt
from nasopt import Conv, Dense, Experiment, Recipe, Space, categorical, integer, real, repeat
from nasopt.analysis.examples import examples
from nasopt.analysis.importance import importances
from nasopt.analysis.learning import (
    Epoch,
    LearningCurve,
    Savings,
    epoch_by_epoch,
    learning_curves,
    savings,
)
from nasopt.analysis.outcome import rank
from nasopt.analysis.record import Record, furthest_trained
from nasopt.space.fields import RandomTrial
from tests.examples import empty_study, small


def test_pruning_saves_what_the_pruned_networks_would_have_taken(tmp_path):
    study = nasopt.run(small(trials=9), sampler="one-epoch", storage=tmp_path / "x.db")
    found = savings([Record.of(study)])
    looked_at, trained = 6, 3  # 9 - sqrt(9) networks see one of two epochs, three of them the other
    assert found == Savings(
        trainings=6, pruned=3, broken=0, epochs=looked_at + trained, whole=6 * 2
    )
    assert found.share == 0.25


def planted_trials(*trials: tuple[TrialState, float, int, dict[str, object]]) -> Record:
    """A study of trainings of four epochs, with (state, accuracy, epochs, user attributes)."""
    study = empty_study("x/random/0", epochs=4)
    for state, value, epochs, attrs in trials:
        attrs = {"epochs": epochs, **attrs}
        values = None if state is TrialState.FAIL else [value]
        study.add_trial(create_trial(state=state, values=values, user_attrs=attrs))
    return Record.of(study)


COMPLETE, PRUNED, FAIL = TrialState.COMPLETE, TrialState.PRUNED, TrialState.FAIL


def test_a_training_that_went_wrong_or_failed_saves_nothing():
    study = planted_trials(
        (COMPLETE, 0.9, 4, {"key": "a"}),
        (PRUNED, 0.1, 1, {"key": "b", "reason": "pruned after epoch 1"}),
        (PRUNED, 0.1, 2, {"key": "c", "reason": "loss not finite in epoch 2"}),
        (PRUNED, 0.1, 0, {"key": "d", "reason": "out of memory on cuda:0; use a smaller one"}),
        (FAIL, 0.1, 0, {"key": "e"}),
    )
    assert savings([study]) == Savings(trainings=4, pruned=1, broken=2, epochs=7, whole=10)


def test_a_network_of_two_studies_is_one_with_a_training_in_each():
    trials = [(COMPLETE, 0.9, 4, {"key": "a"}), (COMPLETE, 0.5, 4, {"key": "b"})]
    one, two = planted_trials(*trials), planted_trials(trials[0], (FAIL, 0.1, 0, {"key": "c"}))
    assert len(furthest_trained([one, two])) == 2
    assert savings([one, two]).trainings == 3


def test_examples_are_different_networks_and_of_equals_the_one_of_least_work():
    study = planted_trials(
        (COMPLETE, 0.9, 4, {"key": "a", "macs": 300}),
        (COMPLETE, 0.9, 4, {"key": "b", "macs": 100}),
        (COMPLETE, 0.5, 4, {"key": "c", "macs": 100}),
    )
    again = planted_trials((COMPLETE, 0.9, 4, {"key": "b", "macs": 100}))
    found = examples([study, again])
    keys = [each.attributes["key"] for each in (found.best, found.median, found.worst)]
    assert (found.complete, keys) == (3, ["b", "a", "c"])
    assert rank(study.trials[1]) < rank(study.trials[0]) < rank(study.trials[2])


def test_epochs_are_summed_up_over_the_networks_that_got_there():
    curves = [
        LearningCurve("x", 0, False, (1, 2), (0.2, 0.6)),
        LearningCurve("x", 1, True, (1,), (0.1,)),
        LearningCurve("x", 2, False, (1, 2), (0.3, 0.4)),
    ]
    assert epoch_by_epoch(curves) == [Epoch(1, 3, 0.3, 0.2, 0.1), Epoch(2, 2, 0.6, 0.5, 0.4)]


def test_every_trial_that_counts_has_its_curve(tmp_path):
    study = nasopt.run(small(), sampler="random", storage=tmp_path / "x.db", device="cpu")
    study.enqueue_trial(study.trials[0].params)
    counted = [trial for trial in study.trials if "key" in trial.user_attrs]
    curves = learning_curves([Record.of(study)])
    assert [curve.number for curve in curves] == [trial.number for trial in counted]
    assert [dict(zip(c.steps, c.accuracies, strict=True)) for c in curves] == [
        trial.intermediate_values for trial in counted
    ]


def test_best_middle_and_worst_are_of_the_networks_trained_to_their_end(tmp_path, macro):
    study = nasopt.run(
        Experiment.on_benchmark(macro, trials=25), sampler="random", storage=tmp_path / "x.db"
    )
    found = examples([Record.of(study)])
    values = sorted(trial.value for trial in study.trials if "free" not in trial.user_attrs)
    ends = (found.worst.accuracy, found.median.accuracy, found.best.accuracy)
    assert ends == (values[0], values[12], values[-1])


def test_importances_add_up_by_kind_and_by_place(tmp_path, macro):
    study = nasopt.run(
        Experiment.on_benchmark(macro, trials=40), sampler="random", storage=tmp_path / "x.db"
    )
    found = importances([Record.of(study)])
    theirs = optuna.importance.get_param_importances(
        study, evaluator=optuna.importance.PedAnovaImportanceEvaluator()
    )
    if not any("free" in trial.user_attrs for trial in study.trials):
        assert {name: round(each, 9) for name, each in found.shares.items()} == {
            name: round(each, 9) for name, each in theirs.items()
        }
    assert abs(sum(found.by_place.values()) - 1) < 1e-9
    assert list(found.by_kind) == ["layer"]


def test_importances_are_those_that_optuna_has_whatever_the_kind_of_field(tmp_path):
    recipe = Recipe(epochs=1, lr=real(0.01, 0.1, log=True), label_smoothing=real(0.0, 0.2))
    space = Space(
        repeat(Conv(filters=integer(2, 62, 4), stride=categorical(1, 2), kernel_size=3), 1, 3),
        repeat(Dense(width=integer(4, 400)), 1),
    )
    experiment = small(space=space, recipe=recipe, trials=1)
    study = nasopt.run(experiment, sampler="random", storage=tmp_path / "x.db", device="cpu")
    (first,) = study.trials
    dice = RandomTrial(0)
    for _ in range(120):
        params = {name: f.suggest(dice, name) for name, f in Record.of(study).search_space.items()}
        good = params["dense01.width"] / 400 - params["recipe.lr"] + params["conv02.filters"] / 60
        study.add_trial(
            create_trial(
                params=params,
                distributions=first.distributions,
                value=good,
                user_attrs=first.user_attrs,
            )
        )
    found = importances([Record.of(study)])
    theirs = optuna.importance.get_param_importances(
        study, evaluator=optuna.importance.PedAnovaImportanceEvaluator()
    )
    assert found.shares == pytest.approx(theirs)
    assert max(found.shares, key=found.shares.get) == "dense01.width"


def test_a_few_networks_have_no_importances(tmp_path):
    study = nasopt.run(small(trials=3), storage=tmp_path / "x.db", device="cpu")
    assert importances([Record.of(study)]) is None
