"""`SurrogatePruner`: what will not reach the best, by its curve and by a model of its network."""

import math

import numpy as np
import optuna
import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution
from optuna.trial import FrozenTrial, TrialState, create_trial

import nasopt
from nasopt import Recipe
from nasopt.samplers.surrogate.pruner import SurrogatePruner, expected_value
from tests.examples import small
from tests.trials import told

SPACE = {"size": FloatDistribution(0, 1), "op": CategoricalDistribution(["a", "b"])}


def complete(size: float, early: float, late: float, **attrs: int) -> FrozenTrial:
    return create_trial(
        value=late,
        params={"size": size, "op": "a"},
        distributions=SPACE,
        intermediate_values={3: early, 6: (early + late) / 2, 9: late},
        user_attrs=attrs,
    )


def study_of(trials: list[FrozenTrial], direction: str = "maximize", epochs: int = 9):
    study = optuna.create_study(direction=direction, pruner=SurrogatePruner(epochs))
    study.add_trials(trials)
    return study


def is_pruned(study: optuna.Study, size: float, *values: float) -> bool:
    study.enqueue_trial({"size": size, "op": "a"})  # else the sampler draws "op", "b" at times
    trial = study.ask(SPACE)
    for step, value in enumerate(values, 1):
        trial.report(value, step=step)
    answer = trial.should_prune()
    study.tell(trial, state=TrialState.FAIL)
    return answer


# where early values tell all: the final one is .2 higher
TELLING = [complete(0.5, n / 20, 0.2 + n / 20) for n in range(12)]
# where they tell nothing, and the size of the network all
OF_SIZE = [complete(n / 12, 0.5, 0.6 + n / 40) for n in range(12)]


@pytest.mark.parametrize("direction", ["maximize", "minimize"])
def test_what_is_far_behind_where_curves_tell_is_pruned_and_what_leads_is_not(direction):
    sign = 1 if direction == "maximize" else -1
    mirrored = [
        complete(0.5, sign * t.intermediate_values[3], sign * float(t.value or 0)) for t in TELLING
    ]
    study = study_of(mirrored, direction)
    assert is_pruned(study, 0.5, 0, 0, sign * 0.05)
    assert not is_pruned(study, 0.5, 0, 0, sign * 0.6)


def test_of_equal_curves_the_network_decides():
    study = study_of(OF_SIZE)
    assert is_pruned(study, 0.05, 0, 0, 0.5)
    assert not is_pruned(study, 1.0, 0, 0, 0.5)


def test_where_nothing_tells_anything_nothing_is_pruned():
    dice = np.random.default_rng(0)
    noise = [complete(*dice.uniform(0, 1, 3).tolist()) for _ in range(30)]
    study = study_of(noise)
    assert not any(is_pruned(study, size, 0, 0, 0.5) for size in (0.1, 0.5, 0.9))


def test_it_is_asked_at_thirds_and_after_ten_complete_trials():
    study = study_of(TELLING)
    assert [is_pruned(study, 0.5, *[0.05] * steps) for steps in (1, 2, 3, 4, 5)] == [
        *(False, False, True, False, False)
    ]
    assert not is_pruned(study_of(TELLING[:9]), 0.5, 0, 0, 0.05)
    assert is_pruned(study_of([*TELLING[:9], TELLING[-1]]), 0.5, 0, 0, -0.5)


def test_a_value_that_is_no_number_is_pruned_and_those_of_others_are_left_aside():
    broken = [complete(0.5, math.inf, 0.1), complete(0.5, 0.1, math.inf)]
    study = study_of([*TELLING, *broken])
    assert is_pruned(study, 0.5, 0, 0, math.inf)
    assert not is_pruned(study, 0.5, 0, 0, 0.6)


def test_the_size_of_networks_is_looked_at_where_all_have_one():
    sized = [complete(0.5, 0.5, 0.6 + n / 40, macs=10 ** (n % 12 + 1)) for n in range(12)]
    study = study_of(sized)
    answers = []
    for macs in (10, 10**12, "many"):
        study.enqueue_trial({"size": 0.5, "op": "a"})
        trial = study.ask(SPACE)
        trial.set_user_attr("macs", macs)
        trial.report(0.5, step=3)
        answers.append(trial.should_prune())
        study.tell(trial, state=TrialState.FAIL)
    assert answers == [True, False, False]


def test_what_is_expected_has_the_unit_of_the_values():
    early = np.array([1.0, 2, 3, 4, 5, 6]) * 100
    mean, deviation = expected_value(np.zeros((6, 1)), np.zeros(1, int), early, early[:5] + 50)
    assert mean == pytest.approx(650, abs=20)
    assert 0 < deviation < 60


def test_a_search_with_it_goes_on_as_if_it_had_not_stopped(tmp_path):
    experiment = small(recipe=Recipe(epochs=6, batch_size=32), trials=24, pruner="surrogate")
    given = {"sampler": "random", "device": "cpu"}
    nasopt.run(experiment, **given, storage=tmp_path / "x.db", trials=14)
    parts = nasopt.run(experiment, **given, storage=tmp_path / "x.db")
    whole = nasopt.run(experiment, **given, storage=tmp_path / "y.db")
    assert told(parts) == told(whole)
    assert TrialState.PRUNED in {trial.state for trial in whole.trials}


@pytest.mark.parametrize("scale", [1e300, 1e-300])
@pytest.mark.parametrize(
    "size", [FloatDistribution(0, 1), FloatDistribution(1e-300, 1e300, log=True)]
)
def test_numbers_of_any_size_end_no_study(scale, size):
    study = optuna.create_study(direction="maximize", pruner=SurrogatePruner(9))

    def objective(trial: optuna.Trial) -> float:
        trial._suggest("size", size)
        quality = trial.number * 13 % 20 / 20 * scale
        for epoch in range(1, 10):
            trial.report(quality, step=epoch)
            if trial.should_prune():
                raise optuna.TrialPruned
        return quality

    study.optimize(objective, n_trials=20)
    assert study.best_value == 0.95 * scale


@pytest.mark.parametrize("big", [1e3, 1e15, 1e155])
@pytest.mark.parametrize("late", [0.3, None])
def test_a_loss_that_exploded_hides_no_difference_between_the_others(big, late):
    losses = [complete(0.5, 0.7 + n / 20, 0.3 + n / 20) for n in range(20)]
    exploded = complete(0.5, big, big if late is None else late)
    study = study_of([*losses, exploded], "minimize")
    assert [is_pruned(study, 0.5, 1, 1, early) for early in (0.5, 0.7, 1.6)] == [False, False, True]


@pytest.mark.parametrize("value", [0.1, 97.3, 1 / 3])
def test_values_that_are_all_alike_say_nothing_of_small_differences(value):
    study = study_of([complete(n / 11, value, value) for n in range(11)])
    assert not any(is_pruned(study, 0.5, 0, 0, value - less) for less in (0, 1e-9, 0.01))


def test_choices_that_there_are_no_longer_end_no_study():
    now = create_trial(
        state=TrialState.RUNNING,
        params={"op": "c"},
        distributions={"op": CategoricalDistribution(["c", "d"])},
        intermediate_values={3: 0.05},
    )
    assert SurrogatePruner(9).prune(study_of(TELLING), now)
