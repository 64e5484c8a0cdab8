"""A budget of time: no trial begins that does not fit into it, and nothing of one is lost."""

import math
import time
from dataclasses import replace

import numpy as np
import optuna
import pytest
from optuna.trial import TrialState

import nasopt
from nasopt import Experiment, Recipe, load_benchmark
from nasopt.analysis.winners import fresh_seeds
from nasopt.data import external
from nasopt.errors import RecipeError, StudyError
from nasopt.search.comparison import Comparison
from nasopt.search.deadline import Deadline, expected_seconds, read_seconds
from nasopt.search.search import Search
from nasopt.storage.rdb import Storage
from nasopt.storage.record import TrialRecord
from tests.examples import small
from tests.trials import told


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("90m", 90 * 60),
        ("2h30m", 2 * 3600 + 30 * 60),
        ("45s", 45),
        ("1d", 24 * 3600),
        ("1.5h", 5400),
        (" 2H ", 7200),
        ("5400", 5400),
        ("0.5", 0.5),
    ],
)
def test_a_length_of_time_is_read(text, seconds):
    assert read_seconds(text) == seconds


@pytest.mark.parametrize("text", ["soon", "", "m", "2h30", "30m2h", "1h1h", "5 apples", "1:30"])
def test_what_is_no_length_of_time_is_named(text):
    with pytest.raises(RecipeError) as error:
        read_seconds(text)
    assert str(error.value) == (
        f"time={text!r}: not a length of time; write 90m, 2h30m, 45s or a number of seconds"
    )


@pytest.mark.parametrize("seconds", [0, -1, 0.0, math.nan, math.inf, True, "90m"])
def test_a_budget_of_time_is_above_0(seconds, tmp_path):
    with pytest.raises(RecipeError, match=r"^time=.*: give a number of seconds above 0$"):
        nasopt.run(small(), storage=tmp_path / "x.db", time=seconds)
    assert not (tmp_path / "x.db").exists()


def test_without_a_budget_there_is_no_deadline():
    never = Deadline.after(None)
    assert (never.left, never.passed, never.is_set) == (math.inf, False, False)


def test_a_deadline_passes():
    soon = Deadline.after(0.01)
    assert soon.is_set
    while soon.left > 0:
        time.sleep(0.001)
    assert soon.passed


def record(macs: int, seconds: float, epochs: int = 10, device: str = "cpu") -> TrialRecord:
    return TrialRecord(macs=macs, seconds=seconds, epochs=epochs, device=device)


def test_a_network_takes_as_long_as_those_like_it_took_as_if_unpruned():
    small_ones = [record(1_000, seconds) for seconds in (1.0, 2.0, 3.0, 4.0, 50.0)]
    pruned = [record(100_000, 30.0, epochs=2)] * 5
    assert expected_seconds(1_100, 10, [*pruned, *small_ones]) == 3.0  # the median
    assert expected_seconds(90_000, 10, [*pruned, *small_ones]) == 150.0
    assert expected_seconds(90_000, 3, [*pruned, *small_ones]) == 45.0


def test_only_trials_on_the_device_of_the_latest_tell_how_long_one_takes():
    before = [record(50, 1.0, device="cuda"), record(1_000, 500.0, device="cpu")]
    assert expected_seconds(1_000, 10, before) == 1.0


def test_nothing_is_expected_without_trials():
    assert expected_seconds(1_000, 10, []) == 0.0
    assert expected_seconds(1_000, 10, [TrialRecord(macs=1_000)]) == 0.0


def taken(storage: Storage, seconds: float) -> None:
    """Make it as if each training had taken so long."""
    with storage.engine.begin() as connection:
        attrs = f"trial_user_attributes SET value_json = '{seconds}' WHERE \"key\" = 'seconds'"
        connection.exec_driver_sql(f"UPDATE {attrs}")


def ending_at(experiment, storage, number: int, epoch: int) -> Search:
    """Run a search whose time is used in the epoch after `epoch` of trial `number`."""
    search = Search(experiment, storage=storage, device="cpu", deadline=Deadline.after(3600))
    for progress in search:
        if (progress.number, progress.epoch) == (number, epoch):
            object.__setattr__(search.deadline, "moment", time.monotonic())
    return search


def test_the_trial_under_way_at_the_deadline_keeps_its_place(tmp_path):
    experiment = small(recipe=Recipe(epochs=4, batch_size=32), trials=4)
    search = ending_at(experiment, tmp_path / "x.db", number=2, epoch=1)
    assert search.out_of_time == "trial 2 was stopped in its middle and keeps its place"
    states = [trial.state for trial in search.study.trials]
    assert states == [TrialState.COMPLETE, TrialState.COMPLETE, TrialState.WAITING]
    assert not search.study.user_attrs.get("ended")
    resumed = nasopt.run(experiment, storage=tmp_path / "x.db", device="cpu")
    whole = nasopt.run(experiment, storage=tmp_path / "y.db", device="cpu")
    assert told(resumed) == told(whole)
    assert resumed.trials[2].user_attrs["replayed_epochs"] == 1


def test_no_trial_begins_that_would_not_end_in_time(tmp_path):
    experiment = small(trials=4)
    first = Search(experiment, storage=tmp_path / "x.db", device="cpu", trials=2)
    list(first)
    taken(first.storage, 7200)
    search = Search(
        experiment, storage=tmp_path / "x.db", device="cpu", deadline=Deadline.after(99)
    )
    epochs = [progress.epoch for progress in search if progress.number is not None]
    assert epochs == []
    assert search.out_of_time.startswith("trial 2 waits: it takes about 2.0 h, ")
    assert [trial.state for trial in search.study.trials][2:] == [TrialState.WAITING]
    enough = nasopt.run(experiment, storage=tmp_path / "x.db", device="cpu", time=9 * 3600)
    assert told(enough) == told(nasopt.run(experiment, storage=tmp_path / "y.db", device="cpu"))


def test_so_it_is_with_training_of_ones_own_which_begins_anew(tmp_path):
    experiment = small(
        dataset=external("mine", (1, 8, 8), 10), train=three_epochs, recipe=Recipe(epochs=3)
    )
    search = ending_at(experiment, tmp_path / "x.db", number=2, epoch=2)
    assert [trial.state for trial in search.study.trials][2:] == [TrialState.WAITING]
    taken(search.storage, 300)
    late = Search(experiment, storage=tmp_path / "x.db", device="cpu", deadline=Deadline.after(299))
    assert [progress.epoch for progress in late if progress.number is not None] == []
    assert late.out_of_time.startswith("trial 2 waits: it takes about 5 min, ")


def three_epochs(architecture, recipe, seed):
    yield from (0.1, 0.2, 0.3)


@pytest.mark.parametrize("sampler", ["tpe", "evolution"])
def test_a_search_that_ends_in_time_is_the_same_as_without_a_budget(tmp_path, sampler):
    given = {"sampler": sampler, "device": "cpu"}
    timed = Search(small(), storage=tmp_path / "x.db", deadline=Deadline.after(3600), **given)
    list(timed)
    assert timed.out_of_time == ""
    assert told(timed.study) == told(nasopt.run(small(), storage=tmp_path / "y.db", **given))


def with_slow_strides(storage: Storage, study: optuna.Study) -> None:
    """Note of each trial that a first stride of 2 makes it a million times longer."""
    with storage.engine.begin() as connection:
        for trial in study.trials:
            seconds = 1000.0 if trial.params["conv01.stride"] == 2 else 0.001
            attrs = f"trial_user_attributes SET value_json = '{seconds}'"
            which = f"\"key\" = 'seconds' AND trial_id = {trial._trial_id}"
            connection.exec_driver_sql(f"UPDATE {attrs} WHERE {which}")


def test_with_a_budget_of_time_the_surrogate_goes_by_what_trainings_took(tmp_path):
    """Whoever has the same trials goes on in the same way."""

    def ninth(name, **settings):
        where = {"storage": tmp_path / name, "device": "cpu", "seed": 2}
        first = Search(small(trials=8), **where)
        list(first)
        with_slow_strides(first.storage, first.study)
        search = Search(small(trials=9), **where, **settings)
        list(search)
        return search.study.trials[8].params

    hour = Deadline.after(3_600_000)
    timed, plain = ninth("a.db", deadline=hour), ninth("b.db")
    assert (timed["conv01.stride"], plain["conv01.stride"]) == (1, 2)
    assert ninth("c.db", deadline=hour) == timed


def test_a_comparison_and_a_table_are_the_same_with_a_budget_of_time(tmp_path):
    def last(name, **settings):
        given = {"samplers": "surrogate,random", "seeds": 3, "replicates": 0}
        where = {"storage": tmp_path / name, "device": "cpu"}
        first = Comparison(small(), **given, **where, trials=8)
        list(first)
        studies = [each for each in first.studies if "surrogate" in each]
        for each in studies:
            study = optuna.load_study(study_name=each, storage=first.storage)
            with_slow_strides(first.storage, study)
        list(Comparison(small(), **given, **where, trials=9, **settings))
        url = f"sqlite:///{tmp_path / name}"
        return [optuna.load_study(study_name=s, storage=url).trials[8].params for s in studies]

    hour = {"deadline": Deadline.after(3_600_000)}
    assert last("x.db", **hour) == last("y.db")
    table = load_benchmark("nasbench201:cifar10")
    larger = table.parameters > np.median(table.parameters)
    table = replace(table, seconds=np.where(larger, 1e6, 1.0)[:, None, None] + 0 * table.seconds)
    timed, plain = (
        Search(
            Experiment.on_benchmark(table, trials=20), storage=tmp_path / f"{name}.db", **settings
        )
        for name, settings in (("a", hour), ("b", {}))
    )
    list(timed)
    list(plain)
    assert told(timed.study) == told(plain.study)


def test_a_finished_study_is_not_out_of_time(tmp_path):
    nasopt.run(small(), storage=tmp_path / "x.db", device="cpu")
    late = Search(small(), storage=tmp_path / "x.db", device="cpu", deadline=Deadline.after(1e-9))
    list(late)
    assert late.out_of_time == ""


def test_a_comparison_stops_at_the_deadline_and_goes_on(tmp_path):
    settings = {"samplers": "random,tpe", "seeds": 2, "trials": 2, "replicates": 1}
    where = {"storage": tmp_path / "x.db", "device": "cpu"}
    comparison = Comparison(small(), **settings, **where, deadline=Deadline.after(3600))
    for progress in comparison:
        if progress.number == 2 and progress.search and progress.search.epoch == 1:
            object.__setattr__(comparison.deadline, "moment", time.monotonic())
    assert comparison.out_of_time.startswith("experiment/tpe/0: ")
    assert [comparison.is_done(name) for name in comparison.studies] == [True, False, False, False]
    with pytest.raises(StudyError) as error:
        nasopt.compare(small(), **settings, **where, time=1e-9)
    assert str(error.value) == (
        "time=1e-09: used, and experiment/tpe/0 is not done; run the same command again"
    )
    result = nasopt.compare(small(), **settings, **where)
    whole = nasopt.compare(small(), **settings, storage=tmp_path / "y.db", device="cpu")
    assert [(each.study, each.number, each.value) for each in result.rows] == [
        (each.study, each.number, each.value) for each in whole.rows
    ]


def test_a_winner_is_not_trained_again_where_that_would_not_end_in_time(tmp_path):
    settings = {"samplers": "random,tpe", "seeds": 1, "trials": 2, "replicates": 1}
    comparison = Comparison(
        small(), **settings, storage=tmp_path / "x.db", device="cpu", deadline=Deadline.after(3600)
    )
    for progress in comparison:
        search = progress.search
        if progress.number == 2 and search is not None and search.done == 2:
            object.__setattr__(comparison.deadline, "moment", time.monotonic() + 0.001)
    assert comparison.out_of_time
    assert all(map(comparison.is_done, comparison.studies))


def test_of_the_seeds_of_a_winner_those_are_trained_that_end_in_time(tmp_path):
    settings = {"samplers": "random", "seeds": 1, "trials": 2, "storage": tmp_path / "x.db"}
    begun = Comparison(small(), **settings, replicates=1, device="cpu")
    list(begun)
    taken(begun.storage, 400)
    (first,), asked = begun.studies, {**settings, "replicates": 2, "device": "cpu"}
    winner = begun.result.winners[-1]
    evaluation = begun.experiment.evaluation(begun._read(first).trials[winner.number].params)
    known, fresh = fresh_seeds(evaluation, 2)
    late = Comparison(small(), **asked, deadline=Deadline.after(399))
    list(late)
    assert late.out_of_time == f"the winner of {first} waits to be trained again"
    ledger = late.evaluator.ledger
    assert ledger.results(known.key)
    assert not ledger.results(fresh.key)
    enough = Comparison(small(), **asked, deadline=Deadline.after(401))  # for one, not for two
    list(enough)
    assert not enough.out_of_time
    assert ledger.results(fresh.key)
