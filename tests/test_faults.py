import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests import making, power


def test_studies_killed_four_times_equal_those_that_were_not():
    command = [sys.executable, "-m", "tests.faults", "--kills", "4", "--samplers", "tpe"]
    root = Path(__file__).parent.parent
    done = subprocess.run(command, capture_output=True, text=True, cwd=root)
    assert done.returncode == 0, done.stdout + done.stderr
    kills = re.match(r"(\d+) kills", done.stdout)
    assert kills is not None
    assert int(kills[1]) >= 4
    assert "0 differences" in done.stdout


def test_a_study_killed_while_it_is_made_is_made_whole(tmp_path):
    counts, differences = making.run(4, ["random"], tmp_path)
    assert differences == []
    assert counts.total() == 4


@pytest.mark.long
def test_power_cuts_cost_nothing_but_what_was_not_on_the_disk(tmp_path):
    cuts = power.run(3, ["random"], tmp_path)
    assert cuts.differences == []
    assert cuts.cuts == 3
