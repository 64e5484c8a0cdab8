import pytest
import torch

import nasopt
from nasopt import Architecture, Conv, Recipe, categorical
from nasopt.data import digits
from nasopt.errors import DataError, ModelError, RecipeError, StudyError
from nasopt.models.fitting import Fit
from tests.examples import empty_study, small
from tests.models.small import RECIPE, SMALL, trained


def weights(model):
    return model.module.state_dict()


def test_a_training_follows_from_its_seed():
    same, again, other = weights(trained()), weights(trained()), weights(trained(seed=1))
    assert all(torch.equal(same[name], again[name]) for name in same)
    assert not all(torch.equal(same[name], other[name]) for name in same)


def test_a_network_is_trained_as_the_search_has_trained_it(tmp_path):
    experiment = small(trials=2, name="mine")
    study = nasopt.run(experiment, storage=tmp_path / "x.db", device="cpu")
    model = nasopt.train(
        nasopt.best(study), experiment.dataset, recipe=experiment.recipe, device="cpu"
    )
    assert model.training.accuracy == study.best_value
    assert model.architecture == experiment.space.decode(study.best_params)


def test_the_best_of_a_study_without_a_finished_trial_is_told():
    with pytest.raises(StudyError, match="no finished trial yet"):
        nasopt.best(empty_study("x/random/0"))


@pytest.mark.parametrize("thing", ["x.db", None, SMALL], ids=lambda each: type(each).__name__)
def test_the_best_of_what_is_no_study_is_one_line(thing):
    with pytest.raises(StudyError, match=f"study={type(thing).__name__}: give a study, as"):
        nasopt.best(thing)


def test_with_the_validation_images_it_is_trained_on_more():
    images = digits().load()
    fit = Fit(SMALL, digits(), RECIPE, 0, "cpu", validation_included=True)
    assert len(fit.images.labels) == len(images.train.labels) + len(images.validation.labels)
    list(fit)
    assert fit.model.training.validation_included
    assert fit.model.preprocessing != trained().preprocessing


def test_the_model_does_not_change_when_its_training_goes_on():
    fit = Fit(SMALL, digits(), RECIPE, 0, "cpu")
    epochs = iter(fit)
    next(epochs)
    before = fit.model
    first = {name: value.clone() for name, value in weights(before).items()}
    next(epochs)
    assert all(torch.equal(first[name], value) for name, value in weights(before).items())


def test_a_training_that_goes_wrong_is_told():
    with pytest.raises(ModelError, match=r"lr=1e\+30: the loss is not finite after epoch 1"):
        nasopt.train(SMALL, "digits", recipe=Recipe(epochs=2, lr=1e30), device="cpu")


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ((SMALL, "digist"), DataError, "dataset='digist': unknown; did you mean digits?"),
        ((SMALL, 3), DataError, "dataset=3: unknown; choose from"),
        (("conv", "digits"), ModelError, "give an Architecture, as nasopt.best"),
        ((SMALL,), ModelError, "missing a required argument: 'dataset'"),
    ],
)
def test_arguments_that_do_not_fit_are_one_line(arguments, error, message):
    with pytest.raises(error, match=message.replace("?", r"\?")):
        nasopt.train(*arguments)


def test_open_fields_of_the_recipe_have_to_be_chosen():
    with pytest.raises(RecipeError, match=r"Recipe\.lr=.* is still open"):
        nasopt.train(SMALL, "digits", recipe=Recipe(lr=categorical(0.1, 0.2)), device="cpu")


def test_a_mistyped_keyword_names_the_closest():
    with pytest.raises(ModelError, match=r"train\(sede=...\): no such argument; did you mean seed"):
        nasopt.train(Architecture((Conv(filters=1),)), "digits", sede=1)


@pytest.mark.parametrize("verb", [nasopt.run, nasopt.compare, nasopt.noise, nasopt.finals])
def test_a_file_is_no_experiment(verb, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(
        StudyError, match=r"experiment='mine\.py': give an Experiment, as nasopt\.l"
    ):
        verb("mine.py")
    assert not any(tmp_path.iterdir())
