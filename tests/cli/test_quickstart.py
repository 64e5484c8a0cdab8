import json
import os
import subprocess
import sys

import pytest

from nasopt.analysis.winners import Retrained
from nasopt.cli.quickstart import LECTURE, SMALL, quickstart, study_file, verdict
from nasopt.search.loading import load_experiment
from tests.examples import small


@pytest.fixture
def quick(tmp_path, monkeypatch):
    """The quickstart from a folder of its own, its search made small."""
    monkeypatch.chdir(tmp_path)
    experiment = small(name="digits")
    monkeypatch.setattr(
        "nasopt.cli.quickstart.load_experiment",
        lambda path: experiment if path.name == SMALL else load_experiment(path),
    )
    return tmp_path


def test_it_tells_the_lectures_story_and_may_be_repeated(quick, capsys):
    quickstart(device="cpu")
    first = capsys.readouterr().out
    assert "4.0e27 = 4_019_988_717_840_603_673_710_821_376" in first
    assert "# of filters" in first
    assert "trained again" in first
    assert "one study of each cannot tell" in first.replace("\n", " ")
    assert "nasopt show runs/quickstart.db --studies" in first
    assert (quick / "runs" / "quickstart.db").exists()
    quickstart(device="cpu")
    second = capsys.readouterr().out
    assert second[second.index("3. The outcome") :] == first[first.index("3. The outcome") :]
    assert "[6/6]" not in second


def test_it_speaks_json(quick, capsys):
    quickstart(device="cpu", as_json=True)
    found = json.loads(capsys.readouterr().out)
    assert found["tpe"]["done"] == found["random"]["done"] == 6
    assert len(found["tpe"]["retrained"]) == 3


def test_its_study_files_are_those_of_the_checkout():
    assert load_experiment(study_file(LECTURE)).space.size == 24**20
    assert load_experiment(study_file(SMALL)).name == "digits"


@pytest.mark.parametrize(
    ("random", "tpe", "claim"),
    [
        ((0.90, 0.91, 0.92), (0.91, 0.92, 0.91), "The two winners are level"),
        ((0.90, 0.91, 0.92), (0.97, 0.98, 0.97), "The winner of TPE is the better network"),
        ((0.97, 0.98, 0.97), (0.90, 0.91, 0.92), "The winner of random sampling is the better"),
    ],
)
def test_it_claims_no_more_than_the_figures_carry(random, tpe, claim):
    (evaluation,) = small().sample(1, seed=0)
    text = verdict({"random": Retrained(evaluation, random), "tpe": Retrained(evaluation, tpe)})
    assert text.startswith(claim)
    assert "another seed may turn it around" in text


def test_the_shipped_study_runs_on_a_processor_without_avx512(tmp_path):
    """There PyTorch's oneDNN corrupted memory in strided 1x1 convolutions of few channels."""
    command = [sys.executable, "-m", "nasopt", "run", str(study_file(SMALL))]
    options = ["--sampler", "random", "--trials", "6", "--storage", str(tmp_path / "x.db")]
    environment = {**os.environ, "ONEDNN_MAX_CPU_ISA": "AVX2", "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command + options, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "digits/random/0: 6 of 6 trials" in done.stdout
