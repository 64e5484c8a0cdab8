"""An ordinary study: what plain Optuna adds to it, every reader leaves out and says so."""

import json
import re

import optuna
import pytest
from optuna.trial import TrialState

import nasopt
from nasopt import Experiment, load_benchmark
from nasopt.analysis.outcome import result
from nasopt.analysis.record import Record
from nasopt.analysis.selection import compare_studies
from nasopt.cli.main import main
from nasopt.reporting.dashboard.filling import Filling
from nasopt.reporting.dashboard.words import InWords
from nasopt.storage.opening import open_storage
from nasopt.storage.record import is_own
from tests.examples import small
from tests.foreign import add_foreign

TABLE = "a,b,epoch,accuracy\n" + "".join(
    f"{a},{b},{epoch},{a * b % 7 / 7 + epoch / 100}\n"
    for a in range(5)
    for b in range(5)
    for epoch in (1, 2)
)


def experiment(kind: str, folder) -> Experiment:
    if kind == "table":
        (folder / "t.csv").write_text(TABLE)
        return Experiment.on_benchmark(load_benchmark(str(folder / "t.csv")), trials=4)
    objectives = ("accuracy", "macs") if kind == "two objectives" else ("accuracy",)
    return small(trials=4, objectives=objectives)


@pytest.fixture(scope="module", params=["one objective", "two objectives", "table"])
def mixed(request, tmp_path_factory):
    """A database of two studies, first as they were, then with trials of others and a study."""
    folder = tmp_path_factory.mktemp("mixed")
    database = folder / "x.db"
    searched = experiment(request.param, folder)
    nasopt.compare(
        searched, samplers="random,tpe", seeds=1, replicates=1, storage=database, device="cpu"
    )
    url = f"sqlite:///{database}"
    names = optuna.get_all_study_names(url)
    storage = open_storage(database)
    before = [result(optuna.load_study(study_name=name, storage=storage)) for name in names]
    for name in names:
        study = optuna.load_study(study_name=name, storage=url)
        added = add_foreign(study)
    plain = optuna.create_study(study_name="plain", storage=url)
    plain.optimize(lambda trial: trial.suggest_float("x", 0, 1), n_trials=2)
    return database, searched, before, added


def test_the_outcome_is_that_of_the_search_alone(mixed, capsys):
    database, _, before, added = mixed
    for found in before:
        assert main(["show", str(database), "--study", found.study, "--json"]) == 0
        shown = json.loads(capsys.readouterr().out)
        assert shown["best"] == json.loads(json.dumps([each.to_json() for each in found.best]))
        assert (shown["foreign"], shown["pruned"]) == (added, found.pruned)
        assert shown["done"] == found.done + 1  # one that failed, of which nothing else is known
        assert main(["show", str(database), "--study", found.study]) == 0
        text = " ".join(capsys.readouterr().out.split())
        assert f"{added} trials were made by plain Optuna (study.add_trial," in text


def test_the_list_and_any_trial_have_a_line(mixed, capsys):
    database, _, before, added = mixed
    assert main(["show", str(database), "--studies", "--json"]) == 0
    summaries = json.loads(capsys.readouterr().out)
    assert [each["best"] for each in summaries] == [
        max(outcome.accuracy for outcome in found.best) if len(found.objectives) == 1
        else summary["best"] for found, summary in zip(before, summaries, strict=True)
    ]  # fmt: skip
    assert all(each["foreign"] == added and each["best"] < 1e9 for each in summaries)
    number = str(before[0].done + before[0].free + 1)
    for option in ("--trial", "--why"):
        words = ["show", str(database), "--study", before[0].study, option, number]
        assert main(words) == 2
        assert "made by plain Optuna" in capsys.readouterr().err
    assert main(["show", str(database), "--study", "plain"]) == 2
    assert "study='plain': not one of nasopt's" in capsys.readouterr().err


def test_the_page_says_what_it_leaves_out(mixed, tmp_path):
    database, _, _, added = mixed
    assert main(["report", str(database), "-o", str(tmp_path / "r.html")]) == 0
    page = (tmp_path / "r.html").read_text()
    assert f"{2 * added} trials were made by plain Optuna" in page
    assert "1000000000" not in page[: page.index("plotly.js")]


def test_a_comparison_goes_on_as_before_and_says_what_it_leaves_out(mixed):
    database, searched, before, added = mixed
    found = nasopt.compare(
        searched, samplers="random,tpe", seeds=1, replicates=1, storage=database, device="cpu"
    )
    assert any(note.startswith(f"{2 * added} trials were made by plain") for note in found.notes)
    assert max(each.seen for each in found.standings) < 1e6
    if searched.backend.fresh_seeds:
        again = compare_studies(database, "experiment/*", replicates=1)
        assert again.standings == found.standings
    if len(searched.objectives) == 1:
        last = {each.study: each.number for each in found.winners if each.quarter == 4}
        assert last == {each.study: each.best[0].number for each in before}


def test_the_dashboard_shows_the_database(mixed):
    database, _, before, added = mixed
    storage = open_storage(database)
    Filling(storage, str(database)).refresh()
    for found in before:
        study = optuna.load_study(study_name=found.study, storage=storage)
        attrs = storage.get_study_system_attrs(study._study_id)
        (note,) = (attrs[key] for key in attrs if key == "dashboard:note_str:0")
        assert f"{added} trials were made by plain Optuna" in note
        assert len(InWords(storage).get_all_trials(study._study_id)) == len(study.trials)


def test_a_search_is_a_benchmark_whatever_was_added_to_its_study(mixed, tmp_path):
    database, searched, _, _ = mixed
    if searched.backend.fresh_seeds:
        found = load_benchmark(f"ledger:{database}") if dense(database, searched) else None
        assert found is None or found.accuracies.max() <= 1


def dense(database, searched) -> bool:
    """Whether the studies know a twentieth of the space's networks."""
    url = f"sqlite:///{database}"
    names = [name for name in optuna.get_all_study_names(url) if name != "plain"]
    records = [Record.of(optuna.load_study(study_name=name, storage=url)) for name in names]
    keys = {trial.user_attrs["key"] for each in records for trial in each.complete}
    return len(keys) >= 0.06 * searched.distinct


def test_what_nasopt_returns_is_an_ordinary_study(tmp_path):
    study = nasopt.run(small(trials=3), sampler="random", storage=tmp_path / "x.db", device="cpu")
    best = study.best_value

    def objective(trial: optuna.Trial) -> float:
        trial.report(0.5, step=1)
        trial.set_user_attr("key", "mine")
        if trial.should_prune() or trial.number % 2:
            raise optuna.TrialPruned
        return trial.suggest_float("x", 0, 1) - 1

    study.optimize(objective, n_trials=4)
    trial = study.ask({"y": optuna.distributions.IntDistribution(1, 3)})
    study.tell(trial, state=TrialState.FAIL)
    assert len(study.trials) == 3 + 4 + 1
    assert study.best_value == best
    found = result(study)
    assert (found.best[0].accuracy, found.foreign) == (best, 4)
    again = nasopt.run(small(trials=9), sampler="random", storage=tmp_path / "x.db", device="cpu")
    assert sum(is_own(trial, small().hyperparameters) for trial in again.trials) >= 4
    assert len(Record.of(again).foreign) == 4


def test_a_page_of_trials_beyond_the_total_does_not_say_so_many_of_fewer(tmp_path, capsys):
    database = tmp_path / "x.db"
    study = nasopt.run(small(trials=6), sampler="random", storage=database, device="cpu")
    study.set_user_attr("trials", 4)
    nonsense = re.compile(r"6 of 4|6/4")
    for words in (["show", str(database)], ["show", str(database), "--studies"]):
        assert main(words) == 0
        out = capsys.readouterr().out
        assert not nonsense.search(out)
    assert main(["show", str(database)]) == 0
    assert "6 trials (4 asked for)" in capsys.readouterr().out
    storage = open_storage(database)
    Filling(storage, str(database)).refresh()
    attrs = storage.get_study_system_attrs(study._study_id)
    assert "6 trials (4 asked for) are done" in attrs["dashboard:note_str:0"].replace("\\", "")
