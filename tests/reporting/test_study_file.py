"""The study file of a folder: it runs as it stands, and is never written over another."""

import ast
import os
import resource
from pathlib import Path

import pytest
from PIL import Image

import nasopt
from nasopt.errors import DataError, Error, StudyError
from nasopt.reporting.study_file import study_name
from nasopt.search.loading import load_experiment
from tests.trials import counted


def photos(folder: Path, each: int = 4, names: tuple[str, ...] = ("cat", "dog")) -> Path:
    for label, name in enumerate(names):
        (folder / name).mkdir(parents=True)
        for number in range(each):
            grey = 200 * label + number
            Image.new("RGB", (14, 12), (grey, 50, 250 - grey)).save(folder / name / f"{number}.png")
    return folder


def test_the_file_is_the_experiment_and_runs_as_it_stands(tmp_path):
    output = tmp_path / "photos.py"
    experiment = nasopt.init(photos(tmp_path / "photos"), output=output, device="cpu")
    loaded = load_experiment(output)
    assert loaded.record == experiment.record
    assert (loaded.name, loaded.trials, loaded.limits) == (
        "photos", experiment.trials, experiment.limits,
    )  # fmt: skip
    study = nasopt.run(loaded, trials=1, storage=tmp_path / "x.db", device="cpu")
    assert len(counted(study)) == 1


def test_it_is_typed_and_tells_what_was_found(tmp_path):
    output = tmp_path / "mine.py"
    nasopt.init(photos(tmp_path / "photos"), output=output, size=8, device="cpu")
    text = output.read_text(encoding="utf-8")
    story = " ".join(str(ast.get_docstring(ast.parse(text))).split())
    assert "8 pictures of 2 classes, 4 of each; 12 pixels on the shorter side, in colour." in story
    assert "4 for training, 2 for validation and 2 for test, split by chance" in story
    assert "A typical trial takes " in story
    assert f"nasopt run {output}" in story
    assert "# Classes: cat 4, dog 4.\n" in text
    assert "size=8," in text
    assert "dataset: Dataset = image_folder(" in text
    assert "experiment: Experiment = Experiment(" in text
    assert '"photos",' in text  # beside it: both may move
    assert max(map(len, text.splitlines())) <= 100


def test_where_some_classes_are_small_all_count_alike(tmp_path):
    photos(tmp_path / "photos", each=12, names=("cat",))
    photos(tmp_path / "photos", each=4, names=("dog",))
    output = tmp_path / "photos.py"
    experiment = nasopt.init(tmp_path / "photos", output=output, device="cpu")
    assert experiment.metric == load_experiment(output).metric == "balanced_accuracy"
    assert "The largest class has 3.0 times as many as the smallest" in " ".join(
        output.read_text(encoding="utf-8").split()
    )


def test_without_an_output_nothing_is_written(tmp_path, monkeypatch):
    photos(tmp_path / "photos")
    monkeypatch.chdir(tmp_path)
    assert nasopt.init("photos", device="cpu").name == "photos"
    assert os.listdir() == ["photos"]


@pytest.mark.parametrize("kind", ["file", "folder", "link"])
def test_nothing_is_ever_overwritten(tmp_path, kind):
    output = tmp_path / "photos.py"
    if kind == "file":
        output.write_text("mine")
    elif kind == "folder":
        output.mkdir()
    else:
        output.symlink_to("nowhere")
    with pytest.raises(StudyError) as raised:
        nasopt.init(photos(tmp_path / "photos"), output=output, device="cpu")
    assert str(raised.value) == (
        f"output={output}: is there already; choose another with -o, or remove it"
    )
    assert kind != "file" or output.read_text() == "mine"
    assert not (tmp_path / "nowhere").exists()


def test_an_output_in_no_folder_is_refused_before_anything_is_measured(tmp_path):
    with pytest.raises(StudyError, match=r"no folder .*nowhere; make it, or choose another$"):
        nasopt.init(tmp_path / "no pictures", output=tmp_path / "nowhere" / "x.py")


@pytest.mark.parametrize("size", [0, -1, 2.5, True, "32"])
def test_a_size_that_is_no_number_of_pixels_is_refused(tmp_path, size):
    with pytest.raises(DataError, match=r"^size=.*: use 1, 2, 3, \.\.\. pixels$"):
        nasopt.init(photos(tmp_path / "photos"), size=size)


def test_a_disk_that_is_full_leaves_no_half_of_a_file(tmp_path):
    folder, output = photos(tmp_path / "photos"), tmp_path / "photos.py"
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    with pytest.raises(StudyError) as raised:  # noqa: PT012
        resource.setrlimit(resource.RLIMIT_FSIZE, (1000, before[1]))
        try:
            nasopt.init(folder, output=output, device="cpu")
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert str(raised.value) == (
        f"output={output}: cannot be written (File too large); choose another with -o"
    )
    assert not output.exists()


def test_a_folder_that_cannot_be_taken_leaves_no_file(tmp_path):
    photos(tmp_path / "photos", each=2)
    with pytest.raises(Error, match="class 'cat' has 2 images for training, validation and test"):
        nasopt.init(tmp_path / "photos", output=tmp_path / "photos.py", device="cpu")
    assert not (tmp_path / "photos.py").exists()


def test_names_that_python_would_read_otherwise_are_only_names(tmp_path):
    folder = photos(
        tmp_path / 'a "b" \\n {x}', names=('"""', "new\nline", "\\N{DASH}", "# {y}", "grün")
    )
    output = tmp_path / 'it\'s """ \\x.py'
    experiment = nasopt.init(folder, output=output, device="cpu")
    assert load_experiment(output).record == experiment.record
    assert experiment.data.classes == 5


@pytest.mark.parametrize(
    ("folder", "name"),
    [
        ("photos", "photos.py"),
        ("My Photos (2024)", "My_Photos_2024.py"),
        ("grün", "grün.py"),
        ("torch", "torch_study.py"),  # else `import torch` would find the study file
        ("types", "types_study.py"),
        ("...", "pictures.py"),
    ],
)
def test_the_file_is_named_after_the_folder_but_never_as_a_module(tmp_path, folder, name):
    assert study_name(tmp_path / folder) == name


def test_the_folder_itself_may_be_the_working_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(photos(tmp_path / "photos"))
    assert study_name(".") == "photos.py"
    experiment = nasopt.init(".", output="photos.py", device="cpu")
    assert load_experiment("photos.py").record == experiment.record
