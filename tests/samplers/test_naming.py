"""Samplers of other settings are other samplers: they are told apart, or are given names."""

import pytest
from optuna.samplers import RandomSampler, TPESampler

import nasopt
from nasopt import parameters
from nasopt.errors import StudyError
from nasopt.samplers import SurrogateSampler, sampler_name
from nasopt.samplers.naming import told_apart
from nasopt.search.comparison import Comparison
from tests.examples import small
from tests.trials import told

GIVEN = {"seeds": 1, "trials": 6, "replicates": 0, "device": "cpu"}


def names(*samplers) -> list[str]:
    return [sampler_name(each) for each in told_apart(samplers)]


class Needy(RandomSampler):
    """A sampler that cannot be made without its argument."""

    def __init__(self, needed, inner=None):
        super().__init__()
        self._needed, self._inner = needed, inner


def test_samplers_of_one_class_are_named_by_their_settings():
    assert names(SurrogateSampler(), SurrogateSampler(cost_aware=True)) == [
        "SurrogateSampler",
        "SurrogateSampler(cost_aware=True)",
    ]
    assert names(TPESampler(n_startup_trials=3, seed=1), TPESampler(multivariate=False), "tpe") == [
        "TPESampler(n_startup_trials=3)",
        "TPESampler(multivariate=False)",
        "tpe",
    ]
    assert names(Needy(1), Needy(2, RandomSampler())) == [
        "Needy(needed=1)",
        "Needy(inner=RandomSampler, needed=2)",
    ]


def test_one_of_its_class_keeps_the_name_that_it_always_had():
    assert names("tpe", TPESampler(n_startup_trials=3), RandomSampler()) == [
        "tpe",
        "TPESampler",
        "RandomSampler",
    ]


def test_a_comparison_compares_two_settings_of_one_sampler(tmp_path):
    samplers = ["random", SurrogateSampler(), SurrogateSampler(cost_aware=True)]
    comparison = Comparison(small(), samplers=samplers, storage=tmp_path / "x.db", **GIVEN)
    list(comparison)
    assert {row.sampler for row in comparison.result.rows} == {
        "random",
        "SurrogateSampler",
        "SurrogateSampler(cost_aware=True)",
    }


def test_an_object_of_nasopts_knows_the_problem_as_one_by_name_does(tmp_path):
    given = {"trials": 7, "storage": tmp_path / "x.db", "device": "cpu"}
    mine = nasopt.run(small(), sampler=SurrogateSampler(), **given)
    assert told(mine) == told(nasopt.run(small(), sampler="surrogate", **given))


def test_a_name_may_be_given_to_any_sampler(tmp_path):
    given = {"storage": tmp_path / "x.db", "device": "cpu", "trials": 2}
    study = nasopt.run(small(), sampler={"mine": TPESampler(n_startup_trials=2)}, **given)
    assert study.study_name == "experiment/mine/0"
    assert study.user_attrs["sampler"] == "mine"
    with pytest.raises(StudyError, match=r"mine\.n_startup_trials is 3 now, was 2 when it began"):
        nasopt.run(small(), sampler={"mine": TPESampler(n_startup_trials=3)}, **given)
    nasopt.run(small(), sampler={"alias": "random"}, **given)
    with pytest.raises(StudyError, match=r"alias\.sampler is tpe now, was random"):
        nasopt.run(small(), sampler={"alias": "tpe"}, **given)


def test_a_comparison_takes_names_and_samplers_in_any_mixture(tmp_path):
    mine = {"random": "random", "mine": TPESampler(n_startup_trials=2), "Other": TPESampler()}
    for samplers in (mine, ["random", {"mine": TPESampler(n_startup_trials=2)}, {"Other": "tpe"}]):
        comparison = Comparison(
            small(), samplers=samplers, baseline="other", storage=tmp_path / "x.db", **GIVEN
        )
        assert list(comparison.samplers) == ["random", "mine", "Other"]
        assert comparison.baseline == "Other"


@pytest.mark.parametrize(
    ("samplers", "line"),
    [
        ([TPESampler(), TPESampler()], "2 are called TPESampler; give each a name, as in"),
        ([{"tpe": TPESampler()}], "sampler='tpe': the name of one of nasopt's; give another"),
        ([{"a/b": TPESampler()}], "sampler='a/b': a name of up to 100 characters, without a /"),
        ([{"x" * 101: TPESampler()}], "a name of up to 100 characters"),
        ([{"": TPESampler()}], "sampler='': give it a name"),
        ([{"mine": "random"}, {"mine": "tpe"}], "2 are called mine"),
        ([{"mine": "tbe"}], "sampler='tbe': unknown; did you mean tpe?"),
        ({}, "samplers: none; choose from"),
    ],
)
def test_names_that_cannot_be_are_refused_with_the_remedy(samplers, line):
    with pytest.raises(StudyError) as raised:
        Comparison(small(), samplers=samplers)
    assert line in str(raised.value)


def test_a_run_takes_one_sampler():
    with pytest.raises(StudyError, match="2 samplers; give one"):
        nasopt.run(small(), sampler={"a": "random", "b": "tpe"})


def test_the_default_comparison_has_the_default_sampler(tmp_path):
    comparison = Comparison(small(), storage=tmp_path / "x.db", device="cpu")
    assert set(comparison.samplers) == {"random", "largest", "one-epoch", "tpe", "surrogate"}


def test_an_object_learns_the_problem_in_each_study_and_goes_on_as_one_by_name(tmp_path):
    sampler, path = SurrogateSampler(), tmp_path / "x.db"

    def suggested(given, trials, storage):
        experiment = small(trials=trials, limits=(parameters <= 600,))
        study = nasopt.run(experiment, sampler=given, storage=storage, device="cpu")
        return [trial.params for trial in study.trials]

    suggested(sampler, 9, path)
    assert not sampler.has_problem  # a study has a copy
    assert suggested(sampler, 13, path) == suggested("surrogate", 13, tmp_path / "y.db")
