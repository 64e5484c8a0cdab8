import re

import pytest

import nasopt
from nasopt.cli import main
from nasopt.report import write_report
from nasopt.storage import open_storage
from tests.examples import small


def written(database, tmp_path, study=None) -> str:
    """The page without Plotly's own source."""
    write_report(open_storage(database, "read"), tmp_path / "report.html", study)
    page = (tmp_path / "report.html").read_text()
    return re.sub(r"<script>/\*\*\n\* plotly.js.*?</script>", "", page, flags=re.DOTALL)


@pytest.fixture(scope="module")
def database(tmp_path_factory):
    """Two samplers with two seeds; their winners trained again."""
    path = tmp_path_factory.mktemp("report") / "x.db"
    nasopt.compare(
        small(trials=25), samplers="random,tpe", seeds=2, replicates=2, storage=path, device="cpu"
    )
    return path


def test_the_page_tells_of_all_studies_of_the_experiment(database, tmp_path):
    page = written(database, tmp_path)
    assert "<h1>experiment</h1>" in page
    for sampler in ("random", "tpe"):
        for seed in range(2):
            assert f"experiment/{sampler}/{seed}" in page
    assert "Left out" not in page


def test_one_study_alone_has_no_comparison_and_says_why(database, tmp_path, capsys):
    output = tmp_path / "one.html"
    assert main(["report", str(database), "--study", "experiment/tpe/1", "-o", str(output)]) == 0
    assert capsys.readouterr().out.startswith(f"{output}: ")
    page = output.read_text()
    assert "<h1>experiment/tpe/1</h1>" in page
    assert "Left out: sampler=tpe: the only one here; compare it with another." in page
