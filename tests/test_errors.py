import copy
import inspect
import pickle
import subprocess
import sys

import pytest

from nasopt import errors
from nasopt.data import Dataset
from nasopt.errors import DataError, Error, RecipeError, SpaceError, closest
from nasopt.space.fields import categorical
from nasopt.space.layers import Conv, Dense, Pool
from nasopt.space.space import Space, repeat
from nasopt.training.evaluation import Recipe


def test_the_tree_that_the_module_draws_is_the_family():
    classes = [each for _, each in inspect.getmembers(errors, inspect.isclass)]
    family = [each.__name__ for each in classes if issubclass(each, Exception)]
    drawn = [line.split("+-")[1].split()[0] for line in errors.__doc__.splitlines() if "+-" in line]
    assert sorted(["Error", *drawn]) == sorted(family)
    assert all(issubclass(getattr(errors, name), Error) for name in drawn)


def test_the_family_is_there_without_torch_or_optuna():
    code = "import sys, nasopt.errors; sys.exit(bool({'torch', 'optuna'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


@pytest.mark.parametrize(
    ("name", "remedy"),
    [
        ("tbe", "did you mean tpe?"),
        ("zzz", "choose from gp, random, tpe"),
        (3, "choose from gp, random, tpe"),
    ],
)
def test_the_remedy_for_an_unknown_name_is_the_closest_or_all(name, remedy):
    assert closest(name, ["tpe", "random", "gp"]) == remedy


@pytest.mark.parametrize(
    ("write", "error", "message"),
    [
        (lambda: Conv(filter=8), SpaceError, "Conv.filter: no such field; did you mean filters?"),
        (
            lambda: Conv(filters=8, kernal_size=3),
            SpaceError,
            "Conv.kernal_size: no such field; did you mean kernel_size?",
        ),
        (
            lambda: Conv(filters=8, zzz=1),
            SpaceError,
            "Conv.zzz: no such field; "
            "choose from activation, filters, kernel_size, norm, op, stride",
        ),
        (lambda: Dense(widht=8), SpaceError, "Dense.widht: no such field; did you mean width?"),
        (
            lambda: Pool(kernel=2),
            SpaceError,
            "Pool.kernel: no such field; did you mean kernel_size?",
        ),
        (
            lambda: Recipe(epoch=3),
            RecipeError,
            "Recipe.epoch: no such field; did you mean epochs?",
        ),
        (
            lambda: Space(Conv(filters=8), min_res=2),
            SpaceError,
            "Space.min_res: no such field; did you mean min_resolution?",
        ),
        (
            lambda: Dataset(name="mine", shape=(1, 8, 8)),
            DataError,
            "Dataset.shape: no such field; did you mean input_shape?",
        ),
    ],
)  # fmt: skip
def test_an_unknown_field_is_named_with_the_closest_one(write, error, message):
    with pytest.raises(error) as raised:
        write()
    assert str(raised.value) == message


@pytest.mark.parametrize(
    ("write", "error", "message"),
    [
        (lambda: Conv(stride=2), SpaceError, "Conv.filters: missing; give filters=..."),
        (lambda: Conv(8), SpaceError, "Conv.filters: missing; give filters=..."),
        (lambda: Conv(), SpaceError, "Conv.filters: missing; give filters=..."),
        (lambda: Dense(), SpaceError, "Dense.width: missing; give width=..."),
        (
            lambda: Dataset(name="mine"),
            DataError,
            "Dataset.input_shape: missing; give input_shape=...",
        ),
    ],
)
def test_a_missing_field_is_named(write, error, message):
    with pytest.raises(error) as raised:
        write()
    assert str(raised.value) == message


@pytest.mark.parametrize(
    "written",
    [
        Conv(filters=categorical(8, 16), stride=2),
        Pool(),
        Dense(width=8),
        Recipe(epochs=3),
        Space(repeat(Conv(filters=8), 1, 3)),
    ],
    ids=lambda written: type(written).__name__,
)
def test_what_is_written_by_hand_can_be_copied_and_pickled(written):
    for twin in (copy.copy(written), copy.deepcopy(written), pickle.loads(pickle.dumps(written))):
        assert twin == written
        assert hash(twin) == hash(written)
