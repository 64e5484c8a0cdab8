"""The shipped studies that need more than a library to run."""

import ast
import textwrap
from itertools import dropwhile, takewhile
from pathlib import Path

import torchvision
from PIL import Image

from nasopt.search.loading import load_experiment

STUDY = Path(__file__).parents[1] / "studies/cifar10_small.py"


class FewPictures:
    """Some pictures of two classes, in the place of a data set that cannot be downloaded here."""

    classes = ("airplane", "ship")

    def __init__(self, root: str, train: bool, download: bool) -> None:
        self.count = 2_020 if train else 420  # some more than are taken

    def __iter__(self):
        for number in range(self.count):  # each another colour
            colour = (self.count % 256, number // 256, number % 256)
            yield Image.new("RGB", (32, 32), colour), number % len(self.classes)


def test_the_pictures_of_the_small_cifar_study_are_made_as_its_docstring_says(
    tmp_path, monkeypatch
):
    docstring = ast.get_docstring(ast.parse(STUDY.read_text()))
    lines = dropwhile(lambda line: "import" not in line, docstring.splitlines())
    code = "\n".join(takewhile(bool, lines))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(torchvision.datasets, "CIFAR10", FewPictures)
    exec(textwrap.dedent(code), {})
    experiment = load_experiment(str(STUDY))
    assert experiment.dataset.class_names() == ("airplane", "ship")
    assert experiment.dataset.counts == (1_200, 800)
    assert len(list(tmp_path.glob("cifar10/test/*/*.png"))) == 400
    assert experiment.dataset.input_shape == (3, 16, 16)
    assert experiment.space.size == 24**20
