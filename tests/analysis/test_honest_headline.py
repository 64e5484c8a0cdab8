"""Where a winner was trained again, what it gave then leads, and what was seen stands beside it."""

import json
import re
import statistics
from dataclasses import replace

import pytest

import nasopt
from nasopt.analysis.compared import ComparisonResult
from nasopt.analysis.outcome import load_study, outcome, result
from nasopt.analysis.studies import study_summaries
from nasopt.cli.main import main
from nasopt.reporting.dashboard.filling import Filling
from nasopt.search.noise import NoiseStudy
from nasopt.storage.opening import open_storage
from nasopt.text import accuracy
from tests.examples import small


@pytest.fixture(scope="module")
def judged(tmp_path_factory) -> tuple[str, ComparisonResult]:
    database = tmp_path_factory.mktemp("honest") / "x.db"
    found = nasopt.compare(
        small(trials=8), samplers="random,tpe", seeds=1, replicates=3, storage=database,
        device="cpu",
    )  # fmt: skip
    return str(database), found


def test_the_outcome_has_what_the_winner_gave_with_other_seeds(judged):
    database, found = judged
    storage = open_storage(database, "read")
    last = {each.study: each for each in found.winners if each.quarter == 4}
    for name, winner in last.items():
        (best,) = result(load_study(storage, name)).best
        assert best.fresh == winner.fresh
        assert best.accuracy == winner.seen
        assert best.to_json()["fresh_mean"] == statistics.fmean(winner.fresh) == winner.fresh_mean
    for summary in study_summaries(storage):
        assert summary.best == last[summary.study].seen


def test_the_terminal_leads_with_it(judged, capsys):
    database, found = judged
    (winner,) = [w for w in found.winners if w.quarter == 4 and w.sampler == "tpe"]
    assert main(["show", database, "--study", winner.study]) == 0
    out = capsys.readouterr().out
    assert f"Accuracy, trained again  {winner.fresh_mean:.4f} (mean of 3 other seeds)" in out
    assert f"Accuracy, as seen        {winner.seen:.4f} (" in out
    assert out.index("trained again") < out.index("as seen")
    assert "Validation accuracy" not in out
    assert re.search(rf"^ +{winner.number} +{winner.fresh_mean:.4f} +{winner.seen:.4f} ", out, re.M)


def test_the_page_and_the_note_lead_with_it(judged, tmp_path):
    database, found = judged
    study = "experiment/tpe/0"
    (winner,) = [w for w in found.winners if w.quarter == 4 and w.study == study]
    honest, seen = accuracy(winner.fresh_mean), accuracy(winner.seen)
    lead = f"the best has an accuracy of {honest}, on images that it was not trained on: the mean"
    assert main(["report", database, "--study", study, "-o", str(tmp_path / "r.html")]) == 0
    page = (tmp_path / "r.html").read_text()
    assert lead in page
    assert f"The search saw {seen} of it" in page
    assert f"<h3>The best: {honest}</h3>" in page
    assert f"<dt>best accuracy</dt><dd>{seen}" not in page
    labels = re.findall(r"<dt>(.*?)</dt><dd>(.*?)</dd>", page)
    assert ("accuracy of the best, trained again", honest) in labels
    assert ("its accuracy as the search saw it", seen) in labels
    storage = open_storage(database)
    Filling(storage, database).refresh()
    id_ = load_study(storage, study)._study_id
    note = storage.get_study_system_attrs(id_)["dashboard:note_str:0"].replace("\\", "")
    assert lead in note
    row = next(line for line in note.splitlines() if f"numbers={winner.number})" in line)
    assert row.index(f"{winner.fresh_mean:.4f}") < row.rindex(f"{winner.seen:.4f}")


def test_a_study_without_trainings_again_is_told_as_before(tmp_path, capsys):
    nasopt.run(small(trials=3), sampler="random", storage=tmp_path / "x.db", device="cpu")
    assert main(["show", str(tmp_path / "x.db")]) == 0
    out = capsys.readouterr().out
    assert "Validation accuracy  " in out
    assert "again" not in out
    assert main(["show", str(tmp_path / "x.db"), "--json"]) == 0
    (best,) = json.loads(capsys.readouterr().out)["best"]
    assert (best["fresh"], best["fresh_mean"]) == ([], None)


def test_the_trainings_of_a_noise_study_count_as_well(tmp_path):
    noise = NoiseStudy(small(), tmp_path / "x.db", "cpu", architectures=8, seeds=3)
    for _ in noise:
        pass
    known = {row[0].architecture.key: row for row in noise.evaluations}
    experiment = replace(small(), trials=30)
    nasopt.run(experiment, sampler="random", storage=tmp_path / "x.db", device="cpu")
    storage = open_storage(tmp_path / "x.db", "read")
    study = load_study(storage)
    outcomes = [outcome(study, number) for number in range(len(study.trials))]
    again = [each for each in outcomes if each.fresh]
    assert again
    for each in again:
        row = known[each.architecture.key]
        assert each.fresh == tuple(
            noise.evaluator.ledger.results(evaluation.key)[-1].accuracy for evaluation in row[1:]
        )
