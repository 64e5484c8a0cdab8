"""Names and texts that would act on a terminal, or on a spreadsheet, are shown as they are."""

import csv
import io
import json
import sqlite3
import sys
from contextlib import closing, suppress
from pathlib import Path

import pytest
from rich.console import Console

import nasopt
from nasopt.cli.main import main
from nasopt.reporting.terminal import display
from nasopt.text import visible
from tests.examples import small

HOSTILE = "=x\x1b[31m\x1b]0;t\x07\nnasopt: done\r\u202e[red]:smile:"


@pytest.fixture(scope="module")
def hostile(tmp_path_factory) -> Path:
    """Every text of it is hostile: the names of studies, samplers, devices, reasons."""
    path = tmp_path_factory.mktemp("hostile") / "x.db"
    experiment = small(trials=3, name="mild")  # nasopt itself takes no such name
    nasopt.compare(
        experiment, samplers="random,tpe", seeds=1, replicates=0, storage=path, device="cpu"
    )
    with closing(sqlite3.connect(path)) as database, database:
        database.execute(
            "UPDATE studies SET study_name = replace(study_name, 'mild', ?)", (HOSTILE,)
        )
        for key in ("reason", "device"):
            database.execute(
                "INSERT OR REPLACE INTO trial_user_attributes (trial_id, key, value_json) "
                "SELECT trial_id, ?, ? FROM trials",
                (key, json.dumps(HOSTILE)),
            )
        database.execute(
            "UPDATE study_user_attributes SET value_json = ? WHERE key = 'sampler' "
            "AND value_json = '\"tpe\"'",
            (json.dumps(HOSTILE),),
        )
    return path


def commands(path: Path) -> dict[str, list[str]]:
    database = str(path)
    return {
        "show": ["show", database],
        "trial": ["show", database, "--trial", "0"],
        "why": ["show", database, "--why", "0"],
        "studies": ["show", database, "--studies"],
        "no such study": ["show", database, "--study", HOSTILE],
        "no such file": ["show", f"{database}{HOSTILE}"],
        "compare": ["compare", "--studies", "*", "--storage", database],
        "report": ["report", database, "-o", str(path.parent / "r.html")],
        "run": ["run", f"{database}{HOSTILE}.py"],
        "verb": [HOSTILE],
        "option": ["show", f"--{HOSTILE}"],
    }


def acts(text: str) -> set[str]:
    """The characters of `text` that act on a terminal."""
    return {each for each in text if not each.isprintable() and each != "\n"}


@pytest.mark.parametrize("name", commands(Path()))
@pytest.mark.parametrize("as_json", [False, True])
def test_no_text_acts_on_the_terminal_or_makes_a_line_of_its_own(hostile, capsys, name, as_json):
    words = commands(hostile)[name]
    with suppress(SystemExit):  # argparse's
        main([*words, "--json"] if as_json else words)
    out, err = capsys.readouterr()
    assert acts(out + err) == set()
    assert "\nnasopt: done" not in out + err
    if as_json and out:
        json.loads(out)


def test_names_are_shown_with_what_they_have(hostile, capsys):
    assert main(["show", str(hostile), "--studies"]) == 0
    assert r"=x\x1b[31m\x1b]0;t\nnasopt:" in capsys.readouterr().out  # and on in the next line


def test_markup_and_control_characters_are_no_style_in_a_terminal(monkeypatch):
    class Terminal(io.StringIO):
        encoding = "utf-8"

        def isatty(self) -> bool:
            return True

    screen = Terminal()
    monkeypatch.setattr(sys, "stdout", screen)
    monkeypatch.setenv("TERM", "xterm")
    out = display.console()
    assert isinstance(out, Console)
    assert out.is_terminal
    with display.live(out) as show:
        show(1, 2, "[red]bar:smile:")
        show(2, 2, HOSTILE)
    out.print(HOSTILE, style="bold")
    assert "[31m\x1b]0" not in screen.getvalue()
    assert "\x07" not in screen.getvalue()
    assert "done\\r\\u202e[red]:smile:" in screen.getvalue()


def test_a_spreadsheet_takes_no_text_for_a_formula_and_numbers_stay_numbers(hostile, tmp_path):
    path = tmp_path / "x.csv"
    words = ["compare", "--studies", "*", "--storage", str(hostile), "--csv", str(path)]
    assert main(words) == 0
    rows = list(csv.DictReader(io.StringIO(path.read_bytes().decode(), newline="")))
    assert {row["study"][0] for row in rows} == {"'"}
    assert {row["sampler"] for row in rows} == {"random", f"'{visible(HOSTILE)}"}
    assert all(float(row["value"]) >= 0 for row in rows)


@pytest.mark.parametrize("begins", ["=", "+", "-", "@", "\t", "\r"])
def test_each_sign_of_a_formula_is_told_from_a_negative_number(begins):
    from nasopt.analysis.outputs import in_a_cell

    assert in_a_cell(f"{begins}1") == f"'{visible(begins)}1"
    assert in_a_cell(-1.5) == -1.5
    assert in_a_cell("a-b") == "a-b"
