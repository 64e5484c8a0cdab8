"""`warm`: a second search of the same table needs a training or two, one that is misled more."""

from dataclasses import replace

from tests.benchmarks import warm


def test_what_was_seen_saves_trainings(macro, monkeypatch):
    monkeypatch.setattr(warm, "TABLES", {"macro": lambda: macro, "again": lambda: macro})
    monkeypatch.setattr(warm, "PAIRS", (("macro", "again"),))
    monkeypatch.setattr(warm, "TRIALS", 12)
    monkeypatch.setattr(warm, "AT", (2, 12))
    header, _, pair, everything = warm.lines(seeds=2)
    assert "regret after 2 / 12: without" in header
    without, told, ratio, *_ = (cell.strip() for cell in pair.strip("|").split("|")[1:])
    assert float(told.split(" / ")[0]) < float(without.split(" / ")[0])
    assert float(ratio.split()[0]) < 1
    assert ratio in everything


def test_a_search_of_a_table_is_told_as_a_study_tells_it(macro):
    regrets, seen = warm.regrets(replace(macro, name="macro"), seed=3)
    assert seen["from"] == "macro"
    assert len(seen["points"]) == len(seen["values"]) == len(regrets)
    row = macro.space.decode(dict(zip(seen["parameters"], seen["points"][0], strict=True))).row
    assert seen["values"][0] == macro.observed(3)[row]
