import itertools
import sqlite3
import sys
from dataclasses import replace

import pytest
from PIL import Image

import nasopt
from nasopt import Experiment, Recipe
from nasopt.data import digits, image_folder
from nasopt.errors import DataError, ModelError, RecipeError, StorageError, StudyError
from tests.models.finishing import copied, finals, here, pictures, rows, run_command


def test_photos_need_their_study_file(tmp_path):
    experiment = here(
        dataset=image_folder(pictures(tmp_path / "photos"), 8),
        recipe=Recipe(epochs=1, batch_size=4), trials=1,
    )  # fmt: skip
    nasopt.run(experiment, sampler="random", storage=tmp_path / "x.db", device="cpu")
    with pytest.raises(StudyError, match=r"image_folder.* are not in the database; give its file"):
        nasopt.finals(storage=tmp_path / "x.db")
    result = finals(tmp_path, experiment, top=1, seeds=1)
    for each in result.test.mistakes:
        assert each.file.split("/")[0] == each.label


@pytest.mark.parametrize("field", ["top", "seeds", "epochs"])
@pytest.mark.parametrize("value", [0, -1, 1.5, True])
def test_a_count_that_is_none_is_refused(searched, field, value):
    with pytest.raises(RecipeError, match=f"{field}={value}: use a whole number from 1"):
        nasopt.finals(here(), storage=searched / "x.db", **{field: value})


def test_a_search_without_a_finished_trial_is_refused(searched, tmp_path):
    folder = copied(searched, tmp_path / "it")
    with sqlite3.connect(folder / "x.db") as database:
        database.execute("UPDATE trials SET state = 'FAIL'")
    with pytest.raises(StudyError, match="study=here/random/0: no finished trial; run it first"):
        finals(folder)


def test_a_study_of_other_data_than_the_files_is_refused(searched):
    other = here(dataset=digits(limit=300))
    with pytest.raises(
        StudyError, match=r"dataset is digits limit=300 .* now, was digits limit=200"
    ):
        finals(searched, other)


def test_a_database_without_the_study_is_refused(searched):
    with pytest.raises(StudyError, match=r"x\.db: no study of there in it; run it first"):
        finals(searched, replace(here(), name="there"))


def test_an_unknown_study_is_refused(searched):
    with pytest.raises(StudyError, match=r"study='here/tpe/0': none of here's; did you mean"):
        finals(searched, study="here/tpe/0")


def test_a_database_that_is_not_there_is_refused_and_not_made(tmp_path):
    with pytest.raises(StorageError, match="no such file"):
        finals(tmp_path)
    assert not list(tmp_path.iterdir())


def test_an_output_folder_that_is_not_empty_is_refused_before_anything_is_trained(
    searched, tmp_path
):
    (tmp_path / "notes.txt").write_text("mine")
    before = rows(searched, "SELECT count(*) FROM nasopt_epochs")
    with pytest.raises(ModelError, match="not empty; name another folder with -o"):
        finals(searched, output=tmp_path)
    assert rows(searched, "SELECT count(*) FROM nasopt_epochs") == before
    assert [file.name for file in tmp_path.iterdir()] == ["notes.txt"]


@pytest.mark.parametrize("place", ["notes.txt", "notes.txt/model", "/proc/here/model"])
def test_a_place_that_cannot_be_written_is_refused_before_anything_is_trained(
    searched, tmp_path, capsys, place
):
    (tmp_path / "notes.txt").write_text("mine")
    before = rows(searched, "SELECT count(*) FROM nasopt_epochs")
    assert run_command(searched, "-o", str(tmp_path / place)) == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert said.startswith(f"nasopt: {tmp_path / place}: ")
    assert "name another folder with -o" in said
    assert rows(searched, "SELECT count(*) FROM nasopt_epochs") == before
    assert [file.name for file in tmp_path.iterdir()] == ["notes.txt"]


def test_that_there_will_be_no_onnx_is_said_before_anything_is_trained(
    searched, tmp_path, monkeypatch, capsys
):
    monkeypatch.setitem(sys.modules, "onnx", None)
    folder = copied(searched, tmp_path / "it")
    assert run_command(folder, "--time", "0.0001s") == 0  # not enough for the first training
    assert capsys.readouterr().err == (
        "nasopt: model.onnx: will not be written, onnx is not installed; run: "
        'pip install "nasopt[onnx]"\n'
    )


def test_a_study_of_a_table_is_refused(tmp_path):
    table = tmp_path / "t.csv"
    table.write_text("a,accuracy\n1,0.5\n2,0.6\n")
    experiment = Experiment.on_benchmark(str(table), trials=2)
    nasopt.run(experiment, sampler="random", storage=tmp_path / "x.db")
    with pytest.raises(StudyError, match="looked up in a table"):
        nasopt.finals(storage=tmp_path / "x.db")


def test_a_mistake_is_one_line(searched, capsys):
    assert run_command(searched, "--study", "nobody") == 2
    said = capsys.readouterr().err
    assert said.startswith("nasopt: study='nobody': not in this database")
    assert said.count("\n") == 1


def test_a_time_that_is_none_is_refused(searched, capsys):
    with pytest.raises(RecipeError, match="time=0: give a number of seconds above 0"):
        finals(searched, time=0)
    assert run_command(searched, "--time", "0") == 2
    assert run_command(searched, "--time", "soon") == 2
    assert "time='soon': not a length of time" in capsys.readouterr().err


def test_a_folder_without_a_test_split_is_told_before_anything_is_trained(tmp_path):
    for split, name in itertools.product(("train", "val"), ("ant", "bee")):
        (tmp_path / "photos" / split / name).mkdir(parents=True)
        for number in range(4):
            file = tmp_path / "photos" / split / name / f"{number}.png"
            Image.new("RGB", (8, 8), (number, 100, 200)).save(file)
    experiment = here(dataset=image_folder(tmp_path / "photos", 8), trials=1)
    nasopt.run(experiment, storage=tmp_path / "x.db", device="cpu")
    with pytest.raises(DataError) as raised:
        finals(tmp_path, experiment)
    assert str(raised.value) == (
        "image_folder: no test split in the folder, only train and one for validation; add a test "
        "folder with the same classes and search on that"
    )
    assert not (tmp_path / "model").exists()
