"""`nasopt.search.evaluator`: with how many threads an experiment's networks are trained."""

from dataclasses import replace

import optuna
import pytest
import torch

import nasopt
from nasopt import Conv, Recipe, Space, categorical
from nasopt.cli.quickstart import LECTURE, SMALL, study_file
from nasopt.search.evaluator import Evaluator
from nasopt.search.loading import load_experiment
from nasopt.search.noise import NoiseStudy
from nasopt.search.search import Search
from tests.examples import small
from tests.trials import told

# two threads beside other processes take long for every step
EXPERIMENT = small(recipe=Recipe(epochs=1, batch_size=100))


@pytest.fixture(autouse=True)
def eight_cores(machine_of) -> None:
    machine_of(8)


def devices(study: optuna.Study) -> set[str]:
    return {trial.user_attrs["device"] for trial in study.trials}


def begin_with_two(tmp_path, monkeypatch, trials: int) -> optuna.Study:
    """A study whose user had set OMP_NUM_THREADS to 2."""
    torch.set_num_threads(2)
    with monkeypatch.context() as patch:
        patch.setenv("OMP_NUM_THREADS", "2")
        study = run(tmp_path, trials)
    torch.set_num_threads(8)
    return study


def run(tmp_path, trials: int) -> optuna.Study:
    return nasopt.run(
        EXPERIMENT, sampler="random", storage=tmp_path / "x.db", trials=trials, device="cpu"
    )


def test_small_networks_are_trained_with_one_thread_and_torch_stays_as_it_was(tmp_path):
    study = run(tmp_path, 2)
    assert devices(study) == {"cpu, 1 thread"}
    assert study.user_attrs["threads"] == 1
    assert torch.get_num_threads() == 8


def test_what_suits_follows_from_a_typical_network_and_its_batch():
    lecture, digits = (load_experiment(study_file(name)) for name in (LECTURE, SMALL))
    assert lecture.batch_macs > 2e9 > 1e7 > digits.batch_macs
    assert lecture.batch_macs == load_experiment(study_file(LECTURE)).batch_macs
    one, four = (small(recipe=Recipe(batch_size=size)).batch_macs for size in (16, 64))
    assert four == 4 * one


def test_large_networks_have_as_many_threads_as_there_are_cores(tmp_path, monkeypatch):
    wide = Conv(filters=512, kernel_size=categorical(5, 7))
    large = small(space=Space(wide, wide))
    assert Evaluator(large, tmp_path / "x.db", "cpu").threads == 8
    monkeypatch.setattr("os.sched_getaffinity", lambda pid: {1, 2, 3})
    assert Evaluator(large, tmp_path / "x.db", "cpu").threads == 3


def test_a_study_goes_on_with_the_threads_it_began_with_and_so_with_the_same_bits(
    tmp_path, monkeypatch, caplog
):
    whole = begin_with_two(tmp_path / "whole", monkeypatch, trials=2)
    begin_with_two(tmp_path / "part", monkeypatch, trials=1)
    part = run(tmp_path / "part", trials=2)
    assert devices(part) == {"cpu, 2 threads"}
    assert told(part) == told(whole)
    assert not any("threads" in message for message in caplog.messages)


def test_all_trainings_of_an_experiment_have_the_threads_of_its_first_study(tmp_path, monkeypatch):
    begin_with_two(tmp_path, monkeypatch, trials=1)
    given = {"storage": tmp_path / "x.db", "device": "cpu"}
    other = Search(EXPERIMENT, sampler="tpe", trials=1, **given)
    assert other.worker.threads == 2
    noise = NoiseStudy(EXPERIMENT, architectures=2, seeds=2, **given)
    assert next(iter(noise)).result.device == "cpu, 2 threads"
    assert Evaluator(replace(EXPERIMENT, seed=1), **given).threads == 1


def test_threads_that_cannot_be_had_any_more_are_told_once(tmp_path, monkeypatch, caplog):
    begin_with_two(tmp_path, monkeypatch, trials=1)
    monkeypatch.setattr("os.sched_getaffinity", lambda pid: {0})
    for trials in (2, 3):
        study = run(tmp_path, trials)
    line = "experiment/random/0: threads is 1 from here on, was 2"
    assert caplog.messages.count(line) == 1
    assert [trial.user_attrs["device"] for trial in study.trials] == [
        "cpu, 2 threads", "cpu, 1 thread", "cpu, 1 thread",
    ]  # fmt: skip


@pytest.mark.parametrize("nonsense", ["two", 0, -1, True, None, [2]])
def test_a_number_that_is_none_is_chosen_anew(tmp_path, nonsense):
    study = run(tmp_path, 1)
    study.set_user_attr("threads", nonsense)
    assert run(tmp_path, 2).user_attrs["threads"] == 1
