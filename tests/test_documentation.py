"""What README and tutorial show is run in order: files written, commands typed, Python executed."""

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from tests.commands import Command

ROOT = Path(__file__).parent.parent
BLOCK = re.compile(
    r"^```(?P<kind>python|console)(?: title=\"(?P<file>[\w.]+)\")?\n(?P<text>.*?)^```", re.M | re.S
)


@pytest.mark.parametrize("page", ["README.md", "docs/tutorial.md"])
def test_what_a_page_shows_runs_as_it_stands(page, tmp_path):
    blocks = list(BLOCK.finditer((ROOT / page).read_text(encoding="utf-8")))
    assert {block["kind"] for block in blocks} == {"python", "console"}
    for block in blocks:
        if block["file"]:
            (tmp_path / block["file"]).write_text(block["text"], encoding="utf-8")
        if block["kind"] == "console":
            for line in re.findall(r"^\$ nasopt (.+)$", block["text"], re.M):
                Command(shlex.split(line), tmp_path).end()
        else:
            script = [sys.executable, "-c", block["text"]]
            done = subprocess.run(script, cwd=tmp_path, capture_output=True, text=True, check=False)
            assert done.returncode == 0, done.stderr


def test_links_of_the_readme_lead_somewhere():
    links = re.findall(r"\]\((?!https?://)([^)#]+)", (ROOT / "README.md").read_text("utf-8"))
    assert links
    for link in links:
        assert (ROOT / link).exists(), link
