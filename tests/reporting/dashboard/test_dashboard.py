"""What a dashboard fills in: the notes, plots and files of each study."""

import json
import subprocess
import time
from functools import partial

import optuna
from optuna_dashboard import get_note, save_note

import nasopt
from nasopt import Architecture, Experiment, load_experiment
from nasopt.analysis.outcome import result
from nasopt.cli.main import main
from nasopt.reporting.dashboard.filling import Filling
from nasopt.search.comparison import Comparison
from nasopt.search.search import Search
from nasopt.storage.opening import open_storage
from nasopt.text import accuracy
from tests.cli.test_main import fails
from tests.examples import small, study_file
from tests.forked import Forked
from tests.reporting.dashboard.conftest import TRIALS
from tests.reporting.dashboard.serving import (
    PLOTS,
    RANDOM,
    TPE,
    asked,
    filled,
    load,
    plots_of,
    serving,
    without_notes,
)


def test_each_study_has_a_note_of_what_was_searched_what_came_out_and_how_to_reproduce_it(done):
    filled(done)
    study = load(done, TPE)
    text = get_note(study)
    (best,) = result(study).best
    first = next(line for line in text.splitlines() if f"?numbers={best.number})" in line)
    assert f"{best.accuracy:.4f}" in first
    assert f"{best.macs:,}" in first
    assert f"**{TRIALS} of {TRIALS} trials are done" in text
    assert r"the filters \(2, 4 or 8\)" in text
    assert "epochs 1, batch\\_size 32" in text
    commands = (
        f"nasopt run experiment.py --sampler tpe --seed 0 --trials {TRIALS} --storage {done}",
        f"nasopt show {done} --study {TPE}",
        f"nasopt report {done}",
    )
    assert "\n".join(("```", *commands, "```")) in text
    assert main(commands[1].split()[1:]) == 0


def test_studies_of_a_table_have_the_command_that_judges_instead_of_a_verdict(tmp_path, macro):
    database = tmp_path / "x.db"
    experiment = Experiment.on_benchmark(macro, trials=3)
    nasopt.compare(experiment, samplers="random,tpe", seeds=2, storage=database)
    filled(database)
    study = load(database, "nasbenchmacro/tpe/1")
    assert plots_of(study) == {"accuracy-against-macs"}
    assert (
        "nasopt compare --benchmark TABLE --samplers tpe --seeds 2 --trials 3 --baseline tpe "
        f"--storage {database}\n"
    ) in get_note(study)


def test_each_study_has_plots_under_names_that_stay(done):
    for _ in range(2):
        filled(done)
        for name in (RANDOM, TPE):
            assert plots_of(load(done, name)) == PLOTS


def test_notes_that_are_missing_are_written_when_it_starts(done):
    without_notes(done)
    filled(done)
    study = load(done, RANDOM)
    for trial in study.trials:
        assert "Validation accuracy" in get_note(optuna.Trial(study, trial._trial_id))


def test_what_a_person_wrote_stays(done):
    study = optuna.load_study(study_name=TPE, storage=f"sqlite:///{done}")
    trial = optuna.Trial(study, study.trials[3]._trial_id)
    save_note(study, "my study")
    save_note(trial, "my trial")
    filled(done)
    assert (get_note(study), get_note(trial)) == ("my study", "my trial")


def test_a_study_of_plain_optunas_is_left_as_it_is(done):
    plain = optuna.create_study(study_name="plain", storage=f"sqlite:///{done}")
    plain.optimize(lambda trial: trial.suggest_float("x", 0, 1), n_trials=3)
    filled(done)
    assert plain._storage.get_study_system_attrs(plain._study_id) == {}
    assert plots_of(load(done, TPE)) == PLOTS


def test_a_study_that_has_not_begun_has_a_note(tmp_path):
    Search(small(), sampler="tpe", storage=tmp_path / "x.db", device="cpu")
    filled(tmp_path / "x.db")
    study = load(tmp_path / "x.db", TPE)
    assert "**0 of 6 trials are done.**" in get_note(study)
    assert "No trial is complete yet." in get_note(study)
    assert plots_of(study) == set()


def test_two_objectives_have_their_front_in_the_note(tmp_path):
    experiment = small(objectives=("accuracy", "macs"), trials=6)
    nasopt.run(experiment, sampler="random", storage=tmp_path / "x.db", device="cpu")
    filled(tmp_path / "x.db")
    study = load(tmp_path / "x.db", RANDOM)
    linked = [
        line.split("[")[1].split("]")[0] for line in get_note(study).splitlines() if "](" in line
    ]
    assert linked == [str(each.number) for each in result(study).best]


def test_a_benchmark_has_notes_and_plots(macro, tmp_path):
    experiment = Experiment.on_benchmark(macro, trials=30)
    nasopt.run(experiment, sampler="random", storage=tmp_path / "x.db")
    filled(tmp_path / "x.db")
    study = load(tmp_path / "x.db", f"{experiment.name}/random/0")
    assert "3 × 3" not in get_note(study)
    assert accuracy(study.best_value) in get_note(study)
    assert {"accuracy-against-macs", "what-the-best-chose"} <= plots_of(study)


def test_a_server_is_filled_in_like_a_file(postgresql):
    url = postgresql()
    nasopt.run(small(trials=2), sampler="random", storage=url, device="cpu")
    filled(url)
    study = load(url, RANDOM)
    assert f"nasopt show {url} --study {RANDOM}" in get_note(study)
    assert plots_of(study) == {"accuracy-against-macs"}


def test_a_study_that_is_deleted_is_no_longer_filled_in(done):
    filling = Filling(open_storage(done), str(done))
    filling.refresh()
    optuna.delete_study(study_name=RANDOM, storage=f"sqlite:///{done}")
    filling.refresh()
    assert plots_of(load(done, TPE)) == PLOTS


def test_looking_on_while_a_study_runs_changes_nothing_of_it_and_keeps_up(tmp_path):
    study_file(tmp_path)
    words = ["run", "mine.py", "--trials=12", "--device=cpu", "--storage=x.db"]
    run = Forked(partial(main, words), cwd=tmp_path, stdout=subprocess.DEVNULL)
    while not (tmp_path / "x.db").exists():
        time.sleep(0.05)
    filling = Filling(open_storage(tmp_path / "x.db", "write"), "x.db")
    seen = set()
    while run.poll() is None:
        filling.refresh()
        seen |= {count for count in filling.ended.values() if count}
        time.sleep(0.1)
    filling.refresh()
    assert run.wait() == 0
    assert len(seen) > 1
    watched = load(tmp_path / "x.db", "mine/surrogate/0")
    assert "**12 of 12 trials are done" in get_note(watched)
    experiment = load_experiment(tmp_path / "mine.py")
    alone = nasopt.run(experiment, trials=12, storage=tmp_path / "y.db", device="cpu")
    watched, alone = ([(t.params, t.values, t.state) for t in s.trials] for s in (watched, alone))
    assert watched == alone


def test_the_best_network_of_each_study_is_a_file_that_is_kept_up_to_date(done, tmp_path):
    folder = tmp_path / "new" / "files"
    for _ in range(2):
        filled(done, artifact_dir=folder)
    assert len(list(folder.iterdir())) == 2
    with serving(done, artifact_dir=folder) as url:
        (meta,) = asked(f"{url}/api/studies/1")["artifacts"]
        file = asked(f"{url}/artifacts/1/{meta['artifact_id']}")
        (best,) = result(load(done, RANDOM)).best
        assert (meta["filename"], file["number"]) == ("best-network.json", best.number)
        assert Architecture.from_json(file["architecture"]) == best.architecture
        asked(f"{url}/api/artifacts/1/{meta['artifact_id']}", "DELETE")
    filled(done, artifact_dir=folder)
    assert len(list(folder.iterdir())) == 2


def test_a_folder_for_files_that_cannot_be_made_is_one_line(done, capsys):
    line = fails(capsys, "dashboard", str(done), "--port=0", f"--artifact-dir={done}/files")
    assert line.startswith(f"nasopt: artifact-dir={done}/files: cannot be made (Not a directory)")


def test_winners_that_are_trained_again_while_it_looks_on_are_filled_in(tmp_path):
    database = tmp_path / "x.db"
    given = {"samplers": "random,tpe", "seeds": 1, "replicates": 1, "device": "cpu"}
    comparison = Comparison(small(trials=3), storage=database, **given)
    filling, plots = Filling(open_storage(database, "write"), str(database)), []
    for progress in comparison:
        if (
            progress.again is None
            and comparison.left
            and all(map(comparison.is_done, comparison.studies))
        ):
            filling.refresh()
            plots.append(comparison_plot(database))
    filling.refresh()
    plots.append(comparison_plot(database))
    again, filled_in = Filling(open_storage(database, "write"), str(database)), plots[-1]
    again.refresh()
    assert comparison_plot(database) == filled_in != plots[0]
    before = dict(filling.ended)
    filling.refresh()
    assert filling.ended == before


def comparison_plot(database):
    study = load(database, TPE)
    attrs = study._storage.get_study_system_attrs(study._study_id)
    return json.dumps({name: attrs[name] for name in sorted(attrs) if "comparison" in name})
