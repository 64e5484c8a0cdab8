import json
import re
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import optuna
import pytest
from optuna.trial import TrialState

import nasopt
from nasopt import Conv, Experiment, Recipe, Space, categorical, real
from nasopt.analysis.examples import shown
from nasopt.analysis.selection import compare_studies, studies_together
from nasopt.cli.main import main
from nasopt.errors import StudyError
from nasopt.reporting.html import write_report
from nasopt.reporting.html.contents import Contents
from nasopt.reporting.html.page import render
from nasopt.search.search import Search
from nasopt.storage.opening import open_storage
from tests.benchmarks.growth import fill
from tests.examples import small


def written(database, tmp_path, study=None) -> str:
    """The page without Plotly's own source."""
    write_report(open_storage(database, "read"), tmp_path / "report.html", study)
    page = (tmp_path / "report.html").read_text()
    return re.sub(r"<script>/\*\*\n\* plotly.js.*?</script>", "", page, flags=re.DOTALL)


@pytest.fixture(scope="module")
def database(tmp_path_factory):
    """Two samplers with two seeds; their winners trained again."""
    path = tmp_path_factory.mktemp("report") / "x.db"
    nasopt.compare(
        small(trials=25), samplers="random,tpe", seeds=2, replicates=2, storage=path, device="cpu"
    )
    return path


def test_the_page_tells_of_all_studies_of_the_experiment(database, tmp_path):
    page = written(database, tmp_path)
    assert "<h1>experiment</h1>" in page
    for sampler in ("random", "tpe"):
        for seed in range(2):
            assert f"experiment/{sampler}/{seed}" in page
    assert "Left out" not in page


def test_one_study_alone_has_no_comparison_and_says_why(database, tmp_path, capsys):
    output = tmp_path / "one.html"
    assert main(["report", str(database), "--study", "experiment/tpe/1", "-o", str(output)]) == 0
    assert capsys.readouterr().out.startswith(f"{output}: ")
    page = output.read_text()
    assert "<h1>experiment/tpe/1</h1>" in page
    assert "Left out: tpe alone has searched here, so there is none to compare with." in page
    assert "of other experiments" not in page


def test_the_noise_that_was_measured_stands_below_the_comparison(database, tmp_path):
    copy = tmp_path / "x.db"
    with closing(sqlite3.connect(database)) as source, closing(sqlite3.connect(copy)) as target:
        source.backup(target)  # a copy of the file would lack what is in its log
    nasopt.noise(small(), architectures=2, seeds=2, storage=copy, device="cpu")
    noise = nasopt.open(copy).study("experiment/tpe/0").noise  # winners trained again may join it
    assert f"<li>{noise.shares} {noise.verdict}</li>" in written(copy, tmp_path)


def missing(page: str) -> list[str]:
    return re.findall(r"Left out: (.*?)\.</p>", page)


def begun(tmp_path, **fields) -> tuple[Path, optuna.Study]:
    """A study with a single trial, for others to be added by hand."""
    study = nasopt.run(
        small(trials=1, **fields), sampler="random", storage=tmp_path / "x.db", device="cpu"
    )
    return tmp_path / "x.db", study


def test_one_trial_is_a_page_with_reasons_for_what_it_cannot_show(tmp_path):
    database, _ = begun(tmp_path)
    page = written(database, tmp_path)
    assert "It tried 1 of 258 possible ones" in page
    assert missing(page) == [
        "random alone has searched here, so there is none to compare with",
        "that takes 21 different networks, and three of them to be the best",
        "that takes 20 networks trained to their end, and choices that matter",
    ]


def test_a_study_without_a_trial_says_so(tmp_path):
    Search(small(), storage=tmp_path / "x.db", device="cpu").study  # noqa: B018
    page = written(tmp_path / "x.db", tmp_path)
    assert "none has been trained to its end yet" in page
    assert "experiment/surrogate/0: 0 of 6 trials" in page
    assert len(missing(page)) == 9


def test_failed_running_and_queued_trials_do_no_harm(tmp_path):
    database, study = begun(tmp_path)
    study.tell(study.ask(), state=TrialState.FAIL)
    study.enqueue_trial(study.trials[0].params)
    study.ask()
    page = written(database, tmp_path)
    assert page.count("<td>fail</td>") == 1
    assert "<td>running</td>" not in page


def test_an_unfinished_search_is_told_of_as_that(tmp_path):
    database, study = begun(tmp_path)
    study.set_user_attr("trials", 40)
    page = written(database, tmp_path)
    assert "Still under way" in page
    assert "experiment/random/0: 1 of 40 trials" in page
    study.set_user_attr("trials", None)
    study.set_user_attr("epochs_budget", 30)
    assert "experiment/random/0: 2 of 30 epochs" in written(database, tmp_path)


def copied(database: Path, folder: Path) -> Path:
    """With what is in its write-ahead log yet."""
    copy = folder / "copy.db"
    with closing(sqlite3.connect(database)) as source, closing(sqlite3.connect(copy)) as target:
        source.backup(target)
    return copy


def test_samplers_that_are_not_done_are_not_compared(database, tmp_path):
    copy = copied(database, tmp_path)
    study = optuna.load_study(study_name="experiment/tpe/1", storage=f"sqlite:///{copy}")
    study.set_user_attr("trials", 30)
    page = written(copy, tmp_path)
    assert missing(page) == [
        "not all studies are at their end yet, so the samplers cannot be compared fairly"
    ]
    assert "experiment/tpe/1: 25 of 30 trials" in page


def test_studies_of_different_budgets_are_not_compared(database, tmp_path):
    copy = copied(database, tmp_path)
    study = optuna.load_study(study_name="experiment/tpe/1", storage=f"sqlite:///{copy}")
    study.set_user_attr("trials", 24)
    assert missing(written(copy, tmp_path)) == [
        "study=experiment/tpe/1: its budget is 24 evaluations, but 25 evaluations in "
        "experiment/random/0; compare studies of one budget"
    ]


def test_two_objectives_have_a_front(tmp_path):
    experiment = small(objectives=("accuracy", "parameters"), trials=25)
    nasopt.run(experiment, sampler="random", storage=tmp_path / "x.db", device="cpu")
    page = written(tmp_path / "x.db", tmp_path)
    assert "the share of all that it dominates" in page
    assert "networks nearest the front" in page
    assert "the front found by random dominates" in page
    assert "best network found" not in page


def test_a_benchmark_has_places_instead_of_a_drawing(tmp_path, macro):
    experiment = Experiment.on_benchmark(macro, trials=30)
    nasopt.compare(experiment, samplers="random,tpe", seeds=1, storage=tmp_path / "x.db")
    page = written(tmp_path / "x.db", tmp_path)
    records, _ = studies_together(open_storage(tmp_path / "x.db", "read"))
    keys = {trial.user_attrs["key"] for record in records for trial in record.counted}
    assert f"It tried {len(keys)} of 6,561 possible ones" in page
    assert "8 places" in page
    assert 'class="places"' in page
    assert missing(page) == [
        "every network has a single epoch",
        "what the networks found are truly worth is in the table that was searched, and that is "
        "not in the database; the command at the end of this page judges by it",
    ]
    assert f"--trials 30 --storage {tmp_path}/x.db" in page


def test_a_space_that_is_all_tried_has_no_more_networks_than_it_is_large(tmp_path):
    space = Space(Conv(filters=categorical(2, 4), kernel_size=3))
    for sampler in ("random", "tpe"):
        nasopt.run(
            small(space=space, trials=5), sampler=sampler, storage=tmp_path / "x.db", device="cpu"
        )
    page = written(tmp_path / "x.db", tmp_path)
    assert "It tried 2 of 2 possible ones" in page
    assert "Of 2 networks trained to the end" in page
    assert re.findall(r"<h3>(The best|In the middle|The worst): ", page) == [
        "The best",
        "The worst",
    ]
    assert "Still under way" not in page


def test_after_a_first_look_at_each_network_there_is_no_learning_yet(tmp_path):
    study = nasopt.run(
        small(trials=9), sampler="one-epoch", storage=tmp_path / "x.db", device="cpu"
    )
    early = optuna.create_study(study_name="experiment/early/0", storage=study._storage)
    for name, value in {**study.user_attrs, "sampler": "early"}.items():
        early.set_user_attr(name, value)
    early.add_trials(study.trials[:3])
    page = written(tmp_path / "x.db", tmp_path, "experiment/early/0")
    assert "no network was trained for a second epoch" in missing(page)


def test_a_recipe_with_open_fields_is_part_of_what_was_searched(tmp_path):
    database, _ = begun(tmp_path, recipe=Recipe(epochs=1, lr=real(0.01, 0.1, log=True)))
    page = written(database, tmp_path)
    assert "Of the training lr (0.01 to 0.1) was open as well." in page
    assert "It tried 1 of endlessly many possible ones" in page


def test_what_comes_from_the_database_is_escaped(tmp_path):
    name = '"><img src=x onerror=alert(1)></script>'
    database, study = begun(tmp_path, name=name)
    trial = optuna.trial.create_trial(
        state=TrialState.PRUNED,
        params=study.trials[0].params,
        distributions=study.trials[0].distributions,
        user_attrs={**study.trials[0].user_attrs, "reason": "</td><script>alert(2)</script>"},
    )
    study.add_trial(trial)
    page = written(database, tmp_path)
    assert "<img" not in page
    assert "alert(2)</script>" not in page
    assert "&lt;/td&gt;&lt;script&gt;alert(2)" in page


def test_studies_of_another_experiment_are_only_named(tmp_path):
    begun(tmp_path, name="one")
    database, _ = begun(tmp_path, name="other")
    page = written(database, tmp_path)
    assert "<h1>other/random/0</h1>" in page
    assert "of other experiments: one/random/0." in page


def test_a_large_search_is_thinned_and_says_so(database):
    storage = open_storage(database, "read")
    records, _ = studies_together(storage)
    found = shown(records, most=20)
    assert (found.total, len(found.trials), found.is_thinned) == (100, 20, True)
    accuracies = {(r.name, t.number): t.values[0] for r in records for t in r.counted}
    best = sorted(accuracies, key=lambda each: -accuracies[each])[:10]
    assert {accuracies[each] for each in best} <= {accuracies[each] for each in found.trials}
    contents = Contents(records, [], storage)
    contents.shown = found
    page = render(contents)
    assert "100 trials are too many for one page" in page
    assert len(contents.trials) == 20
    assert not shown(records).is_thinned


def test_a_page_of_more_than_a_thousand_trials_stays_small(tmp_path):
    fill(tmp_path / "x.db", "random", trials=1_050)
    size = write_report(open_storage(tmp_path / "x.db", "read"), tmp_path / "r.html")
    assert size < 6_000_000
    page = (tmp_path / "r.html").read_text()
    assert "1,050 trials are too many for one page" in page
    assert "Single trials are shown of 1,000" in page
    assert page.count("<td>complete</td>") + page.count("<td>pruned</td>") == 1_000
    assert "It tried 1,050 of" in page


def test_the_verdict_has_the_differences_of_its_table(database, tmp_path):
    page = written(database, tmp_path)
    (verdict,) = re.findall(r'<p class="verdict">(.*?)</p>', page)
    (told,) = re.findall(r"\(([+-][\d.]+)[,)]", verdict)
    assert f"<td>{told}</td>" in page


def test_a_file_that_cannot_be_written_is_named(database, tmp_path, capsys):
    output = tmp_path / "nowhere" / "r.html"
    assert main(["report", str(database), "-o", str(output)]) == 2
    assert capsys.readouterr().err == (
        f"nasopt: output={output}: cannot be written (No such file or directory); "
        "choose another file with -o\n"
    )


@pytest.mark.parametrize("name", ["x.db", "mine.py"])
def test_a_file_that_is_no_page_is_not_written_over(tmp_path, capsys, name):
    path = tmp_path / name
    nasopt.run(small(trials=1), storage=tmp_path / "x.db", device="cpu")
    (tmp_path / "mine.py").write_text("experiment = ...")
    before = path.read_bytes()
    assert main(["report", str(tmp_path / "x.db"), "-o", str(path)]) == 2
    assert capsys.readouterr().err == (
        f"nasopt: output={path}: there is such a file, and it is no page; "
        "choose another file with -o\n"
    )
    assert path.read_bytes() == before


def test_a_page_may_be_written_anew(database, tmp_path):
    assert written(database, tmp_path) == written(database, tmp_path)


def test_a_page_may_go_to_standard_output(database, tmp_path):
    command = [sys.executable, "-m", "nasopt", "report", str(database), "-o", "-"]
    page = subprocess.run(command, check=True, capture_output=True, cwd=tmp_path).stdout
    assert page.startswith(b"<!doctype html>")
    assert page.rstrip().endswith(b"</html>")
    assert not list(tmp_path.iterdir())


def test_a_study_that_is_not_there_and_a_database_of_others_are_named(database, tmp_path):
    with pytest.raises(StudyError, match="study='experiment/tpe/9': not in this database"):
        written(database, tmp_path, "experiment/tpe/9")
    optuna.create_study(storage=f"sqlite:///{tmp_path}/plain.db")
    with pytest.raises(StudyError, match="no study of nasopt's in it"):
        written(tmp_path / "plain.db", tmp_path)
    assert not (tmp_path / "report.html").exists()


@pytest.mark.parametrize(
    ("words", "unneeded"),
    [
        (["--study", "experiment/tpe/0"], {"torch", "sklearn", "pandas", "scipy"}),
        ([], {"torch", "sklearn", "pandas"}),  # samplers are compared with SciPy
    ],
)
def test_a_report_loads_nothing_that_takes_long_and_is_not_needed(
    database, tmp_path, words, unneeded
):
    words = ["report", str(database), "-o", str(tmp_path / "r.html"), *words]
    code = (
        "import sys\nfrom nasopt.cli.main import main\n"
        f"assert main({words!r}) == 0\n"
        f"assert not {unneeded!r} & sys.modules.keys()"
    )
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)


def test_a_report_says_as_json_what_it_wrote(database, tmp_path, capsys):
    output = tmp_path / "r.html"
    assert main(["report", str(database), "-o", str(output), "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {
        "output": str(output),
        "bytes": output.stat().st_size,
    }


def test_the_value_of_a_seed_or_budget_costs_nothing(tmp_path):
    """Spelled out, so many of either would not fit the memory."""
    seed, large = 2**32 - 1, 2**40
    experiment = small(space=Space(Conv(filters=categorical(2, 4))), trials=large)
    for sampler in ("random", "tpe"):
        nasopt.run(experiment, sampler=sampler, seed=seed, storage=tmp_path / "x.db", device="cpu")
    page = written(tmp_path / "x.db", tmp_path)
    assert f"--sampler tpe --seed {seed} --trials {large}" in page
    assert "Left out: " in page  # of two networks there is not all to be told
    result = compare_studies(tmp_path / "x.db", "*", replicates=large)
    assert result.score == "seen"
    assert [c.positions[-1] for c in result.curves if c.axis == "evaluation"] == [large] * 2
