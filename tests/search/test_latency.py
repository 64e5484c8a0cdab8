"""Latency as a limit and an objective: measured once on this device, then replayed."""

import sqlite3
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import optuna
import pytest
import sqlalchemy as sa
import torch

import nasopt
from nasopt import Conv, Experiment, Space, categorical, integer, latency, parameters
from nasopt.analysis.outcome import load_study, result
from nasopt.cli.main import main
from nasopt.errors import Error, Unsuitable
from nasopt.samplers import SAMPLERS
from nasopt.search.search import Search
from nasopt.space.architecture import Architecture
from nasopt.storage.latencies import LATENCIES, Latencies, Latency
from nasopt.storage.opening import open_storage
from nasopt.training.latency import Measured, Setting, measured, network_key, setting_on
from tests.examples import small

CPU = torch.device("cpu")
WIDE = Space(Conv(filters=categorical(2, 4, 8, 16), stride=2), Conv(filters=integer(2, 20)))
FOR_MEASURED = [name for name in SAMPLERS if name != "largest"]
FOR_FRONTS = ["random", "tpe", "tpe-univariate", "gp", "nsga2"]


def timed(**fields: object) -> Experiment:
    return small(**{"space": WIDE, "trials": 5, "name": "timed", **fields})


def rows(database: Path) -> dict[str, float]:
    with closing(sqlite3.connect(database)) as opened:
        return dict(opened.execute("SELECT key, median FROM nasopt_latencies"))


def networks(study: optuna.Study, experiment: Experiment) -> list[str]:
    """The keys, for latencies, of the networks of a study's trials."""
    return [
        network_key(experiment.evaluation(t.params).architecture, (1, 8, 8), 10)
        for t in study.trials
    ]


def test_a_latency_is_the_median_of_passes_of_a_network_that_draws_no_random_numbers():
    network = Architecture((Conv(filters=64, kernel_size=7), Conv(filters=64, kernel_size=7)))
    before = torch.get_rng_state()
    setting = setting_on(CPU, 1)
    started = time.perf_counter()
    seconds, p95, memory = measured(network, (1, 28, 28), 10, CPU, setting)
    assert p95 >= seconds
    assert memory > 4 * 64 * 64 * 7 * 7
    assert 0 < 5 * seconds <= time.perf_counter() - started  # half of 10 passes, or more, took it
    assert torch.equal(torch.get_rng_state(), before)
    assert (setting.threads, setting.batch_size) == (1, 1)
    assert str(setting).startswith("1 image on cpu (")


def test_the_key_tells_networks_images_and_classes_apart():
    one, other = Architecture((Conv(filters=4),)), Architecture((Conv(filters=5),))
    keys = [
        network_key(*each)
        for each in (
            (one, (1, 8, 8), 10), (other, (1, 8, 8), 10), (one, (1, 9, 8), 10), (one, (1, 8, 8), 9),
        )
    ]  # fmt: skip
    assert len(set(keys)) == 4


def test_what_is_measured_is_an_objective_and_is_kept(tmp_path):
    experiment = timed(objectives=("accuracy", "latency"))
    study = nasopt.run(experiment, sampler="random", storage=tmp_path / "x.db", device="cpu")
    assert study.metric_names == ["accuracy", "latency"]
    assert [each.name for each in study.directions] == ["MAXIMIZE", "MINIMIZE"]
    kept = rows(tmp_path / "x.db")
    for trial, key in zip(study.trials, networks(study, experiment), strict=True):
        assert trial.values[1] == trial.user_attrs["latency"] == kept[key]
    assert study.user_attrs["timed_on"].startswith("1 image on cpu (")


def test_a_limit_is_held_by_what_is_measured(tmp_path):
    """Half of the networks that a first study measured are over the limit of a second."""
    database = tmp_path / "x.db"
    first = timed(objectives=("accuracy", "latency"), trials=12)
    nasopt.run(first, sampler="random", storage=database, device="cpu")
    bound = sorted(rows(database).values())[len(rows(database)) // 2]
    limited = timed(limits=(latency <= bound,), name="limited", trials=6)
    study = nasopt.run(limited, sampler="random", storage=database, device="cpu")
    kept = rows(database)
    for trial, key in zip(study.trials, networks(study, limited), strict=True):
        assert trial.user_attrs["latency"] == kept[key]
        assert (kept[key] <= bound) == ("infeasible" not in trial.user_attrs)
    assert sum(t.user_attrs.get("draws", 1) for t in study.trials) > len(study.trials)


def test_a_resumed_study_replays_what_was_measured(tmp_path, monkeypatch):
    """The same study anew in the same database measures nothing, and comes out the same."""
    experiment = timed(limits=(latency <= 1.0,), objectives=("accuracy", "latency"))
    whole = nasopt.run(experiment, sampler="tpe", storage=tmp_path / "x.db", device="cpu")
    optuna.delete_study(study_name=whole.study_name, storage=whole._storage)
    monkeypatch.setattr("nasopt.search.evaluator.measured", lambda *_: pytest.fail("measured"))
    again = nasopt.run(experiment, sampler="tpe", storage=tmp_path / "x.db", device="cpu")
    assert [(t.params, t.values) for t in again.trials] == [
        (t.params, t.values) for t in whole.trials
    ]


def test_what_is_over_a_known_limit_is_not_measured(tmp_path):
    experiment = timed(limits=(parameters <= 300, latency <= 1.0), trials=3)
    nasopt.run(experiment, sampler="random", storage=tmp_path / "x.db", device="cpu")
    within = {
        network_key(experiment.space.decode(params), (1, 8, 8), 10)
        for filters in (2, 4, 8, 16)
        for second in range(2, 21)
        for params in [{"conv01.filters": filters, "conv02.filters": second}]
        if experiment.cost(experiment.space.decode(params)).parameters <= 300
    }
    assert set(rows(tmp_path / "x.db")) <= within


@pytest.mark.parametrize("sampler", FOR_MEASURED)
def test_every_sampler_keeps_within_a_latency(tmp_path, sampler):
    experiment = timed(limits=(latency <= 1.0, parameters <= 1_000))
    search = Search(experiment, sampler=sampler, storage=tmp_path / "x.db", device="cpu")
    list(search)
    assert search.counts.done == 5


def test_samplers_that_would_measure_thousands_say_so(tmp_path):
    with pytest.raises(Unsuitable, match="limit macs instead, or choose another sampler"):
        Search(timed(limits=latency <= 1.0), sampler="largest", storage=tmp_path / "x.db")
    two = timed(objectives=("accuracy", "latency"))
    for name in ("surrogate", "evolution", "local", "one-epoch"):
        with pytest.raises(Unsuitable):
            Search(two, sampler=name, storage=tmp_path / "x.db")
    assert not (tmp_path / "x.db").exists()


@pytest.mark.parametrize("sampler", FOR_FRONTS)
def test_a_front_against_latency_is_searched(tmp_path, sampler):
    two = timed(objectives=("accuracy", "latency"), trials=4)
    search = Search(two, sampler=sampler, storage=tmp_path / "x.db", device="cpu")
    list(search)
    assert search.counts.done == 4


def test_a_limit_that_nothing_meets_names_the_fastest(tmp_path):
    with pytest.raises(Error, match=r"has latency <= 1e-09; the fastest found takes .* s; raise"):
        nasopt.run(
            timed(limits=(latency <= 1e-9,)), sampler="random", storage=tmp_path / "x.db",
            device="cpu",
        )  # fmt: skip


@pytest.mark.parametrize("sampler", ["random", "nsga2"])
def test_a_search_in_nas_bench_201_keeps_within_its_latencies_and_minimises_them(
    tmp_path, sampler, capsys
):
    bound = 12e-3  # which a tenth of them keep; the fastest takes 7e-3
    experiment = Experiment.on_benchmark(
        "nasbench201:cifar10", trials=4,
        limits=(latency <= bound,), objectives=("accuracy", "latency"),
    )  # fmt: skip
    study = nasopt.run(experiment, sampler=sampler, storage=tmp_path / "x.db")
    table = experiment.benchmark
    done = [each for each in study.trials if each.values]
    assert len(done) == 4
    for trial in done:
        row = table.space.decode(trial.params).row
        assert trial.values[1] == trial.user_attrs["latency"] == table.latency[row] <= bound
    again = nasopt.run(experiment, sampler=sampler, storage=tmp_path / "again.db")
    assert [t.params for t in again.trials] == [t.params for t in study.trials]
    assert main(["show", str(tmp_path / "x.db")]) == 0
    assert "(as the table has it)" in " ".join(capsys.readouterr().out.split())


def test_a_benchmark_does_not_know_it(macro):
    with pytest.raises(Error, match="does not know latency"):
        Experiment.on_benchmark(macro, limits=(latency <= 1.0,))


def test_it_is_shown_with_where_it_was_measured(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    two = timed(objectives=("accuracy", "latency"), trials=6)
    nasopt.run(two, sampler="random", storage="x.db", device="cpu")
    best = result(load_study(open_storage("x.db", "read"))).best[-1]
    assert main(["show", "x.db"]) == 0
    shown = capsys.readouterr().out
    assert "front of accuracy against latency" in shown
    assert f"{1e3 * best.record.latency:.3g} ms (1 image on cpu (" in " ".join(shown.split())
    assert main(["report", "x.db", "-o", "r.html"]) == 0
    page = Path("r.html").read_text()
    for text in (
        "Accuracy against latency",
        "ms to answer.",
        "latency (milliseconds)",
        "latency of",
    ):
        assert text in page


def test_what_another_worker_recorded_stands(tmp_path):
    search = Search(timed(), storage=tmp_path / "x.db", device="cpu")
    latencies, setting = search.evaluator.latencies, Setting("cpu (any)", 1)

    def took(seconds: float) -> Callable[[], Measured]:
        return lambda: Measured(seconds, seconds, 1)

    def slow() -> Measured:
        assert latencies.median("key", setting, took(0.5)) == 0.5  # meanwhile
        return took(0.75)()

    assert latencies.median("key", setting, slow) == 0.5
    assert latencies.median("key", Setting("cpu (any)", 2), took(0.25)) == 0.25
    with latencies.engine.connect() as connection:
        assert len(connection.execute(LATENCIES.select()).all()) == 2


def test_the_timings_of_an_older_database_stand_for_a_search_and_finals_measure_anew(tmp_path):
    engine = open_storage(tmp_path / "x.db").engine
    with engine.begin() as connection:
        columns = (
            "key TEXT, device TEXT, threads INT, batch_size INT, seconds DOUBLE, recorded TEXT"
        )
        connection.execute(sa.text(f"CREATE TABLE nasopt_timings ({columns})"))
        row = "'key', 'cpu (any)', 1, 1, 0.5, '2026'"
        connection.execute(sa.text(f"INSERT INTO nasopt_timings VALUES ({row})"))
    latencies, setting = Latencies(open_storage(tmp_path / "x.db").engine), Setting("cpu (any)", 1)
    anew = Measured(0.75, 1.0, 8)
    assert latencies.once("key", setting, lambda: anew) == Latency("cpu (any)", 1, 1, *anew)
    assert latencies.median("key", setting, lambda: anew) == 0.5
    assert latencies.median("other", setting, lambda: anew) == 0.75
