"""`History`: the trials of a study as points, and what is new beside them."""

import math

import numpy as np
import optuna
import pytest
from numpy.random import RandomState
from optuna.distributions import CategoricalDistribution, IntDistribution
from optuna.trial import TrialState

from nasopt.samplers.conditions import Conditions
from nasopt.samplers.domain import Domain
from nasopt.samplers.history import History, other_trials

SPACE = {"a": IntDistribution(0, 4), "b": CategoricalDistribution(("x", "y"))}


def trial(state: TrialState = TrialState.COMPLETE, **params) -> optuna.trial.FrozenTrial:
    return optuna.trial.create_trial(
        state=state,
        value=1.0 if state is TrialState.COMPLETE else None,
        params=params,
        distributions={name: SPACE[name] for name in params},
    )


def fresh(history: History) -> list[list[float]]:
    everything = history.look(history.domain.axes.everything())
    return history.fresh(everything).points.tolist()


@pytest.mark.parametrize("state", list(TrialState))
def test_a_point_is_known_whatever_the_state_of_its_trial(state):
    history = History(Domain(SPACE), [trial(state, a=2, b="y")])
    assert len(fresh(history)) == 9
    assert [2, 1] not in fresh(history)


def test_what_was_enqueued_is_known_before_it_is_asked_for():
    waiting = trial(TrialState.WAITING)
    waiting.system_attrs["fixed_params"] = {"a": 3, "b": "x"}
    assert [3, 0] not in fresh(History(Domain(SPACE), [waiting]))


@pytest.mark.parametrize("state", [TrialState.COMPLETE, TrialState.PRUNED])
def test_a_trial_that_ended_is_known_by_what_it_asked_for(state):
    told = [trial(state, a=1), trial(state, a=2, b="x"), trial(state, a=3, b="x")]
    assert not any(a == 1 for a, _ in fresh(History(Domain(SPACE), told)))


@pytest.mark.parametrize("state", [TrialState.FAIL, TrialState.RUNNING, TrialState.WAITING])
def test_a_trial_that_may_have_asked_for_more_hides_nothing(state):
    assert len(fresh(History(Domain(SPACE), [trial(state, a=1)]))) == 10


def test_it_learns_from_what_ended_and_from_no_repeats():
    repeat = trial(a=1, b="x")
    repeat.set_user_attr("repeat_of", 0)
    others = [trial(state, a=1, b="y") for state in TrialState]
    history = History(Domain(SPACE), [trial(a=1, b="x"), repeat, *others])
    states = [history.trials[row].state for row in history.told]
    assert states == [
        TrialState.COMPLETE, TrialState.COMPLETE, TrialState.PRUNED, TrialState.FAIL
    ]  # fmt: skip
    assert [history.trials[row].state for row in history.running] == [
        TrialState.RUNNING,
        TrialState.WAITING,
    ]


def test_any_fresh_point_is_found_where_there_is_one_left():
    told = [trial(a=a, b=b) for a in range(5) for b in ("x", "y") if (a, b) != (4, "x")]
    assert History(Domain(SPACE), told).any_fresh(RandomState(0)).tolist() == [4, 0]
    assert History(Domain(SPACE), [*told, trial(a=4, b="x")]).any_fresh(RandomState(0)) is None


def test_trials_of_all_brackets_are_seen_and_the_one_under_way_is_not():
    seen = []

    class Looking(optuna.samplers.RandomSampler):
        def sample_relative(self, study, trial, space):
            seen.append([other.number for other in other_trials(study, trial)])
            return {}

    study = optuna.create_study(sampler=Looking(), pruner=optuna.pruners.HyperbandPruner(1, 27))
    study.optimize(lambda trial: trial.suggest_float("x", 0, 1), n_trials=8)
    assert seen == [list(range(number)) for number in range(8)]


def rows(*each: tuple[float, ...]) -> np.ndarray:
    return np.array(each, dtype=float)


NAN = math.nan


def test_what_a_trial_asks_for_is_learnt_from_the_parameter_that_tells_it():
    """The second is asked for if the first is 1, the fourth if the second is above 2."""
    known = rows(
        (0, NAN, 5, NAN), (0, NAN, 6, NAN), (1, 0, 7, NAN), (1, 4, 8, 1),
        (1, 4, 9, 0), (1, 0, 3, NAN), (1, 3, 2, 0), (1, 3, 1, 0),
    )  # fmt: skip
    applied = Conditions(known).applied(rows((0, 4, 5, 1), (1, 4, 5, 1), (1, 1, 5, 1)))
    assert np.array_equal(
        applied, rows((0, NAN, 5, NAN), (1, 4, 5, 1), (1, 1, 5, NAN)), equal_nan=True
    )


def test_without_conditions_points_stay_as_they_are():
    points = RandomState(0).uniform(size=(9, 3))
    assert (Conditions(points).applied(points) == points).all()
    assert (Conditions(points[:0]).applied(points) == points).all()


def test_a_depth_that_was_not_seen_is_as_the_nearest():
    known = rows((1, 5, NAN), (1, 4, NAN), (5, 4, 3), (5, 5, 2))
    applied = Conditions(known).applied(rows((2, 0, 0), (4, 0, 0), (9, 0, 0)))
    assert np.isnan(applied[:, 2]).tolist() == [True, False, False]
