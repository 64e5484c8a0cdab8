"""The wheel: what is in it, and that a user's script is checked against its types."""

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
SCRIPT = """
from collections.abc import Iterator
from typing import assert_type

import optuna
import pandas
import plotly.graph_objects as go

import nasopt
from nasopt import Architecture, Conv, Experiment, Objective, Recipe, Space, categorical, repeat
from nasopt.data import digits
from nasopt.samplers import SurrogateSampler
from nasopt.trackers import MLflow, TensorBoard


def my_epochs(architecture: Architecture, recipe: Recipe, seed: int) -> Iterator[float]:
    return iter([0.5])


experiment = Experiment(
    dataset=digits(limit=200),
    space=Space(repeat(Conv(filters=categorical(2, 4), stride=categorical(1, 2)), 1, 3)),
    recipe=Recipe(epochs=2),
    trials=4,
)
own = Experiment(space=experiment.space, train=my_epochs, recipe=Recipe(epochs=1))
callbacks = [TensorBoard("tensorboard"), MLflow("sqlite:///mlflow.db")]
study = nasopt.run(experiment, sampler={"mine": "tpe"}, callbacks=callbacks, progress=False)
assert_type(study, optuna.Study)
result = nasopt.StudyResult(study)
assert_type(result.best.accuracy, float | None)
frame: pandas.DataFrame = result.trials
database = nasopt.open("runs/experiment.db")
assert_type(database, nasopt.Database)
assert_type(database.study("experiment/mine/0"), nasopt.StudyResult)
print([each.study for each in database.studies], result.why(3), result.noise, result.curves)
comparison = nasopt.compare(
    experiment,
    samplers=[SurrogateSampler(), SurrogateSampler(cost_aware=True), {"mine": "tpe"}, "random"],
    seeds=2,
    callbacks=callbacks,
)
nasopt.compare(experiment, samplers={"mine": optuna.samplers.TPESampler(), "random": "random"})
assert_type(comparison.verdict, str)
assert_type(database.comparison("*"), nasopt.ComparisonResult)
figure: go.Figure = nasopt.figures.front(comparison, "parameters")
nasopt.figures.network(study, number=2).show()
optuna.create_study(direction="maximize").optimize(Objective(experiment), callbacks=callbacks)
"""
WRONG = {  # what a user may get wrong, and what mypy says of it
    '"parameters")': ('"weights")', 'Argument 2 to "front" has incompatible type'),
    "progress=False": (
        "progress=1.5",
        'Argument "progress" to "run" has incompatible type "float"',
    ),
    "recipe: Recipe,": ("recipe: int,", 'Argument "train" to "Experiment" has incompatible type'),
    'TensorBoard("tensorboard")': ("TensorBoard(3)", 'Argument 1 to "TensorBoard" has'),
    "result.noise": ("result.nois", '"StudyResult" has no attribute "nois"'),
}
# The types of these are not ours, and would take most of the time.
SETTINGS = """
[mypy]
strict = True
[mypy-torch.*,torchvision.*,pandas.*,plotly.*,mlflow.*,sqlalchemy.*]
follow_imports = skip
ignore_missing_imports = True
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


def test_the_wheel_has_types_templates_and_studies(installed):
    for name in ("py.typed", "reporting/html/page.html.jinja", "studies/digits.py"):
        assert (installed / "nasopt" / name).is_file()


def test_a_users_script_is_checked_against_the_types_of_the_wheel(installed, tmp_path):
    wrong = SCRIPT
    for right, (mistake, _) in WRONG.items():
        assert right in wrong
        wrong = wrong.replace(right, mistake)
    (tmp_path / "right.py").write_text(SCRIPT)
    (tmp_path / "wrong.py").write_text(wrong)
    (tmp_path / "mypy.ini").write_text(SETTINGS)
    command = [sys.executable, "-m", "mypy", "--no-color-output", "right.py", "wrong.py"]
    env = {**os.environ, "PYTHONPATH": str(installed)}
    done = subprocess.run(
        command, cwd=tmp_path, env=env, capture_output=True, text=True, check=False
    )
    found = [line for line in done.stdout.splitlines() if ": error: " in line]
    assert len(found) == len(WRONG), done.stdout + done.stderr
    assert all(line.startswith("wrong.py") for line in found)
    for _, message in WRONG.values():
        assert any(message in line for line in found), message
