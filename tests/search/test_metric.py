"""A study by another metric than the accuracy, and one that is scored by another afterwards."""

import gzip
import sqlite3
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

import nasopt
from nasopt import Experiment, Recipe, categorical
from nasopt.analysis.outcome import load_study, outcome, result
from nasopt.analysis.record import Record
from nasopt.cli.main import main
from nasopt.errors import Error
from nasopt.models.finals import Finals
from nasopt.models.searched import recalled
from nasopt.reporting.captions import about_network
from nasopt.search.comparison import Comparison
from nasopt.search.loading import load_experiment
from nasopt.search.noise import NoiseStudy
from nasopt.search.search import Search
from nasopt.storage.ledger import Ledger
from nasopt.storage.opening import folders, open_storage
from nasopt.training.metrics import METRICS
from tests.examples import small
from tests.storage.test_version_1 import STUDY

OTHERS = ("balanced_accuracy", "macro_f1")


def by(metric: str, **fields: object) -> Experiment:
    return small(metric=metric, name=metric, trials=4, **fields)


def results_of(database: Path, trial: object) -> list[object]:
    storage = open_storage(database, "read")
    return Ledger(storage.engine, folders(storage).checkpoints).results(trial.user_attrs["key"])


@pytest.mark.parametrize("metric", METRICS)
def test_a_search_goes_by_its_metric(tmp_path, metric):
    database = tmp_path / "x.db"
    study = nasopt.run(by(metric), storage=database, device="cpu")
    assert study.metric_names == [metric]
    for trial in study.trials:
        known = results_of(database, trial)
        reports = {each.epoch: each.score(metric) for each in known}
        assert trial.intermediate_values == reports
        assert trial.value == reports[max(reports)]


def test_what_is_by_the_accuracy_is_recorded_as_ever():
    record = small().record.to_json()
    assert record.keys() == {"space", "recipe", "dataset", "seed", "objectives", "input_shape"}
    assert record["objectives"] == ["accuracy"]
    assert by("macro_f1").record.to_json() == record | {"objectives": ["macro_f1"]}
    two = by("macro_f1", objectives=("accuracy", "macs"))
    assert two.record.objectives == ("macro_f1", "macs")
    assert replace(two, metric="accuracy").record.objectives == ("accuracy", "macs")


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"metric": "macro-f1"}, "Experiment.metric='macro-f1': unknown; did you mean macro_f1?"),
        ({"metric": ["macro_f1"]}, "Experiment.metric=['macro_f1']: unknown; "),
        ({"metric": categorical("accuracy")}, "Experiment.metric=categorical('accuracy'): unknown"),
        (
            {"objectives": ("macro_f1", "macs")},
            "Experiment.objectives: 'macro_f1' is a metric; write metric='macro_f1'",
        ),
    ],
)
def test_a_metric_that_cannot_be_is_named_with_its_remedy(fields, message):
    with pytest.raises(Error) as error:
        small(**fields)
    assert str(error.value).startswith(message)


def test_a_benchmark_knows_the_accuracy_alone(macro):
    with pytest.raises(Error, match="metric='macro_f1': a benchmark knows the accuracy alone"):
        Experiment.on_benchmark(macro, metric="macro_f1")


def test_a_study_is_not_continued_by_another_metric(tmp_path):
    nasopt.run(by("accuracy"), storage=tmp_path / "x.db", device="cpu")
    with pytest.raises(Error, match="objectives") as error:
        Search(replace(by("accuracy"), metric="macro_f1"), storage=tmp_path / "x.db", device="cpu")
    assert "macro_f1" in str(error.value)


def test_another_search_by_another_metric_trains_nothing_that_is_known(tmp_path):
    database = tmp_path / "x.db"
    nasopt.run(by("accuracy"), sampler="random", storage=database, device="cpu")
    study = nasopt.run(by("macro_f1"), sampler="random", storage=database, device="cpu")
    counted = [t.user_attrs for t in study.trials if "free" not in t.user_attrs]
    assert counted
    assert all(attrs["replayed_epochs"] == attrs["epochs"] for attrs in counted)


@pytest.mark.parametrize("metric", OTHERS)
def test_a_study_is_scored_anew_without_training(tmp_path, monkeypatch, metric):
    database = tmp_path / "x.db"
    nasopt.run(by("accuracy"), sampler="random", storage=database, device="cpu")
    searched = nasopt.run(by(metric), sampler="random", storage=database, device="cpu")
    monkeypatch.setattr("nasopt.training.trainer.Trainer.__init__", None)
    storage = open_storage(database, "read")
    study = load_study(storage, "accuracy/random/0")
    for trial in searched.trials:
        again = outcome(study, trial.number, metric)
        assert (again.accuracy, again.metric) == (trial.values[0], metric)
        assert again.accuracies == tuple(trial.intermediate_values.values())
    found = result(study, metric)
    assert found.objectives == (metric,)
    assert found.best[0].accuracy == searched.best_value
    assert result(study).objectives == ("accuracy",)


def test_the_command_line_scores_anew_and_names_the_metric(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    nasopt.run(by("accuracy"), sampler="random", storage="x.db", device="cpu")
    assert main(["show", "x.db", "--metric", "macro_f1"]) == 0
    shown = capsys.readouterr().out
    assert "Validation macro F1" in shown
    assert "macro F1 seen" in shown
    assert "Scored by macro F1, from the ledger: the search itself went by accuracy." in shown
    assert main(["report", "x.db", "--metric", "balanced_accuracy", "-o", "r.html"]) == 0
    page = Path("r.html").read_text()
    for text in ("best balanced accuracy", "Balanced accuracy against size", "class by class"):
        assert text in page
    assert "best accuracy" not in page
    for words in (["--metric", "macrof1"], ["--metric", "macro_f1", "--studies"]):
        assert main(["show", "x.db", *words]) == 2
    assert "did you mean macro_f1?" in capsys.readouterr().err


def test_a_study_of_an_older_version_is_not_scored_anew_but_goes_on(tmp_path, monkeypatch, capsys):
    packed = Path(__file__).parents[1] / "data" / "version-1.db.gz"
    (tmp_path / "old.db").write_bytes(gzip.decompress(packed.read_bytes()))
    monkeypatch.chdir(tmp_path)
    assert main(["show", "old.db", "--metric", "macro_f1"]) == 2
    assert "kept no confusion matrices" in capsys.readouterr().err
    Path("old.py").write_text(STUDY)
    nasopt.run(load_experiment("old.py"), storage="old.db", device="cpu")


def test_epochs_without_matrices_are_trained_again_for_another_metric(tmp_path):
    database = tmp_path / "x.db"
    nasopt.run(by("accuracy"), sampler="random", storage=database, device="cpu")
    with closing(sqlite3.connect(database)) as opened:
        opened.execute("DELETE FROM nasopt_confusions")
        opened.commit()
    study = nasopt.run(by("macro_f1"), sampler="random", storage=database, device="cpu")
    counted = [t.user_attrs for t in study.trials if "free" not in t.user_attrs]
    assert {attrs["replayed_epochs"] for attrs in counted} == {0}
    known = load_study(open_storage(database, "read"), "accuracy/random/0")
    assert result(known, "macro_f1").best[0].accuracy == study.best_value


def test_noise_and_comparisons_go_by_the_metric(tmp_path):
    experiment, database = by("macro_f1"), tmp_path / "x.db"
    noise = NoiseStudy(experiment, database, "cpu", architectures=2, seeds=2)
    list(noise)
    scores = noise.evaluator.ledger.final_scores(2)
    assert noise.accuracies == [[scores[each.key] for each in row] for row in noise.evaluations]
    comparison = Comparison(
        experiment, samplers="random,tpe", seeds=1, replicates=1, storage=database, device="cpu"
    )
    list(comparison)
    scores = noise.evaluator.ledger.final_scores(2)
    for winner in comparison.result.winners:
        study = load_study(open_storage(database, "read"), winner.study)
        won = Record.of(study).experiment.evaluation(study.trials[winner.number].params)
        assert winner.seen == study.trials[winner.number].value
        assert winner.fresh == (scores[replace(won, seed=1).key],)


def test_two_objectives_have_the_metric_as_the_first(tmp_path, capsys):
    two = by("macro_f1", objectives=("accuracy", "parameters"))
    study = nasopt.run(two, sampler="random", storage=tmp_path / "x.db", device="cpu")
    assert study.metric_names == ["macro_f1", "parameters"]
    (first, *_) = study.trials
    assert first.values[0] == results_of(tmp_path / "x.db", first)[-1].score("macro_f1")
    assert main(["show", str(tmp_path / "x.db")]) == 0
    assert "front of macro F1 against parameters" in capsys.readouterr().out


def test_finals_know_the_metric_and_rank_anew_by_it(tmp_path):
    experiment = by("macro_f1", recipe=Recipe(epochs=1, batch_size=32))
    study = nasopt.run(experiment, sampler="random", storage=tmp_path / "x.db", device="cpu")
    finals = Finals(
        experiment, storage=tmp_path / "x.db", output=tmp_path / "model",
        top=2, seeds=1, device="cpu",
    )  # fmt: skip
    reranking = yield_from(finals._rerank())
    scores = finals.evaluator.ledger.final_scores(1)
    for each in reranking.candidates:
        won = experiment.evaluation(study.trials[each.number].params)
        assert each.fresh == (scores[replace(won, seed=1).key],)
    assert recalled(Record.of(study)).record == experiment.record


def yield_from(generator):
    """Return what a generator returns in the end."""
    while True:
        try:
            next(generator)
        except StopIteration as ended:
            return ended.value


def test_the_noise_is_that_of_the_metric_and_says_so(tmp_path):
    database = tmp_path / "x.db"
    experiment = by("macro_f1")
    measured = nasopt.noise(experiment, architectures=3, seeds=2, storage=database, device="cpu")
    nasopt.run(experiment, sampler="random", storage=database, device="cpu")
    read = nasopt.open(database).study().noise
    assert measured == read
    assert measured.metric == "macro_f1"
    assert "Mean macro F1" in str(measured)
    (best,) = nasopt.open(database).study().outcome.best
    assert "macro F1 0." in about_network(best)
