import math
from dataclasses import fields, replace

import pytest

from nasopt.data import digits
from nasopt.errors import RecipeError
from nasopt.space.architecture import Architecture
from nasopt.space.fields import categorical, integer, real
from nasopt.space.layers import Conv, Dense
from nasopt.training.evaluation import LATER, EpochResult, Evaluation, Recipe

EVALUATION = Evaluation(
    Architecture((Conv(filters=8, stride=2), Dense(width=16))), Recipe(epochs=2), digits(), seed=3
)
OTHER_RECIPES = {
    "epochs": 3,
    "batch_size": 64,
    "optimizer": "adamw",
    "lr": 0.2,
    "weight_decay": 0.0,
    "label_smoothing": 0.1,
    "schedule": "cosine",
    "shift": 1,
    "flip": True,
    "precision": "fp32",
    "compile": True,
    "class_weights": "balanced",
    "crop": 0.5,
    "jitter": 0.25,
    "cutout": 3,
}
RESULT = EpochResult(
    epoch=2, accuracy=0.9, loss=0.5, train_loss=0.4, seconds=1.5, device="cpu, 1 thread", torch="2"
)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"epochs": 0}, "Recipe.epochs=0: use 1 or more"),
        ({"epochs": 2.0}, "Recipe.epochs=2.0: not a whole number; give one"),
        (
            {"epochs": integer(1, 9)},
            "Recipe.epochs=integer(1, 9): every trial may train as long as any other; "
            "give a number",
        ),
        ({"lr": math.nan}, "Recipe.lr=nan: not a finite number; give one"),
        ({"lr": math.inf}, "Recipe.lr=inf: not a finite number; give one"),
        ({"lr": "0.1"}, "Recipe.lr='0.1': not a finite number; give one"),
        ({"lr": 0}, "Recipe.lr=0: use more than 0"),
        ({"lr": real(0, 1)}, "Recipe.lr=0.0: use more than 0"),
        ({"lr": categorical(0.1, -0.1)}, "Recipe.lr=-0.1: use more than 0"),
        ({"batch_size": 1}, "Recipe.batch_size=1: use 2 or more"),
        ({"batch_size": integer(1, 64)}, "Recipe.batch_size=1: use 2 or more"),
        ({"batch_size": real(8, 64)}, "Recipe.batch_size=8.0: not a whole number; give one"),
        ({"weight_decay": -1e-4}, "Recipe.weight_decay=-0.0001: use 0 or more"),
        ({"label_smoothing": 1}, "Recipe.label_smoothing=1: use less than 1"),
        ({"label_smoothing": True}, "Recipe.label_smoothing=True: not a finite number; give one"),
        ({"shift": -1}, "Recipe.shift=-1: use 0 or more"),
        ({"shift": 0.5}, "Recipe.shift=0.5: not a whole number; give one"),
        ({"optimizer": "adam"}, "Recipe.optimizer='adam': unknown; did you mean adamw?"),
        (
            {"schedule": "step"},
            "Recipe.schedule='step': unknown; choose from constant, cosine, onecycle",
        ),
        ({"precision": "fp61"}, "Recipe.precision='fp61': unknown; did you mean fp16?"),
        ({"flip": 1}, "Recipe.flip=1: use True or False"),
        ({"compile": "yes"}, "Recipe.compile='yes': use True or False"),
        ({"crop": 0}, "Recipe.crop=0: use more than 0"),
        ({"crop": 1.5}, "Recipe.crop=1.5: use 1 or less"),
        ({"crop": real(0.5, 2)}, "Recipe.crop=2.0: use 1 or less"),
        ({"jitter": -0.1}, "Recipe.jitter=-0.1: use 0 or more"),
        ({"jitter": 1}, "Recipe.jitter=1: use less than 1"),
        ({"cutout": 1.5}, "Recipe.cutout=1.5: not a whole number; give one"),
        ({"cutout": -1}, "Recipe.cutout=-1: use 0 or more"),
        (
            {"class_weights": "equal"},
            "Recipe.class_weights='equal': unknown; use 'balanced' or None",
        ),
        (
            {"class_weights": categorical("balanced")},
            "Recipe.class_weights=categorical('balanced'): unknown; use 'balanced' or None",
        ),
    ],
)
def test_a_recipe_that_cannot_be_says_why(values, message):
    with pytest.raises(RecipeError) as raised:
        Recipe(**values)
    assert str(raised.value) == message


def test_open_fields_are_parameters_of_the_study():
    recipe = Recipe(lr=real(0.01, 1, log=True), batch_size=categorical(32, 64), shift=integer(0, 2))
    assert recipe.hyperparameters == {
        "recipe.batch_size": categorical(32, 64),
        "recipe.lr": real(0.01, 1, log=True),
        "recipe.shift": integer(0, 2),
    }
    assert Recipe().hyperparameters == {}


def test_choosing_closes_the_open_fields_and_nothing_else():
    recipe = Recipe(epochs=3, lr=real(0.01, 1), batch_size=categorical(32, 64))
    params = {"recipe.lr": 0.5, "recipe.batch_size": 64, "conv01.filters": 8, "recipe.shift": 7}
    assert recipe.choose(params) == Recipe(epochs=3, lr=0.5, batch_size=64)
    assert Recipe().choose(params) == Recipe()


def test_a_parameter_that_is_missing_is_named():
    with pytest.raises(RecipeError) as raised:
        Recipe(lr=real(0.01, 1)).choose({"conv01.filters": 8})
    assert str(raised.value) == "parameter recipe.lr: missing; give it a value"


def test_an_open_field_has_no_value_yet():
    recipe = Recipe(lr=categorical(0.1, 0.2))
    with pytest.raises(RecipeError) as raised:
        recipe.chosen("lr")
    assert str(raised.value) == (
        "Recipe.lr=categorical(0.1, 0.2) is still open; choose one of its values"
    )
    assert recipe.chosen("batch_size") == 128


def test_the_key_is_the_same_on_every_machine():
    assert EVALUATION.key == "f3870620c37e6a5df3d7dd6d5be06732"


@pytest.mark.parametrize("field", [field.name for field in fields(Recipe)])
def test_the_key_covers_every_field_of_the_recipe(field):
    other = replace(EVALUATION.recipe, **{field: OTHER_RECIPES[field]})
    assert replace(EVALUATION, recipe=other).key != EVALUATION.key


@pytest.mark.parametrize(
    "change",
    [
        {"architecture": Architecture((Conv(filters=8, stride=2), Dense(width=17)))},
        {"architecture": Architecture((Conv(filters=8, stride=2),))},
        {"dataset": digits(limit=100)},
        {"dataset": replace(digits(), split_seed=1)},
        {"seed": 4},
    ],
    ids=lambda change: next(iter(change)),
)
def test_the_key_covers_everything_that_goes_in(change):
    assert replace(EVALUATION, **change).key != EVALUATION.key


def test_equal_evaluations_have_one_key():
    assert replace(EVALUATION, dataset=digits()).key == EVALUATION.key
    assert Recipe(lr=1, weight_decay=0) == Recipe(lr=1.0, weight_decay=0.0)
    keys = {
        replace(EVALUATION, recipe=Recipe(lr=lr, weight_decay=decay)).key
        for lr, decay in ((1, 0), (1.0, 0.0))
    }
    assert len(keys) == 1


def test_an_evaluation_is_described_by_what_its_key_covers():
    assert EVALUATION.describe() == {
        "architecture": EVALUATION.architecture.to_json(),
        "recipe": {
            field.name: getattr(EVALUATION.recipe, field.name)
            for field in fields(Recipe)
            if field.name not in LATER
        },
        "dataset": digits().fingerprint,
        "seed": 3,
    }


def test_an_open_recipe_is_described_by_its_choices():
    recipe = Recipe(lr=real(0.1, 1), batch_size=categorical(32, 64))
    value = recipe.to_json()
    assert value["lr"] == {"real": [0.1, 1.0, False]}
    assert value["batch_size"] == {"categorical": [32, 64]}
    assert Recipe.from_json(value) == recipe


@pytest.mark.parametrize("name", LATER)
def test_a_field_that_came_later_is_written_where_it_is_not_as_it_was_before(name):
    assert name not in Recipe().to_json()
    recipe = Recipe(**{name: OTHER_RECIPES[name]})
    assert recipe.to_json()[name] == OTHER_RECIPES[name]
    assert Recipe.from_json(recipe.to_json()) == recipe


def test_an_epoch_result_tells_what_is_determined_from_what_is_measured():
    again = replace(RESULT, seconds=9.0, device="cpu, 2 threads")
    assert again.metrics == RESULT.metrics == (0.9, 0.5, 0.4)
    assert EpochResult(**RESULT.to_json()) == RESULT


@pytest.mark.parametrize(("loss", "diverged"), [(0.4, False), (math.nan, True), (math.inf, True)])
def test_a_training_diverges_when_its_loss_is_not_finite(loss, diverged):
    assert replace(RESULT, train_loss=loss).diverged == diverged
