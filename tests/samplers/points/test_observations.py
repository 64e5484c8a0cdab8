"""Observations: trials of every state as numbers for a model."""

import math

import numpy as np
import pytest
from optuna.distributions import FloatDistribution
from optuna.trial import FrozenTrial, TrialState, create_trial

from nasopt.samplers.points.observations import PRUNED_NOISE, normal_scores, observe, winsorised


def trials(*each: FrozenTrial) -> list[FrozenTrial]:
    for number, trial in enumerate(each):
        trial.number = number
    return list(each)


def trial(
    value: float | None,
    reports: dict[int, float] | None = None,
    state: TrialState = TrialState.COMPLETE,
    constraint: float = 0.0,
) -> FrozenTrial:
    return create_trial(
        state=state,
        value=value,
        params={"x": 0.5},
        distributions={"x": FloatDistribution(0, 1)},
        intermediate_values=reports or {},
        constraints={"c": constraint},
    )


def pruned(reports: dict[int, float]) -> FrozenTrial:
    return trial(None, reports, TrialState.PRUNED)


def test_complete_trials_have_their_values_and_the_higher_is_the_better():
    told = trials(trial(3), trial(-1))
    assert observe(told, 1).values.tolist() == [3, -1]
    assert observe(told, -1).values.tolist() == [-3, 1]
    assert observe(told, 1).noise.tolist() == [1, 1]


def test_what_failed_or_broke_a_constraint_is_as_bad_as_the_worst():
    told = trials(trial(3), trial(None, state=TrialState.FAIL), trial(9, constraint=0.1), trial(1))
    assert observe(told, 1).values.tolist() == [3, 1, 1, 1]
    assert observe(told, -1).values.tolist() == [-3, -3, -3, -1]


def test_a_pruned_trial_is_worth_what_its_report_led_to_elsewhere():
    """Final values 2 higher than at step 1: the line has the slope 1, as that it is shrunk to."""
    complete = [trial(v + 2, {1: v, 2: v + 2}) for v in (0.0, 1.0, 2.0, 5.0)]
    told = trials(*complete, pruned({1: 3.0}))
    assert observe(told, 1).values[-1] == pytest.approx(5)
    assert observe(told, 1).noise.tolist() == [1, 1, 1, 1, PRUNED_NOISE]
    mirrored = trials(*(trial(-v - 2, {1: -v}) for v in (0, 1, 2, 5)), pruned({1: -3.0}))
    assert observe(mirrored, -1).values[-1] == pytest.approx(5)


def test_the_line_is_shrunk_to_slope_one_and_never_falls():
    steep = [trial(3 * v, {1: v}) for v in (0.0, 1.0, 2.0, 3.0, 4.0)]
    slope = (5 * 3 + 5 * 1) / 10
    assert observe(trials(*steep, pruned({1: 5.0})), 1).values[-1] == pytest.approx(6 + 3 * slope)
    falling = [trial(-10 * v, {1: v}) for v in (0.0, 1.0, 2.0)]
    assert observe(trials(*falling, pruned({1: 3.0})), 1).values[-1] == pytest.approx(-10 + 2 * 0.3)


@pytest.mark.parametrize(
    "reports", [{}, {2: 9.0}, {1: math.nan}, {1: math.inf}], ids=["none", "alone", "nan", "inf"]
)
def test_a_pruned_trial_that_cannot_be_placed_is_as_bad_as_the_worst(reports):
    complete = [trial(v, {1: v}) for v in (1.0, 2.0, 3.0)]
    assert observe(trials(*complete, pruned(reports)), 1).values[-1] == 1


def test_two_complete_trials_make_no_line():
    complete = [trial(v, {1: v}) for v in (1.0, 2.0)]
    assert observe(trials(*complete, pruned({1: 7.0})), 1).values[-1] == 1


def test_infinite_values_are_the_extremes_of_the_others():
    told = trials(trial(math.inf), trial(2), trial(-math.inf), trial(5))
    assert observe(told, 1).values.tolist() == [5, 2, 2, 5]
    assert observe(trials(trial(math.inf), trial(-math.inf)), 1).values.tolist() == [1, -1]


def test_nothing_complete_is_no_news():
    assert observe(trials(pruned({1: 3.0}), pruned({})), 1).values.tolist() == [0, 0]


def test_normal_scores_depend_on_the_ranks_alone_and_ties_share_one():
    values = np.array([0.1, 5.0, -3.0, 5.0, 1.0])
    scores = normal_scores(values).scores
    assert scores[[2, 0, 4]] == pytest.approx([-1.2816, -0.5244, 0.0], abs=1e-3)
    assert scores[1] == scores[3] == pytest.approx(0.8416, abs=1e-3)  # of 4.5 - .5 in 5
    assert (normal_scores(np.exp(values)).scores == scores).all()
    assert (normal_scores(np.ones(4)).scores == 0).all()


def test_winsorised_values_keep_what_is_at_the_top_apart():
    values = np.array([0.90, 0.91, 0.92, 0.93, 0.94, 0.1, 0.11])
    standard = winsorised(values).scores
    assert standard.mean() == pytest.approx(0)
    assert standard.std() == pytest.approx(1)
    assert standard[5] == standard[6] == standard.min()
    plain = (values - values.mean()) / values.std()
    assert standard[4] - standard[0] > 3 * (plain[4] - plain[0])
    assert (winsorised(np.ones(3)).scores == 0).all()


def test_an_early_value_far_from_all_others_does_not_turn_the_line():
    """Losses of 2 after the first step end at 1.2; one had exploded and came back."""
    losses = [trial(1.2 + n / 100, {1: 2.0 + n / 10}) for n in range(5)]
    exploded = [*losses[:-1], trial(1.24, {1: 1000.0})]
    told = trials(*exploded, pruned({1: 5.0}))
    values = observe(told, -1).values
    assert values[-1] < values[:-1].min()
    assert values[-1] == pytest.approx(
        observe(trials(*losses, pruned({1: 5.0})), -1).values[-1], abs=1
    )
