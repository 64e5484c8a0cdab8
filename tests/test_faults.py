import re
import subprocess
import sys
from pathlib import Path


def test_studies_killed_ten_times_equal_those_that_were_not():
    command = [sys.executable, "-m", "tests.faults", "--kills", "10", "--samplers", "random", "tpe"]
    root = Path(__file__).parent.parent
    done = subprocess.run(command, capture_output=True, text=True, cwd=root)
    assert done.returncode == 0, done.stdout + done.stderr
    kills = re.match(r"(\d+) kills", done.stdout)
    assert kills is not None
    assert int(kills[1]) >= 10
    assert "0 differences" in done.stdout
