"""`History`: the trials of a study as points, and what is new beside them."""

import math

import numpy as np
import optuna
import pytest
from numpy.random import RandomState
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.trial import TrialState

from nasopt.samplers.points.conditions import ADDED, RECENT, Conditions, search_space
from nasopt.samplers.points.domain import Domain
from nasopt.samplers.points.history import History, other_trials

SPACE = {"a": IntDistribution(0, 4), "b": CategoricalDistribution(("x", "y"))}


def trial(state: TrialState = TrialState.COMPLETE, **params) -> optuna.trial.FrozenTrial:
    return optuna.trial.create_trial(
        state=state,
        value=1.0 if state is TrialState.COMPLETE else None,
        params=params,
        distributions={name: SPACE[name] for name in params},
    )


def fresh(history: History) -> list[list[float]]:
    everything = history.encode(history.domain.axes.everything())
    return history.novel(everything).points.tolist()


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


def test_a_trial_of_a_wider_range_is_learnt_from_and_nothing_beyond_is_new():
    wider = {"a": IntDistribution(-3, 9), "b": SPACE["b"]}
    told = [
        optuna.trial.create_trial(value=1.0, params={"a": a, "b": "x"}, distributions=wider)
        for a in (-3, 2, 9)
    ]
    history = History(Domain(SPACE), told)
    assert history.observed == [0, 1, 2]
    assert sorted(fresh(history)) == [[a, b] for a in range(5) for b in (0, 1) if (a, b) != (2, 0)]
    around = history.domain.axes.neighbours(
        history.known.points[0], history.known.active[0], 99, RandomState(0)
    )
    assert sorted(history.novel(history.encode(around)).points[:, 0]) == [0, 1, 3, 4]


def test_what_was_suggested_and_not_asked_for_yet_is_known_and_running():
    running = trial(TrialState.RUNNING, a=3)
    running.number = 7
    history = History(Domain(SPACE), [running], {7: {"a": 3, "b": "y"}, 8: {"a": 0, "b": "y"}})
    assert history.running == [0]
    assert [3, 1] not in fresh(history)
    assert len(fresh(history)) == 9


def test_a_running_trial_that_has_asked_for_all_of_its_branch_is_one_to_believe():
    told = [trial(a=1), trial(a=2), trial(a=3, b="x"), trial(a=4, b="y"), trial(a=0)]
    running = [trial(TrialState.RUNNING, a=1), trial(TrialState.RUNNING, a=4)]
    history = History(Domain(SPACE), told + running)
    assert history.running == [5]  # of the other "b" is to come


def test_it_learns_from_what_ended_and_from_no_repeats():
    repeat = trial(a=1, b="x")
    repeat.set_user_attr("repeat_of", 0)
    others = [trial(state, a=1, b="y") for state in TrialState]
    history = History(Domain(SPACE), [trial(a=1, b="x"), repeat, *others])
    states = [history.trials[row].state for row in history.observed]
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
        (0, NAN, 5, NAN), (1, 0, 7, NAN), (1, 4, 8, 1), (1, 4, 9, 0),
        (0, NAN, 6, NAN), (1, 0, 3, NAN), (1, 3, 2, 0), (1, 3, 1, 0),
    )  # fmt: skip
    applied = Conditions(known).applied(rows((0, 4, 5, 1), (1, 4, 5, 1), (1, 1, 5, 1)))
    assert np.array_equal(
        applied, rows((0, NAN, 5, NAN), (1, 4, 5, 1), (1, 1, 5, NAN)), equal_nan=True
    )


def asking(**distributions) -> optuna.trial.FrozenTrial:
    params = {name: each.to_external_repr(each.low) for name, each in distributions.items()}
    return optuna.trial.create_trial(value=1.0, params=params, distributions=distributions)


def test_a_range_that_differs_from_trial_to_trial_is_searched_as_a_whole():
    trials = [asking(a=IntDistribution(0, high), b=FloatDistribution(0, 1)) for high in (3, 9, 5)]
    assert search_space(trials) == {"a": IntDistribution(0, 9), "b": FloatDistribution(0, 1)}


def test_a_range_that_was_given_up_is_forgotten():
    wide, narrow = asking(a=IntDistribution(0, 99)), asking(a=IntDistribution(0, 9))
    assert search_space([wide] + [narrow] * (RECENT - 1)) == {"a": IntDistribution(0, 99)}
    assert search_space([wide] + [narrow] * RECENT) == {"a": IntDistribution(0, 9)}


@pytest.mark.parametrize(
    ("earlier", "later"),
    [
        (IntDistribution(0, 9), IntDistribution(1, 8, log=True)),
        (IntDistribution(0, 9), IntDistribution(0, 8, step=2)),
        (IntDistribution(1, 9, step=2), IntDistribution(0, 8, step=2)),
        (FloatDistribution(0, 9), IntDistribution(0, 8)),
        (CategoricalDistribution((1, 2)), IntDistribution(0, 8)),
    ],
)
def test_ranges_without_a_common_grid_are_not_put_together(earlier, later):
    earlier_trial = optuna.trial.create_trial(
        value=1.0, params={"a": 1}, distributions={"a": earlier}
    )
    assert search_space([earlier_trial, asking(a=later)]) == {"a": later}


@pytest.mark.parametrize("asked", [int.__and__, int.__or__, int.__xor__])
def test_a_parameter_may_depend_on_two_others(asked):
    """The fourth on the first and the third; the second has no part in it."""
    grid = np.indices((2, 5, 2, 3)).reshape(4, -1).T.astype(float)
    there = np.array([bool(asked(int(point[0]), int(point[2]))) for point in grid])
    truth = grid.copy()
    truth[~there, 3] = NAN
    learnt = RandomState(0).permutation(len(grid))[:45]
    applied = Conditions(truth[learnt]).applied(grid)
    assert np.array_equal(applied, truth, equal_nan=True)


def test_what_all_ask_for_since_the_first_that_did_depends_on_nothing():
    known = rows((0, NAN), (1, NAN), (2, NAN), *((n, n) for n in range(3, 3 + ADDED)))
    assert not np.isnan(Conditions(known).applied(rows((0, 1), (2, 1), (5, 1)))).any()
    assert Conditions(known).whole(known).tolist() == [False] * 3 + [True] * ADDED


def test_where_trials_contradict_each_other_a_parameter_is_asked_for():
    known = rows((0, NAN), (0, NAN), (0, 3), (1, NAN), (0, NAN))
    applied = Conditions(known).applied(rows((0, 1), (1, 1)))
    assert np.isnan(applied[:, 1]).tolist() == [False, True]


def test_a_parameter_may_depend_on_where_a_number_is():
    x = np.linspace(0, 1, 41)
    known = np.stack([x, np.where((x > 0.4) & (x < 0.6), 0.5, NAN)], axis=1)
    applied = Conditions(known).applied(rows((0.39, 1), (0.42, 1), (0.5, 1), (0.61, 1)))
    assert np.isnan(applied[:, 1]).tolist() == [True, False, False, True]


def test_a_point_is_whole_that_has_all_it_would_be_asked_for():
    known = rows((0, NAN, 5), (0, NAN, 6), (1, 4, 9), (1, 0, 3))
    given = rows((0, NAN, 2), (0, NAN, NAN), (1, NAN, 2), (1, 4, 2), (NAN, NAN, NAN))
    assert Conditions(known).whole(given).tolist() == [True, False, False, True, False]
    assert Conditions(known[:0]).whole(given).tolist() == [False, False, False, True, False]


def test_without_conditions_points_stay_as_they_are():
    points = RandomState(0).uniform(size=(9, 3))
    assert (Conditions(points).applied(points) == points).all()
    assert (Conditions(points[:0]).applied(points) == points).all()


def test_a_depth_that_was_not_seen_is_as_the_nearest():
    known = rows((1, 5, NAN), (1, 4, NAN), (5, 4, 3), (5, 5, 2))
    applied = Conditions(known).applied(rows((2, 0, 0), (4, 0, 0), (9, 0, 0)))
    assert np.isnan(applied[:, 2]).tolist() == [True, False, False]
