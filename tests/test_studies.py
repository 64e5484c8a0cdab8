"""The shipped studies that need more than a library to run."""

import ast
import gzip
import re
import textwrap
from itertools import dropwhile, takewhile
from pathlib import Path

import pytest
import torchvision
from PIL import Image

import nasopt
from nasopt.analysis.final_test import latest_test
from nasopt.cli.main import main
from nasopt.reporting.html.final_model import FinalModel
from nasopt.search.loading import load_experiment
from nasopt.storage.looks import Looks
from nasopt.storage.opening import open_storage
from tests.benchmarks.equal_cost import report, trials_of

ROOT = Path(__file__).parents[1]
STUDY = ROOT / "studies/cifar10_small.py"


class FewPictures:
    """Some pictures of two classes, in the place of a data set that cannot be downloaded here."""

    classes = ("airplane", "ship")

    def __init__(self, root: str, train: bool, download: bool) -> None:
        self.count = 9_020 if train else 2_020  # some more than are taken

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


@pytest.fixture
def measured(tmp_path):
    """The database of the comparison on photographs, as a clone has it."""
    database = tmp_path / "cifar10_small.db"
    packed = ROOT / "studies/results/cifar10_small.db.gz"
    database.write_bytes(gzip.decompress(packed.read_bytes()))
    return database


def test_the_comparison_on_photographs_is_as_the_documents_tell(measured):
    result = nasopt.open(measured).comparison("*")
    by_name = {each.sampler: each for each in result.standings}
    page = (ROOT / "docs/measurements.md").read_text(encoding="utf-8")
    section = page.split("### On photographs")[1].split("###")[0]
    for name, standing in by_name.items():
        line = re.search(rf"^\| {name} \|(.*)\|$", section, re.M)[1]
        cells = [cell.strip() for cell in line.split("|")]
        assert cells[:2] == [f"{standing.seen:.4f}", f"{standing.fresh:.4f}"]
        seconds = f"{round(standing.seconds, -1):,.0f} s"
        assert cells[3:] == [f"{standing.rank:.1f}", f"{standing.epochs:.0f}", seconds]
        if standing.difference is not None:
            found = standing.difference
            told = f"{found.mean:+.4f} ({found.low:+.4f} to {found.high:+.4f})"
            assert cells[2] == told
            assert found.pairs == len(standing.seeds) == 8
    surrogate = by_name["surrogate"]
    assert surrogate.difference.significant
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    opening = readme.split("## Two commands")[0]
    docstring = ast.get_docstring(ast.parse(STUDY.read_text()))
    for standing in by_name.values():
        assert f"{standing.fresh:.3f}" in opening
        assert f"{standing.fresh:.3f}".lstrip("0") in docstring


def test_what_it_says_at_equal_cost_is_as_the_documents_tell(measured):
    *table, _, rank, random, tpe, surrogate, above = report(trials_of(measured))
    page = (ROOT / "docs/measurements.md").read_text(encoding="utf-8")
    assert "\n".join(table) in page
    section = " ".join(page.split("**Is it only size?**")[1].split("###")[0].split())
    assert rank.split("Spearman ")[1].rstrip(".") in section
    assert above.split("surrogate has +")[1].rstrip(".") in section
    for line in (random, tpe, surrogate):
        assert re.search(r"mean of ([0-9.]+)", line)[1] in section


def test_the_share_of_luck_on_photographs_is_as_the_documents_tell(measured):
    noise = nasopt.open(measured).study("cifar10_small/surrogate/0").noise
    assert noise.better.share > 0.6
    page = (ROOT / "docs/measurements.md").read_text(encoding="utf-8")
    rows = page.split("| `cifar10_small.py`")[1].splitlines()[:2]
    for row, found in zip(rows, (noise, noise.better), strict=True):
        deviations = f"{found.mean:.3f} | {found.between:.3f} | {found.within:.3f}"
        assert f"{deviations} | {_share(found)} |" in row
    docstring = " ".join(ast.get_docstring(ast.parse(STUDY.read_text())).split())
    assert f"{noise.share:.2f}".lstrip("0") + " of the variance" in docstring
    share = _share(noise.better).replace("0.", ".")
    assert f"{share} among the better half" in docstring
    assert f"accuracy is {noise.better.mean:.3f}".replace("0.", ".") in docstring


def _share(found):
    return f"{found.share:.2f} ({found.low:.2f} to {found.high:.2f})"


def test_its_final_model_is_as_the_documents_tell(measured):
    record = nasopt.open(measured).study("cifar10_small/surrogate/0").record
    looks = Looks(open_storage(measured, "read").engine)
    assert len(looks.taken(record.experiment.dataset)) == 1
    found = latest_test(looks, record.experiment, "cifar10_small")
    page = (ROOT / "docs/measurements.md").read_text(encoding="utf-8")
    section = page.split("### The final model of these searches")[1].split("###")[0]
    opening = (ROOT / "README.md").read_text(encoding="utf-8").split("## Two commands")[0]
    told = [line for line in section.splitlines() if re.match(r"\| .*0\.\d{4} \|", line)]
    assert len(told) == len(found.tested) == 4
    for line, (_, *cells) in zip(told, FinalModel(found).rows, strict=True):
        assert [cell.strip() for cell in line.strip("|").split("|")][1:] == cells
    for each in found.tested:
        assert f"{each.over_seeds.mean:.3f}" in opening


def test_its_report_is_the_page_that_the_readme_shows(measured, monkeypatch):
    monkeypatch.chdir(measured.parent)
    assert main(["report", measured.name]) == 0
    page = Path("report.html").read_text(encoding="utf-8")
    for told in ("4.0 \u00d7 10\u00b2\u2077", "0.5489", "cifar10_small/surrogate/4, trial 17"):
        assert told in page


def test_it_has_no_path_of_the_machine_that_made_it(measured):
    assert not re.search(rb"/(?:work|tmp|home|root|opt)/", measured.read_bytes())
