"""The scripts of completion, in the shells that they are for."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from nasopt.cli.main import main
from tests.conftest import missing

BASH = """
source ./script
IFS=' ' read -ra COMP_WORDS <<< "$LINE"
COMP_CWORD=$((${#COMP_WORDS[@]} - 1))
function=$(complete -p nasopt | sed 's/.*-F \\([^ ]*\\) .*/\\1/')
$function
printf '%s\\n' "${COMPREPLY[@]}"
"""
FISH = 'source ./script; complete -C "$LINE" | cut -f1'
# an interactive shell in a terminal: its completion works in no other
ZSH = """
mkdir functions && cp script functions/_nasopt
zmodload zsh/zpty
zpty shell zsh -f -i
zpty -w shell 'PS1= fpath=($PWD/functions $fpath); autoload -Uz compinit; compinit -u -D'
zpty -w shell 'echo rea""dy'
zpty -r -m shell said '*ready*'
zpty -w -n shell "$LINE"$'\\t'
zpty -r -m shell said "*$WANTED*"
print -r -- "$WANTED"
zpty -d shell
"""
SHELLS = {"bash": BASH, "fish": FISH, "zsh": ZSH}


@pytest.fixture(params=sorted(SHELLS))
def shell(request) -> str:
    if shutil.which(request.param) is None:
        missing(f"{request.param} is not installed")
    return request.param


@pytest.mark.parametrize(
    ("line", "wanted"),
    [
        ("nasopt dash", "dashboard"),
        ("nasopt run --sam", "--sampler"),
        ("nasopt run mine.py --sampler one", "one-epoch"),
        ("nasopt run mine.py --device cu", "cuda"),
        ("nasopt run mi", "mine.py"),
        ("nasopt log mine.py --to ml", "mlflow"),
        ("nasopt --print-completion fi", "fish"),
    ],
)
def test_a_shell_completes_what_was_begun(tmp_path, capsys, shell, line, wanted):
    assert main(["--print-completion", shell]) == 0
    (tmp_path / "script").write_text(capsys.readouterr().out)
    (tmp_path / "mine.py").touch()
    assert proposed(shell, tmp_path, line, wanted) == [wanted]


def proposed(shell: str, folder: Path, line: str, wanted: str) -> list[str]:
    done = subprocess.run(
        [shell, "-c", SHELLS[shell]], cwd=folder, capture_output=True, text=True, timeout=60,
        env=os.environ | {"LINE": line, "WANTED": wanted, "HOME": str(folder), "TERM": "dumb"},
        check=False,
    )  # fmt: skip
    return [word.strip() for word in done.stdout.splitlines() if word.strip()] or [done.stderr]


def test_another_shell_is_refused_with_those_that_there_are(capsys):
    with pytest.raises(SystemExit):
        main(["--print-completion", "csh"])
    said = capsys.readouterr().err
    assert "--print-completion: invalid choice: 'csh'" in said
    assert "fish" in said
