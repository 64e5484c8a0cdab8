"""What a user of Python reads from a database, and how it shows itself."""

import csv
import sys
from html.parser import HTMLParser

import optuna
import pytest
from rich.console import Console

import nasopt
from nasopt.analysis.outcome import result
from nasopt.cli.main import main
from nasopt.errors import StorageError, StudyError
from nasopt.search.search import Search
from tests.examples import small

STUDY = "experiment/surrogate/0"


@pytest.fixture(scope="module")
def location(tmp_path_factory):
    path = tmp_path_factory.mktemp("results") / "x.db"
    nasopt.compare(
        small(trials=12), samplers="random,surrogate", seeds=1, replicates=1, storage=path,
        device="cpu",
    )  # fmt: skip
    return path


@pytest.fixture
def database(location):
    return nasopt.open(location)


def test_a_database_lists_its_studies_and_gives_the_last(database):
    names = [each.study for each in database.studies]
    assert sorted(names) == ["experiment/random/0", STUDY]
    assert database.study().name == names[-1]
    with pytest.raises(StudyError, match="not in this database; did you mean"):
        database.study("experiment/surogate/0")


def test_opening_makes_nothing(tmp_path):
    with pytest.raises(StorageError, match="no such file"):
        nasopt.open(tmp_path / "none.db")
    assert not any(tmp_path.iterdir())


def test_a_study_has_its_best_network_and_any_other(database):
    study = database.study(STUDY)
    assert study.best == study.outcome.best[0]
    assert study.architecture == study.best.architecture
    assert nasopt.best(study) == nasopt.best(study.outcome) == study.architecture
    assert study.trial(3).number == 3
    assert study.why(11).seen == study.trial(11).accuracy


def test_a_study_just_run_is_a_result(location):
    study = nasopt.run(small(trials=12), storage=location, device="cpu")
    assert nasopt.StudyResult(study).outcome == result(study)


def test_a_row_a_trial_has_what_optuna_knows_of_it(database, location):
    frame = database.study(STUDY).trials
    study = optuna.load_study(study_name=STUDY, storage=f"sqlite:///{location}")
    assert frame["number"].tolist() == list(range(12))
    assert frame["accuracy"].tolist() == [trial.value for trial in study.trials]
    assert set(frame["ended_by"]) == {"trained"}
    assert frame["epochs"].tolist() == [2] * 12
    assert (frame["parameters"] > 0).all()
    assert frame["params_conv01.filters"].tolist() == [
        trial.params["conv01.filters"] for trial in study.trials
    ]


def test_a_trial_of_plain_optuna_and_one_that_waits_are_rows_too(tmp_path):
    study = nasopt.run(small(trials=1), storage=tmp_path / "x.db", device="cpu")
    study.enqueue_trial({"conv.depth": 1})
    plain = optuna.load_study(study_name=study.study_name, storage=f"sqlite:///{tmp_path}/x.db")
    plain.add_trial(optuna.create_trial(value=0.5))
    frame = nasopt.open(tmp_path / "x.db").study().trials
    assert frame["state"].tolist() == ["complete", "waiting", "complete"]
    assert frame["ended_by"].isna().tolist() == [False, True, True]


def test_a_table_calls_the_metric_by_its_name_and_has_the_latency_that_was_measured(tmp_path):
    experiment = small(trials=1, metric="macro_f1", objectives=("accuracy", "latency"))
    study = nasopt.run(experiment, sampler="random", storage=tmp_path / "x.db", device="cpu")
    frame = nasopt.StudyResult(study).trials
    assert [frame["macro_f1"][0], frame["latency"][0]] == study.trials[0].values
    assert "accuracy" not in frame


def test_a_row_an_epoch_follows_the_accuracy(database):
    study = database.study(STUDY)
    curves = study.curves
    assert curves["epoch"].tolist() == [1, 2] * 12
    last = curves[curves["number"] == 5]["accuracy"].tolist()
    assert tuple(last) == study.trial(5).accuracies


def test_the_noise_is_that_which_was_measured(tmp_path):
    path = tmp_path / "x.db"
    study = nasopt.StudyResult(nasopt.run(small(trials=1), storage=path, device="cpu"))
    assert study.noise is None
    measured = nasopt.noise(small(), architectures=2, seeds=2, storage=path, device="cpu")
    assert nasopt.open(path).study().noise == measured


def test_without_pandas_an_error_says_how_to_get_it(database, monkeypatch):
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(StudyError, match=r'pip install "nasopt\[pandas\]"'):
        database.study(STUDY).trials  # noqa: B018


def test_a_study_without_a_complete_trial_has_no_best(tmp_path):
    search = Search(small(), storage=tmp_path / "x.db", device="cpu")
    study = nasopt.StudyResult(search.study)
    assert str(study) == "experiment/surrogate/0: 0 of 6 trials\n\nNo trial is complete yet."
    with pytest.raises(StudyError, match="no trial is complete yet"):
        study.best  # noqa: B018


class Cells(HTMLParser):
    """The texts of a page's cells."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.texts: list[str] = []
        self.feed(page)

    def handle_data(self, data: str) -> None:
        self.texts.append(data)


def shown(database):
    study = database.study(STUDY)
    yield database
    yield study
    yield study.outcome
    yield study.best
    yield study.why(11)
    yield database.comparison(replicates=1)
    yield nasopt.noise(small(), architectures=2, seeds=2, storage=database.location, device="cpu")


def test_everything_shows_itself_alike_in_print_a_terminal_and_a_notebook(database):
    for each in shown(database):
        printed = str(each)
        page = Cells(each._repr_html_()).texts
        console = Console(width=80, force_terminal=False, record=True, quiet=False)
        with console.capture() as terminal:
            console.print(each)
        words = printed.split()
        assert [*words] == terminal.get().split()
        assert set(words[:3]) <= set(" ".join(page).split())


def test_what_is_shown_holds_no_markup_of_a_name(tmp_path):
    path = tmp_path / "x.db"
    named = "<b>[red]\x1b[2J"
    nasopt.run(small(trials=1, name="plain"), storage=path, device="cpu")
    study = nasopt.open(path).study()
    outcome = type(study.outcome)(**{**vars(study.outcome), "study": named})
    assert "&lt;b&gt;[red]\\x1b[2J" in outcome._repr_html_()
    assert "<b>[red]\\x1b[2J" in str(outcome)


def test_show_writes_the_trials_as_a_table(location, tmp_path, capsys):
    path = tmp_path / "trials.csv"
    assert main(["show", str(location), "--study", STUDY, "--csv", str(path)]) == 0
    with path.open(newline="") as file:
        rows = list(csv.DictReader(file))
    frame = nasopt.open(location).study(STUDY).trials
    assert [float(row["accuracy"]) for row in rows] == frame["accuracy"].tolist()
    assert list(rows[0]) == list(frame.columns)
    capsys.readouterr()
    assert main(["show", str(location), "--csv", str(location)]) == 2
    assert "it is no table of trials" in capsys.readouterr().err
    assert main(["show", str(location), "--studies", "--csv", str(path)]) == 2
    assert "--csv: " in capsys.readouterr().err
