import optuna
import pytest
import torch

import nasopt
from nasopt import Conv, Space, categorical, parameters
from nasopt.analysis.outcome import load_study, outcome, result
from nasopt.analysis.studies import study_summaries
from nasopt.errors import StudyError
from nasopt.storage.opening import open_storage
from nasopt.training.devices import device_name
from tests.examples import small


def test_the_outcome_is_the_best_trial_as_a_network(tmp_path):
    study = nasopt.run(small(), storage=tmp_path / "x.db", device="cpu")
    found = result(load_study(open_storage(tmp_path / "x.db", "read")))
    assert (found.study, found.done, found.trials) == ("experiment/surrogate/0", 6, 6)
    (best,) = found.best
    assert best.number == study.best_trial.number
    assert best.accuracy == study.best_value == best.accuracies[-1]
    assert best.architecture == small().space.decode(study.best_trial.params)
    cost = small().cost(best.architecture)
    assert (best.parameters, best.macs) == (cost.parameters, cost.macs)


def test_it_tells_what_the_networks_were_trained_on(tmp_path):
    study = nasopt.run(small(trials=3), storage=tmp_path / "x.db", device="cpu")
    here = device_name(torch.device("cpu"))
    assert result(study).devices == {here: 3}
    assert {trial.user_attrs["device"] for trial in study.trials} == {here}


def test_of_equal_trials_the_first_is_the_best(tmp_path):
    space = Space(Conv(filters=categorical(2, 4)))
    study = nasopt.run(
        small(space=space, trials=2), sampler="random", storage=tmp_path / "x.db", device="cpu"
    )
    repeated = [trial for trial in study.trials if trial.value == study.best_value]
    assert result(study).best[0].number == repeated[0].number


def test_an_infeasible_trial_is_shown_but_never_the_best(tmp_path):
    experiment = small(limits=parameters <= 60, trials=1)
    study = nasopt.run(experiment, sampler="random", storage=tmp_path / "x.db", device="cpu")
    assert result(study).best[0].parameters <= 60


def test_the_front_of_two_objectives_goes_from_cheap_to_accurate(tmp_path):
    experiment = small(objectives=("accuracy", "parameters"), trials=8)
    study = nasopt.run(experiment, sampler="random", storage=tmp_path / "x.db", device="cpu")
    front = result(study).best
    assert {each.number for each in front} <= {trial.number for trial in study.best_trials}
    costs, accuracies = [e.parameters for e in front], [e.accuracy for e in front]
    assert costs == sorted(set(costs))
    assert accuracies == sorted(set(accuracies))


def test_any_trial_can_be_asked_for_and_one_that_is_not_there_is_named(tmp_path):
    study = nasopt.run(small(trials=2), storage=tmp_path / "x.db", device="cpu")
    assert outcome(study, 1).number == 1
    with pytest.raises(StudyError, match="trial=2: experiment/surrogate/0 has 2, numbered from 0"):
        outcome(study, 2)
    with pytest.raises(StudyError, match="trial=-1: "):
        outcome(study, -1)


def test_without_a_name_the_study_begun_last_is_meant(tmp_path):
    for sampler in ("random", "surrogate"):
        nasopt.run(small(trials=1), sampler=sampler, storage=tmp_path / "x.db", device="cpu")
    storage = open_storage(tmp_path / "x.db", "read")
    assert load_study(storage).study_name == "experiment/surrogate/0"
    assert load_study(storage, "experiment/random/0").study_name == "experiment/random/0"
    with pytest.raises(
        StudyError, match="not in this database; did you mean experiment/surrogate/0"
    ):
        load_study(storage, "experiment/surrogate/1")


def test_a_database_without_a_study_of_ours_says_so(tmp_path):
    optuna.create_study(storage=f"sqlite:///{tmp_path}/x.db")
    with pytest.raises(StudyError, match="no study of nasopt's in it"):
        load_study(open_storage(tmp_path / "x.db", "read"))


def test_the_list_of_studies_has_where_each_stands(tmp_path):
    nasopt.run(small(trials=2), sampler="random", seed=3, storage=tmp_path / "x.db", device="cpu")
    storage = open_storage(tmp_path / "x.db")
    (summary,) = study_summaries(storage)
    assert (summary.study, summary.sampler, summary.seed) == ("experiment/random/3", "random", 3)
    assert (summary.done, summary.trials, summary.running, summary.queued) == (2, 2, 0, 0)
    assert summary.best is not None
    assert not summary.live
    study = load_study(storage)
    study.enqueue_trial({})
    (summary,) = study_summaries(storage)
    assert summary.queued == 1
