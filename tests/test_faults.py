import re
import subprocess
import sys
from pathlib import Path

import pytest


def proof(*words: str) -> str:
    root = Path(__file__).parent.parent
    done = subprocess.run(
        [sys.executable, "-m", *words], capture_output=True, text=True, cwd=root, timeout=300
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_studies_killed_ten_times_equal_those_that_were_not():
    said = proof("tests.faults", "--kills", "10", "--samplers", "random", "tpe")
    kills = re.match(r"(\d+) kills", said)
    assert kills is not None
    assert int(kills[1]) >= 10
    assert "0 differences" in said


@pytest.mark.parametrize(
    "part",
    [
        ("tests.making", "--kills", "4", "--samplers", "random"),
        ("tests.power", "--cuts", "3", "--samplers", "random"),
    ],
)
def test_what_dies_while_it_is_made_or_by_a_power_cut_goes_on(part):
    said = proof(*part)
    assert said.startswith(f"{part[2]} ")
    assert " 0 broken promises" in said
