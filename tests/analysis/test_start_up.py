import optuna
import pytest

import nasopt
from nasopt.analysis.start_up import FIRST, POPULATION, START_UP, start_up
from nasopt.samplers import SAMPLERS
from nasopt.samplers.baselines import evolution
from nasopt.samplers.surrogate import sampler as surrogate
from tests.examples import small


def test_what_is_said_of_our_own_samplers_is_what_they_do():
    assert (FIRST, POPULATION) == (surrogate.FIRST, evolution.POPULATION)


@pytest.mark.parametrize("name", ["tpe", "tpe-univariate", "gp", "nsga2"])
def test_what_is_said_of_optunas_is_what_the_objects_have(name):
    assert start_up(name) == start_up(SAMPLERS[name](small().problem, 0)) > 0


def test_an_object_has_a_start_up_of_its_own():
    assert start_up(optuna.samplers.TPESampler(n_startup_trials=3)) == 3
    assert start_up(optuna.samplers.NSGAIISampler(population_size=7)) == 7
    assert start_up(optuna.samplers.RandomSampler()) == start_up("random") == start_up("mine") == 0
    assert set(START_UP) < set(SAMPLERS)


@pytest.mark.parametrize(
    ("sampler", "told"),
    [
        ("tpe", True),
        (optuna.samplers.TPESampler(n_startup_trials=3), False),
        (optuna.samplers.TPESampler(n_startup_trials=50), True),
    ],
)
def test_a_comparison_within_the_start_up_says_so(tmp_path, sampler, told):
    found = nasopt.compare(
        small(trials=4), samplers=["random", sampler], seeds=1, replicates=0,
        storage=tmp_path / "x.db", device="cpu",
    )  # fmt: skip
    assert any("here it is random sampling" in note for note in found.notes) == told
    assert "there is no verdict on" in found.verdict
    assert "a test needs 8 seeds" in found.verdict
    lines = repr(found).splitlines()
    assert lines[0] == "experiment: 4 evaluations a study"
    assert 4 <= len(lines) <= 12
    assert [line.split()[0] for line in lines[1:4]] == [
        "sampler", *(each.sampler for each in found.standings),
    ]  # fmt: skip
