import json
from pathlib import Path

import pytest
from PIL import Image

from nasopt.cli.main import main
from tests.commands import fails


def two_classes(count):
    for name, colour in (("cat", "red"), ("dog", "blue")):
        Path("photos", name).mkdir(parents=True)
        for number in range(count):
            Image.new("RGB", (8, 8), colour).save(f"photos/{name}/{number}.JPG")


def test_a_folder_of_pictures_becomes_a_study_file_that_runs(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    two_classes(4)
    assert main(["init", "photos", "--device", "cpu"]) == 0
    out = capsys.readouterr().out
    assert out.startswith("8 pictures of 2 classes, 4 of each; 8 pixels on the shorter side")
    assert "Written: photos.py\n\nNext:\n  nasopt run photos.py\n" in out
    assert fails(capsys, "init", "photos").startswith("nasopt: output=photos.py: is there already")
    assert main(["run", "photos.py", "--trials", "1", "--device", "cpu"]) == 0
    assert "photos/surrogate/0: 1 of 1 trials" in capsys.readouterr().out
    words = ["init", "photos", "-o", "other.py", "--size", "9", "--device", "cpu", "--json"]
    assert main(words) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["output"], found["size"], found["classes"]) == (
        "other.py",
        9,
        {"cat": 4, "dog": 4},
    )


@pytest.mark.parametrize("words", [["nowhere"], ["photos", "--size", "0"], ["photos"]])
def test_a_folder_that_is_none_is_one_line(tmp_path, monkeypatch, capsys, words):
    monkeypatch.chdir(tmp_path)
    Path("photos").mkdir()
    fails(capsys, "init", *words)
    assert not list(tmp_path.glob("*.py"))


def test_a_study_file_ends_in_py(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    two_classes(3)
    line = fails(capsys, "init", "photos", "-o", "mine.txt", "--device", "cpu")
    assert line == "nasopt: output=mine.txt: no name of a study file; let it end in .py"
    assert [each.name for each in tmp_path.iterdir()] == ["photos"]


def test_a_size_beyond_the_memory_is_one_line(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    two_classes(4)
    line = fails(capsys, "init", "photos", "--size", "9999999", "--device", "cpu")
    assert line == "nasopt: size=9999999: too large for the memory of cpu; use a smaller one"
    assert not list(tmp_path.glob("*.py"))


def test_a_class_with_fewer_pictures_than_splits_is_named(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    for name, count in (("cat", 5), ("dog", 2)):
        Path("photos", name).mkdir(parents=True)
        for number in range(count):
            Image.new("RGB", (8, 8)).save(f"photos/{name}/{number}.png")
    line = fails(capsys, "init", "photos", "--device", "cpu")
    assert "class 'dog' has 2 images for training, validation and test; give it more" in line
    assert not list(tmp_path.glob("*.py"))
