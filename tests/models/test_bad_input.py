"""What a user gets wrong on the way to a model, at the command line: one line, and nothing lost."""

import shutil
import sqlite3
from pathlib import Path

import pytest
from PIL import Image

import nasopt
from tests.commands import fails
from tests.models.finishing import copied, rows
from tests.models.small import changed, trained

DEVICE = ("--device", "cpu")


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    return nasopt.save(trained(), tmp_path_factory.mktemp("models") / "model")


@pytest.fixture
def model(saved, tmp_path, monkeypatch):
    """A copy of a model, and a picture, in the working folder."""
    monkeypatch.chdir(tmp_path)
    shutil.copytree(saved, "model")
    Image.new("L", (8, 8)).save("a.png")
    return Path("model")


@pytest.fixture
def study(searched, tmp_path, monkeypatch):
    """A finished search and its study file in the working folder."""
    folder = copied(searched, tmp_path / "it")
    monkeypatch.chdir(folder)
    Path("here.py").write_text(HERE)
    return folder


HERE = """from tests.models.finishing import here
experiment = here()
"""
FINALS = ("finals", "here.py", "--storage", "x.db", *DEVICE)


def cut(file):
    file.write_bytes(file.read_bytes()[:-9])


def empty(file):
    file.write_bytes(b"")


def newer(file):
    changed(file, b'"format": 1', b'"format": 9')


def folder_instead(file):
    file.unlink()
    file.mkdir()


@pytest.mark.parametrize("verb", ["predict", "reproduce"])
@pytest.mark.parametrize(
    ("name", "harm", "told"),
    [
        ("model.safetensors", cut, "damaged, or not of this model; get the whole folder again"),
        ("model.safetensors", Path.unlink, "missing; get the whole folder again"),
        ("model.safetensors", folder_instead, "cannot be read (Is a directory); "),
        ("architecture.json", cut, "damaged ("),
        ("architecture.json", empty, "damaged ("),
        ("architecture.json", newer, "of a newer nasopt, "),
        ("architecture.json", lambda file: changed(file, b'"stride": 2', b'"stride": 1'),
         "changed since it was written; get the whole folder again"),
        ("preprocessing.json", lambda file: changed(file, b'"3"', b'"8"'),
         "damaged, or not of this model; get the whole folder again"),
        ("preprocessing.json", Path.unlink, "missing; get the whole folder again"),
    ],
)  # fmt: skip
def test_a_harmed_model_is_one_line(model, capsys, verb, name, harm, told):
    harm(model / name)
    line = fails(capsys, verb, "model", *(["a.png"] if verb == "predict" else []), *DEVICE)
    assert line.startswith(f"nasopt: model/{name}: {told}")


@pytest.mark.parametrize("folder", ["nowhere", "a.png"])
def test_what_is_no_model_is_one_line(model, capsys, folder):
    told = f"nasopt: {folder}: no such folder; give one that nasopt finals has written"
    assert fails(capsys, "predict", folder, "a.png", *DEVICE) == told
    assert fails(capsys, "reproduce", folder, *DEVICE) == told


def test_network_py_is_read_by_nobody(model, capsys):
    (model / "network.py").write_text("raise SystemExit(3)")
    assert nasopt.load(model).predict("a.png")


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--time", "0"], "time=0.0: give a number of seconds above 0"),
        (["--time", "soon"], "time='soon': not a length of time; write 90m, 2h30m, 45s or a numb"),
        (["-o", "full"], "full: not empty; name another folder with -o, or remove it"),
        (["--top", "0"], "top=0: use a whole number from 1"),
        (["--study", "here/tpe/0"], "study='here/tpe/0': none of here's; did you mean here/rand"),
        (["--storage", "y.db"], "storage=y.db: no such file; "),
    ],
)
def test_what_finals_cannot_take_is_one_line_and_nothing_is_lost(study, capsys, words, told):
    Path("full").mkdir()
    Path("full", "notes.txt").write_text("mine")
    before = everything(study)
    assert fails(capsys, *FINALS, *words).startswith(f"nasopt: {told}")
    assert everything(study) == before
    assert Path("full", "notes.txt").read_text() == "mine"
    assert {each.name for each in study.iterdir() if each.is_dir()} <= {"full", "x.db.leases"}


def test_a_study_without_a_finished_trial_is_one_line(study, capsys):
    with sqlite3.connect("x.db") as database:
        database.execute("UPDATE trials SET state = 'FAIL'")
    told = "nasopt: study=here/random/0: no finished trial; run it first, or for longer"
    assert fails(capsys, *FINALS) == told


def test_other_data_than_the_files_is_one_line_and_nothing_is_lost(study, capsys):
    other = HERE.replace("here()", "here(dataset=digits(limit=300))")
    Path("here.py").write_text(f"from nasopt.data import digits\n{other}")
    before = everything(study)
    line = fails(capsys, *FINALS)
    assert line.startswith("nasopt: study=here/random/0: dataset is digits limit=300 split=0 now, ")
    assert line.endswith("; set it back, or choose another --storage or Experiment(name=...)")
    assert everything(study) == before


def everything(folder):
    """What is in the database of a search."""
    tables = ("trials", "trial_params", "nasopt_epochs", "nasopt_evaluations")
    return {each: rows(folder, f"SELECT * FROM {each}") for each in tables}
