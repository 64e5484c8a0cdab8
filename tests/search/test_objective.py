"""An experiment as the objective of a study whose loop is the user's own."""

import gc
import glob
import tempfile

import optuna
import pytest
from optuna.pruners import BasePruner
from optuna.trial import TrialState

import nasopt
from nasopt import Experiment, Objective, Recipe, parameters
from nasopt.errors import StudyError
from nasopt.samplers import SurrogateSampler
from tests.examples import small


class After(BasePruner):
    """A pruner of every trial after so many epochs, but the first one."""

    def __init__(self, epoch: int) -> None:
        self.epoch = epoch

    def prune(self, study: optuna.Study, trial: optuna.trial.FrozenTrial) -> bool:
        return trial.number > 0 and trial.last_step == self.epoch


def optimized(experiment, trials=3, pruner=None, **given) -> optuna.Study:
    study = optuna.create_study(
        direction="maximize", pruner=pruner, sampler=optuna.samplers.RandomSampler(seed=0)
    )
    study.optimize(Objective(experiment, device="cpu", **given), n_trials=trials)
    return study


def test_plain_optuna_trains_what_a_search_would_and_both_share_the_trainings(tmp_path):
    study = optimized(small(), storage=tmp_path / "x.db")
    assert {trial.state for trial in study.trials} == {TrialState.COMPLETE}
    best = study.best_trial
    assert best.value == best.intermediate_values[2] > 0.1
    assert best.user_attrs["epochs"] == 2
    assert best.user_attrs["parameters"] > 0
    assert best.user_attrs["replayed_epochs"] == 0
    again = optimized(small(), storage=tmp_path / "x.db")
    assert [trial.values for trial in again.trials] == [trial.values for trial in study.trials]
    assert {trial.user_attrs["replayed_epochs"] for trial in again.trials} == {2}
    search = nasopt.run(small(), sampler="random", storage=tmp_path / "x.db", trials=1)
    search.enqueue_trial(best.params)
    search = nasopt.run(small(), sampler="random", storage=tmp_path / "x.db", trials=2)
    assert search.trials[1].value == best.value
    assert search.trials[1].user_attrs["replayed_epochs"] == 2


def test_the_pruner_of_the_study_prunes_and_the_trial_says_why():
    study = optimized(small(), pruner=After(1))
    states = [trial.state for trial in study.trials]
    assert states == [TrialState.COMPLETE, TrialState.PRUNED, TrialState.PRUNED]
    last = study.trials[-1]
    assert last.user_attrs["reason"] == "pruned after epoch 1"
    assert (last.user_attrs["ended_by"], last.user_attrs["epochs"]) == ("pruner", 1)
    assert list(last.intermediate_values) == [1]


def test_a_network_over_a_limit_is_pruned_untrained_and_infeasible():
    study = optimized(small(limits=parameters <= 150), trials=12)
    over = [trial for trial in study.trials if trial.user_attrs["parameters"] > 150]
    assert 0 < len(over) < 12
    for trial in over:
        assert trial.state is TrialState.PRUNED
        assert not trial.intermediate_values
        assert trial.constraints["parameters <= 150"] > 0
    assert study.best_trial.user_attrs["parameters"] <= 150
    assert study.best_trial.constraints["parameters <= 150"] <= 0


def test_two_objectives_are_two_values():
    study = optuna.create_study(directions=["maximize", "minimize"])
    study.optimize(Objective(small(objectives=("accuracy", "macs"))), n_trials=2)
    for trial in study.trials:
        assert trial.values[1] == trial.user_attrs["macs"]


def test_a_study_that_would_seek_the_worst_is_refused():
    line = r"its directions are minimize for accuracy; write create_study\(direction=\"maximize\"\)"
    with pytest.raises(StudyError, match=line):
        optuna.create_study().optimize(Objective(small()), n_trials=1)
    with pytest.raises(StudyError, match=r"directions=\['maximize', 'minimize'\]"):
        optuna.create_study(direction="maximize").optimize(
            Objective(small(objectives=("accuracy", "macs"))), n_trials=1
        )


def test_a_finished_trial_can_be_tried_again_outside_its_study():
    objective = Objective(small())
    study = optuna.create_study(direction="maximize")
    study.optimize(objective, n_trials=1)
    assert objective(study.best_trial) == study.best_value
    assert objective(optuna.trial.FixedTrial(study.best_params)) == study.best_value


def test_threads_may_share_an_objective(tmp_path):
    study = optuna.create_study(direction="maximize")
    study.optimize(Objective(small(), storage=tmp_path / "x.db"), n_trials=4, n_jobs=2)
    assert {trial.state for trial in study.trials} == {TrialState.COMPLETE}


def test_a_sampler_of_nasopts_may_propose(tmp_path):
    study = optuna.create_study(direction="maximize", sampler=SurrogateSampler(seed=0))
    study.optimize(Objective(small()), n_trials=7)
    assert len({str(trial.params) for trial in study.trials}) == 7


def test_without_a_storage_nothing_is_left_behind():
    pattern = f"{tempfile.gettempdir()}/nasopt-*/trainings.db"
    before = set(glob.glob(pattern))
    objective = Objective(small())
    mine = set(glob.glob(pattern)) - before
    assert mine
    del objective
    gc.collect()
    assert not set(glob.glob(pattern)) & mine


def test_a_benchmark_is_an_objective_as_well(tmp_path):
    (tmp_path / "mine.csv").write_text("a,epoch,accuracy\n0,1,10\n0,2,20\n1,1,15\n1,2,30\n")
    study = optimized(Experiment.on_benchmark(str(tmp_path / "mine.csv")), trials=6)
    assert study.best_value == 30


def test_a_training_that_goes_wrong_ends_its_trial_alone():
    study = optimized(small(recipe=Recipe(epochs=2, batch_size=32, lr=1e30)), trials=2)
    assert [trial.state for trial in study.trials] == [TrialState.PRUNED] * 2
    assert study.trials[0].user_attrs["ended_by"] == "diverged"


def test_the_metric_of_the_experiment_is_what_the_study_sees_and_a_latency_is_measured(tmp_path):
    """They are those of a search in the same database, which trains and measures nothing anew."""
    experiment = small(metric="macro_f1", objectives=("accuracy", "latency"), trials=2)
    study = optuna.create_study(
        directions=["maximize", "minimize"], sampler=optuna.samplers.RandomSampler(seed=0)
    )
    study.optimize(Objective(experiment, device="cpu", storage=tmp_path / "x.db"), n_trials=2)
    settings = {"sampler": "random", "storage": tmp_path / "x.db", "device": "cpu"}
    search = nasopt.run(experiment, **settings, trials=1)
    for trial in study.trials:
        search.enqueue_trial(trial.params)
    search = nasopt.run(experiment, **settings, trials=3)
    assert [each.values for each in search.trials[1:]] == [each.values for each in study.trials]
    assert all(each.values[1] == each.user_attrs["latency"] > 0 for each in study.trials)
    scored = optimized(small(metric="macro_f1"), storage=tmp_path / "x.db", trials=1)
    plain = optimized(small(), storage=tmp_path / "x.db", trials=1)
    assert scored.trials[0].params == plain.trials[0].params
    assert scored.trials[0].value != plain.trials[0].value
