import os
import signal

import optuna
import pytest
from optuna.trial import TrialState

import nasopt
from nasopt import Conv, Interrupted, Recipe, Space, categorical
from nasopt.errors import StudyError
from nasopt.samplers.baselines.one_epoch import longest, looks
from nasopt.search.search import Search
from nasopt.storage.budget import spent
from tests.examples import small
from tests.trials import counted, told

EPOCHS = 3
THREE = Recipe(epochs=EPOCHS, batch_size=32)


def run(experiment: nasopt.Experiment, database, trials: int | None = None) -> optuna.Study:
    return nasopt.run(
        experiment, sampler="one-epoch", trials=trials, storage=database, device="cpu"
    )


@pytest.mark.parametrize(("trials", "looked_at"), [(1, 0), (2, 1), (6, 4), (40, 34), (200, 186)])
def test_all_but_the_square_root_of_the_trials_are_looks(trials, looked_at):
    assert looks(trials) == looked_at


def test_a_study_by_epochs_is_the_longest_that_fits():
    # 34 looks and 6 trainings of 40 trials: 34 + 6 x 19 epochs
    assert longest(34 + 6 * 19, epochs=20) == 40
    assert longest(34 + 6 * 19 - 1, epochs=20) == 39
    assert longest(3, epochs=20) == 1


def test_the_best_few_after_one_epoch_are_trained_in_full(tmp_path):
    study = run(small(recipe=THREE, trials=9), tmp_path / "x.db")
    first, finals = counted(study)[:6], counted(study)[6:]
    assert len(finals) == 3
    assert {trial.state for trial in first} == {TrialState.PRUNED}
    assert {trial.last_step for trial in first} == {1}
    assert {trial.user_attrs["reason"] for trial in first} == {"pruned after epoch 1"}
    best = sorted(first, key=lambda trial: (-trial.value, trial.number))[:3]
    assert [trial.params for trial in finals] == [trial.params for trial in best]
    assert {trial.state for trial in finals} == {TrialState.COMPLETE}
    assert {trial.last_step for trial in finals} == {EPOCHS}


def test_a_final_goes_on_with_what_was_paid(tmp_path):
    study = run(small(recipe=THREE, trials=4), tmp_path / "x.db")
    costs = [cost.epochs for cost in spent(study.trials) if cost.epochs]
    assert costs == [1, 1, EPOCHS - 1, EPOCHS - 1]
    assert [trial.user_attrs["replayed_epochs"] for trial in counted(study)] == [0, 0, 1, 1]


def test_the_looks_are_those_of_random_sampling(tmp_path):
    experiment = small(recipe=THREE, trials=4)
    study = run(experiment, tmp_path / "x.db")
    random = nasopt.run(experiment, sampler="random", storage=tmp_path / "x.db", device="cpu")
    assert [trial.params for trial in study.trials[:2]] == [
        trial.params for trial in random.trials[:2]
    ]


@pytest.mark.parametrize("number", [1, 3])
def test_a_study_that_was_interrupted_equals_the_uninterrupted_one(tmp_path, number):
    """In a look before its report, and in a final in the middle."""
    experiment = small(recipe=THREE, trials=4)
    search = Search(experiment, sampler="one-epoch", storage=tmp_path / "x.db", device="cpu")
    with pytest.raises(Interrupted):  # noqa: PT012
        for progress in search:
            if progress.number == number and progress.epoch == (2 if number == 3 else 0):
                os.kill(os.getpid(), signal.SIGINT)
    resumed = run(experiment, tmp_path / "x.db")
    assert told(resumed) == told(run(experiment, tmp_path / "y.db"))


def test_a_final_that_was_interrupted_ends_as_one_even_if_more_looks_are_asked_for(tmp_path):
    search = Search(
        small(recipe=THREE, trials=4), sampler="one-epoch", storage=tmp_path / "x.db", device="cpu"
    )
    for progress in search:
        if progress.number == 2 and progress.epoch == 1:
            break
    study = run(small(recipe=THREE), tmp_path / "x.db", trials=9)
    assert [trial.last_step for trial in counted(study)] == [1, 1, 3, 1, 1, 1, 1, 3, 3]


def test_more_trials_are_more_looks_and_then_more_trainings(tmp_path):
    run(small(recipe=THREE, trials=4), tmp_path / "x.db")
    study = run(small(recipe=THREE), tmp_path / "x.db", trials=9)
    steps = [trial.last_step for trial in counted(study)]
    assert steps == [1, 1, 3, 3, 1, 1, 1, 1, 3]  # looks(4) = 2, looks(9) = 6
    finals = [str(trial.params) for trial in counted(study) if trial.last_step == 3]
    assert len(set(finals)) == 3


def test_a_repeat_of_a_network_that_went_on_is_told_how_it_ended(tmp_path):
    experiment = small(space=Space(Conv(filters=categorical(2, 4, 8))), recipe=THREE, trials=4)
    run(experiment, tmp_path / "x.db")  # of three networks two are looked at and go on
    study = run(experiment, tmp_path / "x.db", trials=5)
    repeats = [trial for trial in study.trials[4:] if "repeat_of" in trial.user_attrs]
    assert repeats
    assert {trial.state for trial in repeats} == {TrialState.COMPLETE}


def test_a_single_trial_is_trained_in_full(tmp_path):
    (trial,) = run(small(recipe=THREE, trials=1), tmp_path / "x.db").trials
    assert (trial.state, trial.last_step) == (TrialState.COMPLETE, EPOCHS)


def test_what_was_enqueued_is_looked_at_like_any_other(tmp_path):
    study = run(small(recipe=THREE, trials=2), tmp_path / "x.db", trials=1)
    study.enqueue_trial({"conv.depth": 1, "conv01.filters": 8, "conv01.stride": 1})
    study = run(small(recipe=THREE), tmp_path / "x.db", trials=2)
    assert study.trials[1].params["conv01.filters"] == 8
    assert study.trials[1].last_step == 1


def test_it_decides_itself_whatever_the_pruner_of_the_experiment(tmp_path, caplog):
    study = run(small(recipe=THREE, trials=4, pruner="none"), tmp_path / "x.db")
    assert study.user_attrs["pruner"] == "one-epoch"
    assert sum(trial.state is TrialState.PRUNED for trial in counted(study)) == 2
    assert caplog.text == ""


@pytest.mark.parametrize(
    ("change", "line"),
    [
        ({"recipe": Recipe(epochs=1)}, "sampler='one-epoch': a training has one epoch here"),
        ({"objectives": ("accuracy", "macs")}, "sampler='one-epoch': it goes on with"),
    ],
)
def test_where_nothing_can_be_cut_short_it_is_refused_before_a_study_exists(tmp_path, change, line):
    with pytest.raises(StudyError) as raised:
        run(small(**change), tmp_path / "x.db")
    assert str(raised.value).startswith(line)
    assert str(raised.value).endswith("; choose another sampler")
    assert not (tmp_path / "x.db").exists()
