import json

from rich.table import Table

from nasopt.reporting.terminal.display import console, print_json


def test_json_has_null_for_what_is_not_finite(capsys):
    print_json({"a": float("nan"), "b": (1, float("inf")), 3: "x"})
    out = capsys.readouterr().out
    assert json.loads(out) == {"a": None, "b": [1, None], "3": "x"}


def test_lines_in_a_pipe_have_no_blanks_at_their_ends(capsys):
    out = console()
    table = Table("a", "b", box=None)
    table.add_row("1", "2   ")
    table.add_row("1000", "")
    out.print(table)
    lines = capsys.readouterr().out.splitlines()
    assert lines == [line.rstrip() for line in lines]
    assert len(lines) == 3
    assert out.width == 80
