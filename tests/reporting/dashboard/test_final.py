"""The final model in optuna-dashboard: a section of the study's note, a plot, and files."""

import csv
import urllib.request

import pytest
from optuna_dashboard import get_note

from nasopt.reporting.dashboard.filling import Filling
from nasopt.storage.opening import open_storage
from tests.reporting.dashboard.serving import asked, copied, load, plots_of, serving

STUDY = "here/random/0"


@pytest.fixture
def database(tested, tmp_path):
    return copied(tested[0] / "x.db", tmp_path / "x.db")


def file_of(url, artifact):
    with urllib.request.urlopen(f"{url}/artifacts/1/{artifact['artifact_id']}") as response:
        return response.headers["Content-Type"], response.read().decode()


def test_the_final_model_is_in_the_note_a_plot_and_files(tested, database, tmp_path):
    result = tested[2]
    with serving(database, artifact_dir=tmp_path / "files") as url:
        files = {each["filename"]: each for each in asked(f"{url}/api/studies/1")["artifacts"]}
        assert files.keys() == {
            "best-network.json", "final-model.svg", "final-model.csv", "final-model-confusion.csv",
        }  # fmt: skip
        kind, drawn = file_of(url, files["final-model.svg"])
        assert kind == "image/svg+xml"
        assert drawn.startswith("<svg")
        header, winner, *_ = csv.reader(file_of(url, files["final-model.csv"])[1].splitlines())
        assert header[:2] == ["network", "test accuracy"]
        assert winner[:2] == ["the winner", f"{result.test.winner.over_seeds.mean:.4f}"]
        rows = list(csv.reader(file_of(url, files["final-model-confusion.csv"])[1].splitlines()))
        assert [[*map(int, row[2:])] for row in rows[1:]] == [
            [*counts] for counts in result.test.winner.first.confusion
        ]
    study = load(database, STUDY)
    assert "confusion-of-the-final-model" in plots_of(study)
    note = get_note(study).replace("\\", "")
    assert "### The final model" in note
    assert result.test.verdict in note
    assert result.test.about_looks in note


def test_finals_that_end_while_it_serves_are_shown(tested, database):
    storage = open_storage(database, "write")
    with storage.engine.begin() as connection:
        ours = "nasopt_looks", "nasopt_predictions"
        kept = {name: connection.exec_driver_sql(f"SELECT * FROM {name}").all() for name in ours}
        for name in ours:
            connection.exec_driver_sql(f"DELETE FROM {name}")
    filling = Filling(storage, str(database))
    filling.refresh()
    assert "### The final model" not in get_note(load(database, STUDY))
    with storage.engine.begin() as connection:
        for name, rows in kept.items():
            marks = ", ".join("?" * len(rows[0]))
            connection.exec_driver_sql(
                f"INSERT INTO {name} VALUES ({marks})", [tuple(row) for row in rows]
            )
    filling.refresh()
    assert "### The final model" in get_note(load(database, STUDY))
