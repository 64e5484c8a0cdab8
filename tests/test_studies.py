"""The shipped studies that need more than a library to run."""

import ast
import textwrap
from dataclasses import replace
from itertools import dropwhile, takewhile
from pathlib import Path

import numpy as np
import torchvision
from PIL import Image

from nasopt.search.loading import load_experiment

STUDY = Path(__file__).parents[1] / "studies/cifar10_small.py"


class FewPictures:
    """The first pictures of a data set that is too large to download here."""

    classes = ("airplane", "ship")

    def __init__(self, root: str, train: bool, download: bool) -> None:
        self.count = 20 if train else 4

    def __iter__(self):
        rng = np.random.default_rng(self.count)
        for number in range(self.count):
            pixels = rng.integers(0, 256, (32, 32, 3), dtype=np.uint8)
            yield Image.fromarray(pixels), number % len(self.classes)


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
    assert sum(replace(experiment.dataset, limit=None).counts) == 20  # those for testing apart
    assert experiment.dataset.input_shape == (3, 16, 16)
    assert experiment.space.size == 24**20
