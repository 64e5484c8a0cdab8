"""The seam behind which epochs are trained or looked up: nothing above it asks which."""

import re
from pathlib import Path

import pytest

import nasopt
from nasopt import Experiment
from nasopt.errors import RecipeError
from nasopt.search.backend import Tabular, Trained
from nasopt.search.evaluator import Evaluator
from tests.examples import small

PACKAGE = Path(nasopt.__file__).parent
TABLE = "a,b,epoch,accuracy,parameters\n" + "".join(
    f"{a},{b},{epoch},{10 * a + b + epoch},{a + 1}\n"
    for a in range(3)
    for b in range(3)
    for epoch in (1, 2)
)


@pytest.fixture
def table(tmp_path) -> str:
    (tmp_path / "mine.csv").write_text(TABLE)
    return str(tmp_path / "mine.csv")


def test_an_experiment_has_the_one_or_the_other(table):
    assert isinstance(small().backend, Trained)
    assert isinstance(Experiment.on_benchmark(table).backend, Tabular)


def test_nothing_above_it_asks_whether_there_is_a_benchmark():
    asks = re.compile(r"\.benchmark\b(?!\.)")
    found = {
        f"{path.relative_to(PACKAGE)}: {line.strip()}"
        for wing in ("search", "cli", "reporting")
        for path in (PACKAGE / wing).rglob("*.py")
        for line in path.read_text().splitlines()
        if asks.search(line) and "args.benchmark" not in line and "truth.benchmark" not in line
    }
    assert all(each.startswith("search/experiment.py") for each in found), found


@pytest.mark.parametrize("kind", ["trained", "looked up"])
def test_its_epochs_are_those_of_an_evaluation_and_come_again(tmp_path, table, kind):
    experiment = small() if kind == "trained" else Experiment.on_benchmark(table)
    evaluator = Evaluator(experiment, tmp_path / "x.db", "cpu")
    (evaluation,) = experiment.sample(1, seed=0)
    results = list(evaluator.epochs(evaluation))
    assert [each.epoch for each in results] == [1, 2]
    assert list(evaluator.epochs(evaluation)) == results
    assert all(each.accuracy <= experiment.backend.highest for each in results)


def test_a_table_has_its_own_unit_costs_and_seeds(table):
    backend = Experiment.on_benchmark(table).backend
    assert backend.costs == ("parameters",)
    assert not backend.fresh_seeds
    assert backend.highest > 100
    assert Experiment.on_benchmark(table).batch_macs is None


@pytest.mark.parametrize(
    ("fields", "remedy"),
    [
        ({"dataset": "digits"}, r"Experiment\.dataset: a benchmark has its own; leave dataset=..."),
        ({"space": small().space}, r"Experiment\.space: a benchmark has its own; leave space=..."),
        (
            {"recipe": nasopt.Recipe(epochs=7)},
            r"Experiment\.recipe: a benchmark has its own; leave recipe=",
        ),
    ],
)
def test_what_a_benchmark_has_of_its_own_is_refused(table, fields, remedy):
    with pytest.raises(RecipeError, match=remedy):
        Experiment.on_benchmark(table, **fields)


def test_a_benchmark_in_the_place_of_a_data_set_is_told_where_it_belongs(table):
    with pytest.raises(RecipeError, match=r"a benchmark .* write Experiment\.on_benchmark"):
        Experiment(dataset=nasopt.load_benchmark(table))  # type: ignore[arg-type]


def test_without_data_set_or_space_the_field_is_named():
    with pytest.raises(RecipeError, match=r"Experiment\.dataset: missing; give dataset=\.\.\."):
        Experiment(space=small().space)
    with pytest.raises(RecipeError, match=r"Experiment\.space: missing; give space=\.\.\."):
        Experiment(dataset="digits")
