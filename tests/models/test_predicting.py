import csv
import io
import json

import pytest
from PIL import Image

import nasopt
from nasopt.cli.main import main
from tests.models.small import trained


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return nasopt.save(trained(), tmp_path_factory.mktemp("models") / "model")


@pytest.fixture
def pictures(tmp_path, monkeypatch):
    """Twenty digits in folders of their classes, and a larger one in colour, in the working one."""
    images, labels = nasopt.data.digits().load().test
    for number in range(20):
        place = tmp_path / "sorted" / str(int(labels[number]))
        place.mkdir(parents=True, exist_ok=True)
        Image.fromarray(images[number, 0].numpy()).save(place / f"{number}.png")
    large = Image.fromarray(images[0, 0].numpy()).resize((50, 40)).convert("RGB")
    large.save(tmp_path / "large.JPG")
    Image.fromarray(images[1, 0].numpy()).save(tmp_path / "other.png")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def predicted(capsys, *words):
    """The exit code, standard output, and the lines of standard error."""
    code = main(["predict", *map(str, words), "--device", "cpu"])
    out, err = capsys.readouterr()
    return code, out, err.splitlines()


def as_json(capsys, *words):
    code, out, _ = predicted(capsys, *words, "--json")
    return code, json.loads(out)


def test_files_folders_patterns_and_lists_name_pictures(folder, pictures, capsys, monkeypatch):
    files = sorted(pictures.joinpath("sorted").glob("*/*.png"))
    one = files[0]
    hidden = one.with_name(".DS_Store")
    hidden.write_text("no picture")
    for words in ([one.parent], [*one.parent.glob("*.png")], [one.parent / "*.png"]):
        assert as_json(capsys, folder, *words)[1]["predictions"]
    monkeypatch.setattr("sys.stdin", io.StringIO(f"{one}\n\nother.png\r\n"))
    _, told = as_json(capsys, folder, "-")
    assert [each["picture"] for each in told["predictions"]] == [str(one), "other.png"]
    _, told = as_json(capsys, folder, "*.*")
    assert [each["picture"] for each in told["predictions"]] == ["large.JPG", "other.png"]


def test_the_top_classes_are_in_order_with_their_probabilities(folder, pictures, capsys):
    _, told = as_json(capsys, folder, "other.png", "--top", "2")
    (prediction,) = nasopt.load(folder).predict("other.png")
    expected = [{"class": name, "probability": share} for name, share in prediction.ranked[:2]]
    assert told["predictions"] == [{"picture": "other.png", "classes": expected}]
    code, out, _ = predicted(capsys, folder, "other.png", "--top", "2")
    first, second = (f"{name} {share:.1%}" for name, share in prediction.ranked[:2])
    assert (code, out.split()) == (0, f"other.png {first} {second}".split())


def test_long_names_are_whole_in_a_pipe(folder, pictures, capsys):
    long = pictures / f"{'a_long_name_' * 9}.png"
    long.write_bytes((pictures / "other.png").read_bytes())
    _, out, _ = predicted(capsys, folder, long, "--top", "10")
    (line,) = out.splitlines()
    assert line.startswith(f"{long}  ")
    assert line.count("%") == 10


def test_csv_has_a_row_a_picture_and_class(folder, pictures, capsys):
    code, out, _ = predicted(capsys, folder, "large.JPG", "other.png", "--csv", "--top", "2")
    rows = list(csv.DictReader(out.splitlines()))
    assert code == 0
    assert [(row["picture"], row["rank"]) for row in rows] == [
        ("large.JPG", "1"), ("large.JPG", "2"), ("other.png", "1"), ("other.png", "2"),
    ]  # fmt: skip
    (prediction,) = nasopt.load(folder).predict("other.png")
    assert rows[2]["class"] == prediction.label
    assert float(rows[2]["probability"]) == pytest.approx(prediction.probability, rel=1e-5)


def test_a_folder_of_class_folders_is_scored(folder, pictures, capsys):
    _, told = as_json(capsys, folder, "sorted")
    right = [each["label"] == each["classes"][0]["class"] for each in told["predictions"]]
    assert len(right) == told["scores"]["images"] == 20
    assert told["scores"]["accuracy"] == sum(right) / 20
    assert sum(map(sum, told["scores"]["confusion"])) == 20
    code, out, _ = predicted(capsys, folder, "sorted")
    assert code == 0
    assert "20 pictures in folders of their classes" in out
    assert "true \\ predicted" in out


def test_a_class_folder_that_the_model_does_not_know_is_named(folder, pictures, capsys):
    (pictures / "sorted" / "fuor").mkdir()
    code, _, err = predicted(capsys, folder, "sorted")
    assert code == 2
    assert err[0].startswith("nasopt: sorted/fuor: no class of the model; choose from 0, 1, 2")


def test_folders_of_other_names_are_pictures_all_the_same(folder, pictures, capsys):
    (pictures / "deep" / "er").mkdir(parents=True)
    (pictures / "other.png").rename(pictures / "deep" / "er" / "other.png")
    _, told = as_json(capsys, folder, "deep")
    assert [each["picture"] for each in told["predictions"]] == ["deep/er/other.png"]
    assert told["scores"] is None


def test_what_is_converted_is_said_once(folder, pictures, capsys):
    _, _, err = predicted(capsys, folder, "large.JPG", "large.JPG", "other.png")
    assert err == [
        "nasopt: 2 of 3 pictures scaled to 8x8 pixels, the centre square of 2 of them",
        "nasopt: 2 of 3 pictures turned into grey",
    ]  # fmt: skip
    _, _, err = predicted(capsys, folder, "other.png")
    assert err == []


def test_pictures_that_it_was_trained_on_are_counted_once_for_all(folder, pictures, capsys):
    train, validation = nasopt.data.digits().load().seen
    (pictures / "known" / "0").mkdir(parents=True)
    for number, image in enumerate([*train.images[:3], validation.images[0]]):
        Image.fromarray(image[0].numpy()).convert("RGB").save(pictures / f"known/0/{number}.png")
    code, _, err = predicted(capsys, folder, "known")
    assert code == 0
    assert err == [
        "nasopt: 4 of 4 pictures turned into grey",
        "nasopt: 3 of 4 pictures were among those that it was trained on: that flatters it",
    ]
    assert as_json(capsys, folder, "known")[1]["trained_on"] == 3
    assert as_json(capsys, folder, "sorted")[1]["trained_on"] == 0


def test_a_file_that_is_no_picture_is_told_and_the_others_predicted(folder, pictures, capsys):
    (pictures / "notes.txt").write_text("no picture")
    (pictures / "cut.png").write_bytes((pictures / "other.png").read_bytes()[:60])
    code, out, err = predicted(capsys, folder, "notes.txt", "other.png", "cut.png", "--csv")
    assert code == 2
    assert {line.split(",")[0] for line in out.splitlines()[1:]} == {"other.png"}
    assert err[0].startswith("nasopt: notes.txt: not an image of PNG")
    assert err[1].startswith("nasopt: cut.png: damaged image")
    assert err[2] == "nasopt: 2 of 3 files are no pictures; the others are predicted"
    code, told = as_json(capsys, folder, "notes.txt", "other.png")
    assert code == 2
    assert list(told["unreadable"]) == ["notes.txt"]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["nothing.png"], "nothing.png: no such file or folder; name pictures"),
        (["*.gif"], "*.gif: no file is called like that; name pictures"),
        (["empty"], "empty: no picture in it; name another folder"),
        ([""], "PICTURE='': an empty name; name pictures, or . for the working folder"),
        (["-"], "-: no name on standard input; give one a line"),
        (["other.png", "--top", "0"], "--top=0: use a whole number from 1"),
        (["other.png", "--csv", "--json"],
         "--csv: --json is asked for as well; leave one of them out"),
    ],
)  # fmt: skip
def test_a_mistake_is_one_line(folder, pictures, capsys, monkeypatch, words, message):
    (pictures / "empty").mkdir()
    monkeypatch.setattr("sys.stdin", io.StringIO("\n"))
    code, out, err = predicted(capsys, folder, *words)
    assert (code, out, err) == (2, "", [f"nasopt: {message}"])


def test_a_folder_that_is_no_model_is_one_line(pictures, capsys):
    code, _, err = predicted(capsys, "sorted", "other.png")
    assert code == 2
    assert err == ["nasopt: sorted/architecture.json: missing; get the whole folder again"]


def test_pictures_beside_class_folders_are_predicted_as_well(folder, pictures, capsys):
    beside = pictures / "sorted" / "beside.png"
    beside.write_bytes((pictures / "other.png").read_bytes())
    _, told = as_json(capsys, folder, "sorted")
    labels = {each["picture"]: each.get("label") for each in told["predictions"]}
    assert len(labels) == 21
    assert [name for name, label in labels.items() if label is None] == ["sorted/beside.png"]
