"""The measure at equal seconds: what is spent, and what is there at a moment."""

from argparse import Namespace
from dataclasses import replace

import numpy as np
import pytest

from tests.benchmarks import equal_seconds
from tests.benchmarks.equal_seconds import BUDGET, Row, study, timed


@pytest.fixture
def costly(table):
    """The table, with MACs, the last network of which takes a hundred times as long as others."""
    macs = np.ones(len(table.accuracies), dtype=np.int64)
    macs[-1] = 100
    return timed(replace(table, macs=macs, seconds=np.zeros_like(table.seconds)))


def test_macs_stand_in_for_seconds_that_are_not_known(table, costly):
    assert timed(table) is table
    seconds = costly.seconds.sum(axis=2).mean(axis=1)
    assert seconds[-1] == pytest.approx(100 * seconds[0])


def test_a_regret_holds_from_the_end_of_a_training_on():
    row = Row("plain", "mine", 0, 9.0, "2 6 7", "5 4 1")
    assert row.at(np.array([1.9, 2.0, 6.5, 99.0])).tolist() == [9.0, 5.0, 4.0, 1.0]


def test_a_search_goes_on_until_its_seconds_are_spent(costly):
    row = study("mine", costly, "plain", 0)
    ended = np.array(row.seconds.split(), dtype=float)
    assert (np.diff(ended) > 0).all()
    assert ended[-1] >= BUDGET or len(ended) == len(costly.accuracies)
    assert (ended[:-1] < BUDGET).all()
    assert (np.diff(row.curve) <= 0).any()


def test_what_is_there_is_not_done_again_and_samplers_are_paired(
    costly, tmp_path, monkeypatch, capsys
):
    monkeypatch.setattr("tests.benchmarks.regret.TABLES", {"mine": lambda: costly})
    rows = tmp_path / "rows.csv"
    given = Namespace(rows=rows, tables=["mine"], first_seed=0, seeds=2)
    equal_seconds.run(given)
    before = rows.read_text()
    equal_seconds.run(given)
    assert rows.read_text() == before
    assert len(before.splitlines()) == 4
    equal_seconds.show(Namespace(rows=rows))
    assert "| mine | 2 | " in capsys.readouterr().out
