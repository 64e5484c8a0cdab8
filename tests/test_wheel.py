"""The wheel: what is in it, and that a user's script is checked against its types."""

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
SCRIPT = """
from typing import assert_type

import optuna
import nasopt
from nasopt import Conv, Experiment, Recipe, Space, categorical, repeat
from nasopt.data import digits

experiment = Experiment(
    dataset=digits(limit=200),
    space=Space(repeat(Conv(filters=categorical(2, 4), stride=categorical(1, 2)), 1, 3)),
    recipe=Recipe(epochs=2),
    trials=4,
)
study = nasopt.run(experiment, progress=False)
assert_type(study, optuna.Study)
result = nasopt.StudyResult(study)
assert_type(result.best.accuracy, float | None)
database = nasopt.open("runs/experiment.db")
assert_type(database, nasopt.Database)
comparison = nasopt.compare(experiment, samplers="random,tpe", seeds=2)
assert_type(comparison.verdict, str)
assert_type(database.comparison("*"), nasopt.ComparisonResult)
figure = nasopt.figures.front(comparison, "parameters")
"""


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    """The wheel of this tree, unpacked where nothing else is."""
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    (wheel,) = folder.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder / "site")
    return folder / "site"


def check(script, installed, tmp_path) -> str:
    (tmp_path / "mine.py").write_text(script)
    command = [sys.executable, "-m", "mypy", "--strict", "--no-color-output", "mine.py"]
    env = {**os.environ, "PYTHONPATH": str(installed)}
    done = subprocess.run(
        command, cwd=tmp_path, env=env, capture_output=True, text=True, check=False
    )
    return done.stdout + done.stderr


def test_the_wheel_has_types_templates_and_studies(installed):
    for name in ("py.typed", "reporting/html/page.html.jinja", "studies/digits.py"):
        assert (installed / "nasopt" / name).is_file()


def test_a_users_script_is_checked_against_the_types_of_the_wheel(installed, tmp_path):
    assert check(SCRIPT, installed, tmp_path).startswith("Success")
    wrong = SCRIPT.replace('"parameters")', '"weights")').replace("progress=False", "progress=1.5")
    found = check(wrong, installed, tmp_path)
    assert 'Argument "progress" to "run" has incompatible type "float"' in found
    assert "Found 2 errors" in found
