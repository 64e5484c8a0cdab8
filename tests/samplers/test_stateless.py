"""Samplers whose only state is the study, in plain Optuna and in spaces of every kind."""

import math
import pickle
from threading import Barrier

import optuna
import pytest

from nasopt.errors import StudyError
from nasopt.samplers import LocalSearch, RegularizedEvolution, SurrogateSampler
from nasopt.samplers.points.conditions import RECENT

SAMPLER_CLASSES = [SurrogateSampler, RegularizedEvolution, LocalSearch]

each_sampler = pytest.mark.parametrize("sampler", SAMPLER_CLASSES)


def mixed(trial: optuna.Trial) -> float:
    x = trial.suggest_float("x", -5, 5)
    step = trial.suggest_float("step", 0, 1, step=0.25)
    lr = trial.suggest_float("lr", 1e-6, 1, log=True)
    n = trial.suggest_int("n", 1, 1_000, log=True)
    word = trial.suggest_categorical("word", ["a", "b", "c"])
    flag = trial.suggest_categorical("flag", [True, False])
    none = trial.suggest_categorical("none", [None, 1, 2.5])
    trial.suggest_categorical("only", ["one"])
    return (
        -((x - 1) ** 2) - step - (math.log10(lr) + 3) ** 2 - abs(n - 100) / 100
        + {"a": 0, "b": -2, "c": -1}[word] + flag + (none or 0)
    )  # fmt: skip


def conditional(trial: optuna.Trial) -> float:
    depth = trial.suggest_int("depth", 1, 6)
    worth = -0.3 * abs(depth - 4)
    for layer in range(depth):
        worth -= 5 * (trial.suggest_float(f"x{layer}", 0, 1) - layer / 10) ** 2
    if trial.suggest_categorical("kind", ["a", "b"]) == "a":
        return worth - trial.suggest_int("q", 1, 9) / 10
    return worth - abs(trial.suggest_int("r", 1, 64, log=True) - 16) / 10


def failing(trial: optuna.Trial) -> float:
    a = trial.suggest_int("a", 0, 100)
    if a % 3 == 0:
        raise ValueError
    return float("nan") if a % 3 == 1 else a


def pruned(trial: optuna.Trial) -> float:
    a = trial.suggest_int("a", 0, 1_000)
    for step in range(1, 4):
        trial.report(a * step / 3, step)
        if step == 2 and trial.number % 3 == 0:
            raise optuna.TrialPruned
    return a


def infinite(trial: optuna.Trial) -> float:
    a = trial.suggest_int("a", 0, 100)
    return (math.inf, -math.inf, a)[a % 3]


def constrained(trial: optuna.Trial) -> float:
    x, y = trial.suggest_int("x", 0, 100), trial.suggest_int("y", 0, 100)
    trial.set_constraint("sum", x + y - 100)
    return x + 2 * y


def ever_wider(trial: optuna.Trial) -> float:
    return trial.suggest_int("a", 0, 10 + trial.number)


AWKWARD = {
    "mixed": mixed,
    "conditional": conditional,
    "pruned": pruned,
    "infinite": infinite,
    "constrained": constrained,
    "ever wider": ever_wider,
    "one categorical": lambda trial: len(
        trial.suggest_categorical("a", ["x" * i for i in range(40)])
    ),
    "one float": lambda trial: trial.suggest_float("a", 0, 1),
    "constant": lambda trial: 0.0 * trial.suggest_int("a", 0, 99) * trial.suggest_int("b", 0, 99),
    "nothing complete": lambda trial: pruned_at_once(trial),
}


def pruned_at_once(trial: optuna.Trial) -> float:
    trial.suggest_int("a", 0, 100)
    raise optuna.TrialPruned


def run(sampler, objective, n_trials=30, direction="maximize", **options) -> optuna.Study:
    study = optuna.create_study(direction=direction, sampler=sampler)
    study.optimize(objective, n_trials=n_trials, **options)
    return study


@each_sampler
@pytest.mark.parametrize("name", AWKWARD)
def test_any_space_is_searched_without_a_repeat(name, sampler):
    study = run(sampler(seed=0), AWKWARD[name])
    params = [tuple(sorted(trial.params.items())) for trial in study.trials]
    assert len(study.trials) == len(set(map(repr, params))) == 30


@each_sampler
@pytest.mark.filterwarnings("ignore:The objective function returned nan")
def test_trials_that_fail_are_no_obstacle(sampler):
    study = run(sampler(seed=0), failing, catch=(ValueError,))
    assert len({trial.params["a"] for trial in study.trials}) == 30


@each_sampler
def test_minimising_finds_low_values_as_maximising_finds_high_ones(sampler):
    def objective(sign):
        return lambda trial: sign * mixed(trial)

    high = run(sampler(seed=0), objective(1), direction="maximize")
    low = run(sampler(seed=0), objective(-1), direction="minimize")
    assert [trial.params for trial in low.trials] == [trial.params for trial in high.trials]


@each_sampler
def test_a_space_that_is_all_known_ends_the_study_with_a_line(sampler, caplog):
    study = run(sampler(seed=0), lambda trial: trial.suggest_int("a", 0, 5) * (trial.number > 2))
    assert sorted(trial.params["a"] for trial in study.trials[:6]) == [0, 1, 2, 3, 4, 5]
    assert len(study.trials) == 7
    assert caplog.messages == [f"{sampler.__name__}: every point of the space is known"]


@each_sampler
def test_with_ask_and_tell_there_is_nothing_to_stop(sampler, caplog):
    study = optuna.create_study(sampler=sampler(seed=0))
    for _ in range(5):
        trial = study.ask()
        study.tell(trial, trial.suggest_int("a", 0, 2))
    assert len(caplog.messages) == 2


@each_sampler
def test_a_trial_without_parameters_is_a_trial(sampler):
    assert len(run(sampler(seed=0), lambda trial: 1.0, n_trials=8).trials) == 8


@each_sampler
def test_threads_share_a_sampler(sampler):
    study = run(sampler(seed=0), conditional, n_trials=40, n_jobs=4)
    assert [trial.state for trial in study.trials] == [optuna.trial.TrialState.COMPLETE] * 40
    assert len({repr(sorted(trial.params.items())) for trial in study.trials}) >= 38


@each_sampler
def test_threads_never_try_one_point_twice(sampler):
    at_once = Barrier(4)

    def objective(trial):
        a = trial.suggest_int("a", 0, 5)
        if trial.number < 24:
            at_once.wait()  # until all have got their points, of which half is in the storage
        return a + trial.suggest_int("b", 0, 4)

    study = run(sampler(seed=0), objective, n_trials=28, n_jobs=4)
    points = [(trial.params["a"], trial.params["b"]) for trial in study.trials]
    assert len(points[4:]) == len(set(points[4:]))  # the first four know no parameters yet


@each_sampler
def test_a_study_goes_on_from_a_file_as_in_memory(sampler):
    study = run(sampler(seed=0), mixed, 8)
    again = pickle.loads(pickle.dumps(study))
    for each in (study, again):
        each.optimize(mixed, n_trials=4)
    assert [t.params for t in again.trials] == [t.params for t in study.trials]


@each_sampler
@pytest.mark.parametrize("step", [1, 2])
def test_a_narrower_range_is_searched_to_its_end(sampler, step):
    def objective(high, step):
        return lambda trial: (
            trial.suggest_int("a", 0, high, step=step) + trial.suggest_int("b", 0, 3)
        )

    study = run(sampler(seed=0), objective(20, 1), 20)
    study.optimize(objective(6, step), n_trials=60)
    within = [(t.params["a"], t.params["b"]) for t in study.trials[20:]]
    known = {(t.params["a"], t.params["b"]) for t in study.trials[:20]}
    every = {(a, b) for a in range(0, 7, step) for b in range(4)}
    assert every <= known | set(within)
    # none is tried again but the one that ends the study, once the wider range is forgotten
    assert len(within) <= len(every - known) + RECENT + 1
    assert len(set(within[RECENT:-1])) == len(within[RECENT:-1])


@each_sampler
def test_a_range_that_depends_on_another_parameter_hides_no_trial(sampler):
    def objective(trial):
        a = trial.suggest_int("a", 1, 30)
        return trial.suggest_int("b", 0, a) - abs(a - 20) / 2

    study = run(sampler(seed=0), objective, 40)
    assert len(study.trials) == 40
    assert study.best_value >= 20  # of 25


@each_sampler
def test_what_two_parameters_decide_is_learnt(sampler):
    def objective(trial):
        a, b = (trial.suggest_categorical(name, [0, 1]) for name in "ab")
        return a + b + trial.suggest_int("c" if a and b else "d", 0, 20) / 20

    study = run(sampler(seed=0), objective, 60)
    tried = [repr(sorted(trial.params.items())) for trial in study.trials]
    assert len(set(tried)) >= 58  # what is not known to be asked for yet is drawn at random


@each_sampler
def test_with_hyperband_a_study_ends_as_well(sampler):
    study = optuna.create_study(
        sampler=sampler(seed=0), pruner=optuna.pruners.HyperbandPruner(1, 9), direction="maximize"
    )
    study.optimize(lambda trial: trial.suggest_int("a", 0, 5), n_trials=20)
    assert len(study.trials) == 7


@each_sampler
def test_a_parameter_of_another_name_is_searched_as_in_a_study_of_its_own(sampler):
    study = run(sampler(seed=0), lambda trial: trial.suggest_float("old", 0, 1), 15)
    study.optimize(lambda trial: trial.suggest_int("new", 0, 5), n_trials=60)
    new = [trial.params["new"] for trial in study.trials[15:]]
    assert set(new) == {0, 1, 2, 3, 4, 5}
    assert len(new) <= RECENT + 6 + 1


@each_sampler
def test_a_parameter_that_is_added_opens_all_of_its_values(sampler):
    def first(trial):
        return trial.suggest_int("a", 0, 5)

    study = run(sampler(seed=0), first, 4)
    study.optimize(lambda trial: first(trial) + trial.suggest_int("b", 0, 3), n_trials=60)
    later = [(trial.params["a"], trial.params["b"]) for trial in study.trials[4:]]
    assert set(later) == {(a, b) for a in range(6) for b in range(4)}
    assert len(later) <= 24 + 3


@each_sampler
def test_trials_pruned_before_they_ask_for_all_hide_nothing(sampler):
    def objective(trial):
        a = trial.suggest_int("a", 0, 2)
        if trial.number % 2:
            raise optuna.TrialPruned
        return a + trial.suggest_int("b", 0, 30)

    assert len(run(sampler(seed=0), objective, 60).trials) == 60


@each_sampler
def test_what_fails_before_it_asks_for_all_is_tried_thrice_at_most(sampler):
    def objective(trial):
        if trial.suggest_categorical("kind", ["a", "b", "c"]) == "c":
            raise ValueError
        return trial.suggest_float("x", 0, 1)

    study = run(sampler(seed=0), objective, 40, catch=(ValueError,))
    assert sum(trial.params["kind"] == "c" for trial in study.trials) <= 3


@each_sampler
def test_what_failed_by_accident_is_tried_again(sampler):
    def objective(trial):
        a = trial.suggest_int("a", 0, 2)
        if trial.number % 3 == 1:
            raise ValueError
        return a + trial.suggest_int("b", 0, 2)

    study = run(sampler(seed=0), objective, 40, catch=(ValueError,))
    assert len({tuple(t.params.values()) for t in study.trials if t.value is not None}) == 9


@each_sampler
def test_a_sampler_serves_one_study_after_another(sampler):
    shared = sampler(seed=0)
    first = optuna.create_study(sampler=shared)
    for _ in range(5):  # never told
        first.ask().suggest_int("a", 0, 2)
    assert len(run(shared, lambda trial: trial.suggest_int("a", 0, 99), 30).trials) == 30


@each_sampler
def test_what_is_enqueued_in_part_is_completed_with_something_new(sampler):
    def objective(trial):
        return trial.suggest_int("a", 0, 1) + trial.suggest_int("b", 0, 9)

    study = run(sampler(seed=0), objective, 9)
    for _ in range(3):
        study.enqueue_trial({"a": 0})
    study.optimize(objective, n_trials=3)
    assert [trial.params["a"] for trial in study.trials[9:]] == [0, 0, 0]
    assert len({tuple(trial.params.values()) for trial in study.trials}) == 12


@each_sampler
def test_a_seed_is_a_sequence_of_suggestions(sampler):
    def suggestions(seed):
        return [trial.params for trial in run(sampler(seed=seed), mixed, 12).trials]

    assert suggestions(3) == suggestions(3) != suggestions(4)


@each_sampler
def test_trials_that_run_elsewhere_are_not_suggested_again(sampler):
    study = optuna.create_study(direction="maximize", sampler=sampler(seed=0))

    def asked():
        trial = study.ask()
        return trial, (trial.suggest_int("a", 0, 3), trial.suggest_int("b", 0, 3))

    for _ in range(7):
        trial, (a, b) = asked()
        study.tell(trial, a + b)
    points = {trial.params["a"] * 4 + trial.params["b"] for trial in study.trials}
    points |= {a * 4 + b for _, (a, b) in (asked() for _ in range(9))}
    assert len(points) == 16


@each_sampler
def test_a_study_of_a_thousand_trials_of_another_sampler_is_taken_up(sampler):
    study = run(optuna.samplers.RandomSampler(seed=0), mixed, 1_000)
    best = study.best_value
    study.sampler = sampler(seed=0)
    study.optimize(mixed, n_trials=8)
    assert len(study.trials) == 1_008
    if sampler is SurrogateSampler:
        assert study.best_value > best


@each_sampler
def test_two_objectives_of_plain_optuna_are_refused_with_the_remedy(sampler):
    study = optuna.create_study(directions=["maximize", "minimize"], sampler=sampler(seed=0))
    with pytest.raises(StudyError) as raised:
        study.optimize(lambda trial: (trial.suggest_float("x", 0, 1), 2.0), n_trials=2)
    more = ", and a known cost as the second; say which with problem=..., or"
    assert str(raised.value) == (
        f"objectives: 2, but {sampler.__name__} seeks one"
        f"{more if sampler is SurrogateSampler else ';'} use nsga2 or tpe"
    )
