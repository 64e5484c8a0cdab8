"""A study may go on with other limits: what is the best goes by those in force."""

import json
import statistics
from dataclasses import replace
from itertools import pairwise

import optuna
import pytest

import nasopt
from nasopt import macs, parameters
from nasopt.analysis.choices import preferences
from nasopt.analysis.curves import study_rows
from nasopt.analysis.examples import examples
from nasopt.analysis.front import COSTS, trade_off
from nasopt.analysis.outcome import load_study, outcome, result
from nasopt.analysis.record import Record
from nasopt.analysis.selection import compare_studies
from nasopt.analysis.studies import study_summaries
from nasopt.cli.main import main
from nasopt.reporting.dashboard.filling import Filling
from nasopt.storage.opening import open_storage
from tests.examples import small

LIMITS = {
    "tightened": (parameters <= 300,),
    "on MACs": (macs <= 6_000,),
    "two": (parameters <= 400, macs <= 20_000),
    "loosened": (parameters <= 100_000,),
    "none left": (),
}


@pytest.fixture(params=LIMITS.items(), ids=LIMITS)
def went_on(request, tmp_path):
    """A study that went on with other limits than it began with, and these."""
    _, limits = request.param
    experiment = small(trials=10, limits=parameters <= 700)
    for each in (experiment, replace(experiment, trials=12, limits=limits)):
        nasopt.run(each, sampler="random", storage=tmp_path / "x.db", device="cpu")
    return tmp_path / "x.db", limits


def within(limits, parameters, macs) -> bool:
    costs = {"parameters": parameters, "macs": macs}
    return all(costs[limit.quantity] <= limit.bound for limit in limits)


def test_every_reader_goes_by_the_limits_in_force(went_on, tmp_path, capsys):
    database, limits = went_on
    storage = open_storage(database)
    study = load_study(storage)
    counted = [t for t in study.trials if "free" not in t.user_attrs]
    allowed = [
        t for t in counted if within(limits, t.user_attrs["parameters"], t.user_attrs["macs"])
    ]
    over = len(counted) - len(allowed)
    complete = [t for t in allowed if t.state.name == "COMPLETE"]
    best = max(t.value for t in complete)
    found = result(study)
    assert (found.over, found.best[0].accuracy, found.done) == (over, best, 12)
    for each in (*found.best, *found.runners_up):
        assert within(limits, each.parameters, each.macs)
    record = Record.of(study)
    assert study_rows([record])["random"][0][-1].incumbent == best
    assert len(study_rows([record])["random"][0]) == 12
    assert examples([record]).best.accuracy == best
    for cost in COSTS:
        numbers = {point.number for point in trade_off([record], cost).points}
        assert numbers == {trial.number for trial in complete}
    (summary,) = study_summaries(storage)
    assert (summary.best, summary.over) == (best, over)
    sentence = f"{over} earlier trial{'s are' if over > 1 else ' is'} over the limits in force"
    assert main(["show", str(database)]) == 0
    assert (sentence in " ".join(capsys.readouterr().out.split())) == bool(over)
    assert main(["report", str(database), "-o", str(tmp_path / "r.html")]) == 0
    page = (tmp_path / "r.html").read_text()
    assert (sentence in page) == bool(over)
    assert page.count("over the limits in force</td>") == over
    Filling(storage, str(database)).refresh()
    note = storage.get_study_system_attrs(study._study_id)["dashboard:note_str:0"]
    assert (sentence in note) == bool(over)


def test_what_was_never_trained_under_the_old_limit_stays_that(tmp_path, capsys):
    tight = small(trials=4, limits=parameters <= 100)
    for each in (tight, replace(tight, trials=8, limits=())):
        study = nasopt.run(each, sampler="largest", storage=tmp_path / "x.db", device="cpu")
    storage = open_storage(tmp_path / "x.db")
    first = study.trials[0]
    never = optuna.create_trial(  # as a sampler that repeats itself leaves it
        state=optuna.trial.TrialState.PRUNED,
        params=first.params,
        distributions=first.distributions,
        user_attrs={
            "key": first.user_attrs["key"],
            "infeasible": "parameters <= 100",
            "free": True,
        },
    )
    study.add_trial(never)
    found = result(load_study(storage))
    assert found.over == 0
    number = len(study.trials) - 1
    assert number not in {each.number for each in (*found.best, *found.runners_up)}
    assert outcome(load_study(storage), number).over == ()
    assert main(["show", str(tmp_path / "x.db"), "--trial", str(number)]) == 0
    assert "Never trained, over" in capsys.readouterr().out


def limited(database, *limits: str) -> None:
    """Make these the limits in force of all studies."""
    storage = open_storage(database)
    for study in storage.get_all_studies():
        storage.set_study_user_attr(study._study_id, "limits", list(limits))


@pytest.mark.parametrize("objectives", [("accuracy",), ("accuracy", "macs")])
def test_no_network_at_all_within_the_limits_is_said(tmp_path, objectives, capsys):
    database = tmp_path / "x.db"
    experiment = small(trials=4, objectives=objectives)
    nasopt.run(experiment, sampler="random", storage=database, device="cpu")
    limited(database, "parameters <= 1")
    assert main(["show", str(database)]) == 0
    assert "No complete trial is within parameters <= 1." in capsys.readouterr().out
    assert main(["show", str(database), "--json"]) == 0
    shown = json.loads(capsys.readouterr().out)
    assert (shown["best"], shown["over"]) == ([], shown["done"])
    assert main(["show", str(database), "--studies"]) == 0
    assert main(["report", str(database), "-o", str(tmp_path / "r.html")]) == 0
    assert "none that was trained to its end is within parameters &lt;= 1" in (
        (tmp_path / "r.html").read_text()
    )
    Filling(open_storage(database), str(database)).refresh()


def test_a_front_of_two_objectives_is_within_the_limits(tmp_path):
    database = tmp_path / "x.db"
    experiment = small(trials=12, objectives=("accuracy", "macs"))
    nasopt.run(experiment, sampler="random", storage=database, device="cpu")
    everything = {each.number for each in result(load_study(open_storage(database))).best}
    limited(database, "macs <= 5,000")
    found = result(load_study(open_storage(database)))
    assert found.best
    assert all(each.macs <= 5_000 for each in found.best)
    assert found.over > 0
    assert {each.number for each in found.best} != everything or len(everything) == 1
    assert all(a.accuracy < b.accuracy for a, b in pairwise(found.best))
    (rows,) = study_rows([Record.of(load_study(open_storage(database)))])["random"].values()
    assert 0 < rows[-1].incumbent <= 1


def test_winners_and_statistics_of_a_comparison_are_within_the_limits(tmp_path):
    database = tmp_path / "x.db"
    nasopt.compare(
        small(trials=8), samplers="random,tpe", seeds=2, replicates=0, storage=database,
        device="cpu",
    )  # fmt: skip
    before = compare_studies(database, "*", replicates=0)
    limited(database, "parameters <= 200")
    found = compare_studies(database, "*", replicates=0)
    storage = open_storage(database)
    for winner in found.winners:
        trial = load_study(storage, winner.study).trials[winner.number]
        assert trial.user_attrs["parameters"] <= 200
        assert trial.value == winner.seen
    for standing in found.standings:
        seen = [w.seen for w in found.winners if w.sampler == standing.sampler and w.quarter == 4]
        assert standing.seen == pytest.approx(statistics.fmean(seen))
    assert any("earlier trials are over the limits in force" in note for note in found.notes)
    assert not any("over the limits" in note for note in before.notes)


def test_choices_are_those_of_networks_within_the_limits(tmp_path):
    database = tmp_path / "x.db"
    nasopt.run(small(trials=60), sampler="random", storage=database, device="cpu")
    everything = preferences([Record.of(load_study(open_storage(database)))])
    limited(database, "parameters <= 600")
    found = preferences([Record.of(load_study(open_storage(database)))])
    assert 21 <= found.n_networks < everything.n_networks
