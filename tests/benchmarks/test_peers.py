"""`peers`: a sampler in a process of its own, asked in lines of JSON, on a real table."""

import json
import sys

import pytest

from tests.benchmarks import peers
from tests.benchmarks.peer_side import serve
from tests.benchmarks.peers import asked, show
from tests.benchmarks.regret import Row, _table, read


@pytest.fixture(scope="module")
def macro():
    return _table("macro")


def test_a_peer_is_asked_for_networks_each_of_which_counts_once(macro):
    rows = list(asked(sys.executable, "chance", macro, 3, 40))
    assert len(set(rows)) == len(rows) == 40
    assert rows == list(asked(sys.executable, "chance", macro, 3, 40))
    assert rows != list(asked(sys.executable, "chance", macro, 4, 40))


def test_a_peer_is_told_the_accuracy_of_what_it_asked_for():
    heard = []

    def lines():
        yield json.dumps({"choices": {"a": 3, "b": 2}, "ordered": [], "seed": 0, "trials": 3})
        yield "0.5"
        yield "0.75"

    serve("chance", lines(), heard.append)
    points = [json.loads(text) for text in heard]
    assert len(points) == 3
    assert all(point.keys() == {"a", "b"} and point["a"] < 3 for point in points)


def test_a_peer_that_is_not_installed_is_told(macro, capfd):
    with pytest.raises(RuntimeError, match=r"^smac ended; its error is above"):
        list(asked(sys.executable, "smac", macro, 0, 5))
    assert "ModuleNotFoundError" in capfd.readouterr().err


def test_a_run_goes_on_and_its_table_is_ordered_by_what_is_left(tmp_path, monkeypatch, capsys):
    rows = str(tmp_path / "rows.csv")
    run = ["peers", "run", rows, "chance", "--python", sys.executable, "--tables", "macro"]
    for seeds in ("2", "3"):
        monkeypatch.setattr(sys, "argv", [*run, "--seeds", seeds, "--trials", "12"])
        peers.main()
    written = read(tmp_path / "rows.csv")
    assert [row.seed for row in written] == [0, 1, 2]
    assert all(len(row.curve) == 12 for row in written)
    better = [Row("better", "macro", s, 1.0, 1.0, 1.0, " ".join(["0.001"] * 50)) for s in (0, 1)]
    lines = list(show([*written, *better]))
    assert lines[2].startswith("| macro | better | 2 | 0.001 (0.001 to 0.001) |")
    assert lines[3].startswith("| macro | chance | 3 |")
    monkeypatch.setattr(sys, "argv", ["peers", "show", rows])
    peers.main()
    assert "| macro | chance | 3 |" in capsys.readouterr().out
