import re
import xml.etree.ElementTree as ET

import pytest
import yaml

import nasopt
from nasopt.models.card import Card, Score, card_text
from nasopt.models.model import Model
from nasopt.models.preprocessing import Preprocessing
from nasopt.reporting.figures.svg import network_svg
from tests.models.small import RECIPE, SMALL, architectures, trained

FILES = ["model.safetensors", "model.onnx", "network.py"]


@pytest.fixture(scope="module")
def model():
    return trained()


def head(text):
    """The YAML head of a card, which Hugging Face reads."""
    _, told, _ = text.split("---\n", 2)
    return yaml.safe_load(told)


def test_the_head_has_the_scores_in_hugging_faces_form(model):
    test = Score(name="accuracy", value=0.91, interval=(0.88, 0.93))
    told = head(card_text(model, Card(scores=(test,)), "my-model", FILES))
    assert told["pipeline_tag"] == "image-classification"
    ((entry),) = told["model-index"]
    assert entry["name"] == "my-model"
    splits = {
        result["dataset"]["split"]: result["metrics"][0]["value"] for result in entry["results"]
    }
    assert splits == {"test": 0.91, "validation": model.training.accuracy}
    assert entry["results"][0]["dataset"]["name"] == "digits"


def test_the_card_tells_all_that_a_reader_asks(model):
    card = Card(
        scores=(Score(name="accuracy", value=0.91, interval=(0.88, 0.93)),),
        found="By 40 trials of TPE.",
        command="nasopt finals digits.py",
        sections={"Against the references": "It won."},
        figures={"confusion.svg": b"<svg/>"},
    )
    text = card_text(model, card, "my-model", FILES)
    for part in (
        "| test | accuracy | 0.9100 | 0.8800 to 0.9300 |",
        "| Layer | 1 | 2 | 3 |",  # the lecture's table
        "| # of filters | 4 |  | 8 |",
        "## Against the references\n\nIt won.",
        "![confusion](confusion.svg)",
        "## Intended use", "## Limits",
        "| data set | digits |",
        "| images | 1,078 for training, 360 for validation; trained on the training images |",
        "| epochs | 2 |",
        "By 40 trials of TPE.",
        "nasopt finals digits.py",
        "nasopt reproduce my-model",
        "nasopt predict my-model picture.jpg",
    ):  # fmt: skip
        assert part in text, part


def test_without_figures_of_the_test_split_the_card_says_so(model):
    assert "No figures of a test split are recorded." in card_text(model, Card(), "m", FILES)


def test_accuracy_on_images_that_were_trained_on_is_no_score():
    model = nasopt.train(SMALL, "digits", recipe=RECIPE, device="cpu", validation_included=True)
    text = card_text(model, Card(), "m", FILES)
    assert "| validation |" not in text
    assert "The validation images were trained on as well, so they tell nothing." in text


HOSTILE = ("a\n---\nb: [", "<script>x</script>", "`|`", "![x](http://x)", "\u202eleft", "#1")


def test_names_of_classes_and_folders_are_only_text(model):
    _, *rest = model.preprocessing.classes
    classes = (*HOSTILE, *rest[len(HOSTILE) - 1 :])
    old = model.preprocessing
    hostile = Model(
        model.module, SMALL, Preprocessing(old.size, old.mean, old.deviation, classes),
        model.training,
    )  # fmt: skip
    for name in HOSTILE:
        text = card_text(hostile, Card(), name, FILES)
        assert head(text)["model-index"][0]["name"] == name
        prose = re.sub("```.*?```", "", text.split("---\n", 2)[2], flags=re.S)  # not the commands
        assert not re.search(r"(?<!\\)(<|!\[x)", prose)
        assert text.count("\n---\n") == 1


def test_hostile_names_pass_through_all_forms_of_a_model(model, tmp_path):
    old = model.preprocessing
    names = ("'''", '"""', "{}", "\\", "é\u202e", "\n", "a", "b", "c", "d")
    hostile = Model(model.module, SMALL, Preprocessing(old.size, old.mean, old.deviation, names))
    assert nasopt.load(nasopt.save(hostile, tmp_path / "m")).classes == names


@pytest.mark.parametrize("architecture", architectures())
def test_the_drawing_has_a_block_for_each_layer(architecture):
    drawing = ET.fromstring(network_svg(architecture, (3, 20, 20)))
    blocks = drawing.findall("{http://www.w3.org/2000/svg}rect")
    assert len(blocks) == len(architecture.layers)
