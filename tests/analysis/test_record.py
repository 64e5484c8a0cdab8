import nasopt
from nasopt import Recipe, real
from nasopt.analysis.record import NOT_NOTED, Record, devices_of
from nasopt.space.fields import integer
from tests.examples import small


def test_a_record_names_the_evaluations_of_its_study_as_the_experiment_does(tmp_path):
    recipe = Recipe(epochs=1, batch_size=integer(16, 32), lr=real(0.01, 1, log=True))
    experiment = small(recipe=recipe, trials=3, seed=5)
    record = Record.of(nasopt.run(experiment, storage=tmp_path / "x.db", device="cpu"))
    assert (record.name, record.sampler, record.seed) == ("experiment/surrogate/0", "surrogate", 0)
    for trial in record.trials:
        evaluation = record.experiment.evaluation(trial.params)
        assert evaluation.key == trial.user_attrs["key"]
        assert evaluation.seed == 5
    assert record.experiment.training == experiment.recipe


def test_trials_of_an_older_version_do_not_say_what_they_were_trained_on(tmp_path):
    trials = list(nasopt.run(small(trials=3), storage=tmp_path / "x.db", device="cpu").trials)
    (here,) = devices_of(trials)
    for trial in trials[:2]:
        del trial.user_attrs["device"]
    assert devices_of(trials) == {NOT_NOTED: 2, here: 1}
    assert devices_of(trials[:2]) == {}


def test_its_draws_are_those_of_a_sample_of_the_experiment(tmp_path):
    experiment = small(trials=1)
    record = Record.of(nasopt.run(experiment, storage=tmp_path / "x.db", device="cpu"))
    draws = dict.fromkeys(each.key for each in record.experiment.draws(20, seed=3))
    assert list(draws)[:5] == [each.key for each in experiment.sample(5, seed=3)]
