import hashlib
import http.client
import json
import os
import signal
import socket
import sqlite3
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import optuna
import pytest
import sqlalchemy as sa
from optuna_dashboard import get_note, save_note

import nasopt
from nasopt import Architecture, Experiment, Recipe, load_experiment
from nasopt.analysis.outcome import outcome, result
from nasopt.cli.main import main
from nasopt.reporting.captions import TITLES
from nasopt.reporting.dashboard import Dashboard, open_browser
from nasopt.reporting.dashboard.filling import Filling
from nasopt.search.search import Search
from nasopt.storage.opening import open_storage
from nasopt.storage.reading import STUDY_ATTRS
from tests.browser import Browser
from tests.cli.test_main import fails
from tests.examples import small, study_file

RANDOM, TPE = "experiment/random/0", "experiment/tpe/0"
PLOTS = {"accuracy-against-macs", "what-the-best-chose", "comparison-of-samplers"}
TRIALS = 21  # the least of which the best tell something
HOSTILE = "<script>window.hacked = 1</script>|`$x$`**"


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> Path:
    """Two samplers compared, only to be copied."""
    database = tmp_path_factory.mktemp("dashboard") / "x.db"
    experiment = small(trials=TRIALS, recipe=Recipe(epochs=1, batch_size=32))
    nasopt.compare(
        experiment, samplers="random,tpe", seeds=1, replicates=1, storage=database, device="cpu"
    )
    return database


@pytest.fixture
def done(made, tmp_path) -> Path:
    """That comparison, as a run leaves it."""
    return copied(made, tmp_path / "x.db")


@pytest.fixture(scope="module")
def served(made, tmp_path_factory) -> Iterator[str]:
    """A dashboard of that comparison: its address."""
    with serving(copied(made, tmp_path_factory.mktemp("served") / "x.db")) as url:
        yield url


def copied(database: Path, to: Path) -> Path:
    with closing(sqlite3.connect(database)) as here, closing(sqlite3.connect(to)) as there:
        here.backup(there)
    return to


@contextmanager
def serving(database: Path | str, **options: Any) -> Iterator[str]:
    """A dashboard that serves in a thread: its address, without a page."""
    server = Dashboard(database, port=0, **options).server
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def asked(url: str, method: str = "GET", body: bytes | None = None) -> dict:
    request = urllib.request.Request(url, method=method, data=body)
    if body is not None:
        request.add_header("Content-Type", "application/json")
    with urllib.request.urlopen(request) as response:
        return json.loads(response.read() or b"{}")


def filled(location: Path | str, **options) -> None:
    """Open a dashboard, which fills in the database, and close it."""
    Dashboard(location, port=0, **options).server.server_close()


def load(database: Path | str, name: str) -> optuna.Study:
    return optuna.load_study(study_name=name, storage=open_storage(database, "read"))


def plots_of(study: optuna.Study) -> set[str]:
    attrs = study._storage.get_study_system_attrs(study._study_id)
    return {key.split(":")[2] for key in attrs if key.startswith("dashboard:plot_data:")}


def without_notes(database: Path) -> None:
    """As a run by an older nasopt, or one that was killed before it wrote them, left it."""
    storage = open_storage(database)
    with storage.engine.begin() as connection:
        connection.execute(sa.delete(STUDY_ATTRS).where(STUDY_ATTRS.c.key.like("dashboard:%")))
    storage.engine.dispose()  # with its last connection the file has all


# What is filled in


def test_each_study_has_a_note_of_what_was_searched_what_came_out_and_how_to_have_it_again(done):
    filled(done)
    study = load(done, TPE)
    text = get_note(study)
    (best,) = result(study).best
    first = next(line for line in text.splitlines() if f"?numbers={best.number})" in line)
    assert f"{best.accuracy:.4f}" in first
    assert f"{best.macs:,}" in first
    assert f"**{TRIALS} of {TRIALS} trials are done" in text
    assert r"number of filters \(2, 4 or 8\)" in text
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
    experiment = Experiment(dataset=macro, trials=3)
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
    experiment = Experiment(dataset=macro, trials=30)
    nasopt.run(experiment, sampler="random", storage=tmp_path / "x.db")
    filled(tmp_path / "x.db")
    study = load(tmp_path / "x.db", f"{experiment.name}/random/0")
    assert "3 × 3" not in get_note(study)
    assert f"{study.best_value:.4f}" in get_note(study)
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
    command = [sys.executable, "-m", "nasopt", "run", "mine.py", "--trials=12", "--device=cpu"]
    run = subprocess.Popen([*command, "--storage=x.db"], cwd=tmp_path, stdout=subprocess.DEVNULL)
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


# Attributes in words


@pytest.fixture(scope="module")
def believing(tmp_path_factory) -> Path:
    """A study whose last trials were chosen by a model, only to be copied."""
    database = tmp_path_factory.mktemp("believing") / "x.db"
    nasopt.run(small(trials=8), sampler="surrogate", storage=database, device="cpu")
    return database


def attrs_of(shown: dict) -> dict[str, str]:
    return {each["key"]: each["value"] for each in shown["user_attrs"]}


@pytest.mark.parametrize("read_only", [False, True])
def test_pages_have_attributes_in_words(believing, tmp_path, read_only):
    database = copied(believing, tmp_path / "x.db")
    with serving(database, read_only=read_only) as url:
        (listed,) = asked(f"{url}/api/studies")["study_summaries"]
        shown = asked(f"{url}/api/studies/1")
    study = attrs_of(shown)
    assert attrs_of(listed) == study
    assert study["networks"] == "1 to 3 layers"
    assert study["possible networks"] == "258"
    assert study["training"] == "epochs 2, batch_size 32, optimizer sgd, lr 0.1"
    assert study["limits"] == "none"
    assert study["sampler"] == "surrogate"
    trial = attrs_of(shown["trials"][7])
    prediction = load(database, "experiment/surrogate/0").trials[7].user_attrs["belief"]
    expected, low, high = (prediction[name] for name in ("expected", "low", "high"))
    assert trial["expected accuracy"] == f"{expected:.4f}, 95 % from {low:.4f} to {high:.4f}"
    assert f"trial {prediction['nearest'][0]['trial']} (" in trial["most alike"]
    (best,) = shown["best_trials"]
    assert best in shown["trials"]
    texts = [*study.values(), *(v for t in shown["trials"] for v in attrs_of(t).values())]
    assert not [text for text in texts if "{" in text or "[" in text]
    assert {"key": "seconds", "sortable": True} in shown["union_user_attrs"]


def test_words_are_for_pages_only_and_what_is_stored_stays(believing, tmp_path):
    database = copied(believing, tmp_path / "x.db")
    study = load(database, "experiment/surrogate/0")
    before = study.user_attrs, [trial.user_attrs for trial in study.trials]
    with serving(database) as url:
        asked(f"{url}/api/studies/1")
        with urllib.request.urlopen(f"{url}/csv/1") as response:
            assert "'nearest'" in response.read().decode()
        asked(f"{url}/api/studies/1/rename", "POST", b'{"study_name": "other/surrogate/0"}')
    study = load(database, "other/surrogate/0")
    assert (study.user_attrs, [trial.user_attrs for trial in study.trials]) == before


def test_plain_optunas_attributes_and_a_study_that_is_being_made_are_shown_as_they_are(tmp_path):
    Search(small(), sampler="tpe", storage=tmp_path / "x.db", device="cpu")
    study = optuna.load_study(study_name=TPE, storage=f"sqlite:///{tmp_path}/x.db")
    plain = optuna.create_study(study_name="plain", storage=study._storage)
    plain.set_user_attr("mine", {"a": [1]})
    begun = optuna.create_study(study_name="experiment/gp/0", storage=study._storage)
    begun.set_user_attr("experiment", study.user_attrs["experiment"])
    with serving(tmp_path / "x.db", read_only=True) as url:
        found = asked(f"{url}/api/studies")["study_summaries"]
    shown = {each["study_name"]: attrs_of(each) for each in found}
    assert shown[TPE]["networks"] == "1 to 3 layers"
    assert shown["plain"] == {"mine": '{"a": [1]}'}
    assert shown["experiment/gp/0"].keys() == {"experiment"}


# Who may do what


def test_read_only_shows_all_of_it_and_leaves_the_file_byte_for_byte(done):
    without_notes(done)
    before = hashlib.sha256(done.read_bytes()).digest()
    with serving(done, read_only=True) as url:
        shown = asked(f"{url}/api/studies/1")
        assert "trials are done" in shown["note"]["body"]
        assert all("Validation accuracy" in trial["note"]["body"] for trial in shown["trials"])
        assert {plot["id"] for plot in shown["plotly_graph_objects"]} == PLOTS
    assert hashlib.sha256(done.read_bytes()).digest() == before


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("DELETE", "/api/studies/1"),
        ("POST", "/api/studies/1/rename"),
        ("PUT", "/api/studies/1/note"),
        ("POST", "/api/trials/1/tell"),
        ("PATCH", "/anything"),
    ],
)
def test_read_only_refuses_what_would_change_something(reading, method, path):
    with pytest.raises(urllib.error.HTTPError) as refused:
        asked(f"{reading}{path}", method, b"{}")
    with refused.value as answer:
        assert answer.code == 403
        assert json.loads(answer.read())["reason"].startswith("read-only: ")
    assert len(asked(f"{reading}/api/studies")["study_summaries"]) == 2


@pytest.fixture(scope="module")
def reading(made) -> Iterator[str]:
    """A read-only dashboard of the comparison: its address."""
    with serving(made, read_only=True) as url:
        yield url


def test_without_read_only_a_study_can_be_deleted_and_it_says_so(done):
    dashboard = Dashboard(done, port=0)
    dashboard.server.server_close()
    assert any("delete" in line and "--read-only" in line for line in dashboard.notice)
    with serving(done) as url:
        asked(f"{url}/api/studies/1", "DELETE", b"{}")
        assert len(asked(f"{url}/api/studies")["study_summaries"]) == 1


@pytest.mark.parametrize(("host", "warned"), [("127.0.0.1", False), ("0.0.0.0", True)])
def test_an_address_that_others_reach_comes_with_a_warning(done, host, warned):
    dashboard = Dashboard(done, host=host, port=0, read_only=True)
    dashboard.server.server_close()
    assert any("no password" in line for line in dashboard.notice) == warned
    assert "0.0.0.0" not in dashboard.url
    assert dashboard.url in dashboard.notice[0]
    assert bool(dashboard.warnings) == warned


def test_an_address_of_ipv6_is_refused_in_its_own_words(done, capsys):
    line = fails(capsys, "dashboard", str(done), "--host", "::1", "--port", "0")
    assert line == "nasopt: host=::1: IPv6 is not served; use 127.0.0.1"


# What can go wrong


def test_what_cannot_be_opened_is_one_line(done, tmp_path, capsys):
    (tmp_path / "text.db").write_text("no database " * 100)
    for name, told in (("none.db", "no such file"), ("text.db", "no SQLite database")):
        line = fails(capsys, "dashboard", str(tmp_path / name), "--port", "0")
        assert line.startswith(f"nasopt: storage={tmp_path / name}: {told}")


def test_a_port_that_is_taken_is_one_line(done, capsys):
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        line = fails(capsys, "dashboard", str(done), "--port", str(port))
    remedy = "name another with --port, or 0 for any free one"
    assert line == f"nasopt: port={port}: Address already in use; {remedy}"


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (["--port", "70000"], "port=70000: no port; use 1024 to 65535"),
        (["--port", "x"], "--port: invalid int value: 'x'"),
        (["--host", "192.0.2.1", "--port", "0"], "host=192.0.2.1: no address of this machine's"),
        (["--host", "no.such.host.invalid"], "host=no.such.host.invalid: no address"),
    ],
)
def test_an_address_that_cannot_be_is_one_line(done, capsys, options, told):
    assert fails(capsys, "dashboard", str(done), *options).startswith(f"nasopt: {told}")


def test_a_database_that_cannot_be_filled_in_leaves_no_socket_open(done, monkeypatch):
    monkeypatch.setattr(Filling, "refresh", lambda self: os.stat("/no/such/file"))
    with pytest.raises(FileNotFoundError):
        Dashboard(done, port=0)


def test_a_screen_is_asked_for_before_a_browser_is_opened(monkeypatch):
    opened = []
    monkeypatch.setattr("webbrowser.open", opened.append)
    for name in ("DISPLAY", "WAYLAND_DISPLAY", "BROWSER"):
        monkeypatch.delenv(name, raising=False)
    open_browser("http://127.0.0.1:1/")
    monkeypatch.setenv("DISPLAY", ":0")
    monkeypatch.setenv("SSH_CONNECTION", "192.0.2.1 1 192.0.2.2 22")
    open_browser("http://127.0.0.1:1/")
    assert opened == []


@pytest.mark.parametrize("options", [["--json", "--read-only"], []])
def test_the_command_shows_its_page_in_a_browser_and_ends_with_ctrl_c(done, tmp_path, options):
    script = tmp_path / "browser"
    look = "import sys, urllib.request as u; print(u.urlopen(sys.argv[1]).status, sys.argv[1])"
    lines = ("#!/bin/sh", f"{sys.executable} -c '{look}' $1 > {tmp_path}/new", f"cd {tmp_path}")
    script.write_text("\n".join((*lines, "mv new seen\n")))
    script.chmod(0o700)
    with subprocess.Popen(
        [sys.executable, "-m", "nasopt", "dashboard", done, "--port=0", *options],
        env=os.environ | {"BROWSER": f"{script} %s"},
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    ) as process:  # fmt: skip
        first = process.stdout.readline()
        deadline = time.monotonic() + 60
        while not (tmp_path / "seen").exists() and time.monotonic() < deadline:
            time.sleep(0.05)
        process.send_signal(signal.SIGINT)
        rest, stderr = process.stdout.read(), process.stderr.read()
    assert (process.returncode, stderr) == (0, "")
    status, url = (tmp_path / "seen").read_text().split()
    assert status == "200"
    if options:
        assert json.loads(first) == {"url": url, "read_only": True}
    else:
        assert first.startswith(f"The dashboard of {done}: {url}")
        assert "Ctrl-C ends it" in rest


def test_it_needs_no_torch(done):
    code = (
        "import sys; from nasopt.reporting.dashboard import Dashboard\n"
        f"Dashboard({str(done)!r}, port=0); sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


# What a person sees


def clean(browser: Browser, url: str) -> bool:
    """Whether the page had no error, and asked nobody but its own server."""
    foreign = [request for request in browser.requests() if not request.startswith(url)]
    return (browser.errors(), foreign) == ([], [])


def test_the_list_has_each_study(browser, served):
    browser.open(f"{served}/dashboard")
    browser.wait_for_text(RANDOM, TPE)
    assert clean(browser, served)


@pytest.mark.parametrize("width", [390, 1280])
def test_a_trials_page_has_its_note_as_tables(browser, served, made, width):
    told = outcome(load(made, RANDOM), 2)
    browser.open(f"{served}/dashboard/studies/1/trials?numbers=2", width=width)
    browser.wait_for("the layer table", "return document.querySelectorAll('table').length === 2")
    rows = "return [...document.querySelectorAll('table')].map(t => [...t.rows].map("
    figures, layers = browser.run(f"{rows}r => [...r.cells].map(c => c.innerText.trim())))")
    assert figures[1][:3] == [f"{told.accuracy:.4f}", f"{told.parameters:,}", f"{told.macs:,}"]
    assert [(row[2], row[4]) for row in layers[1:]] == [
        (str(layer.filters), str(layer.stride)) for layer in told.architecture.layers
    ]
    assert clean(browser, served)


@pytest.mark.parametrize("dark", [False, True])
def test_a_studys_page_has_the_plots_drawn_and_to_be_read(browser, served, dark):
    browser.open(f"{served}/dashboard/studies/2", dark=dark)
    marks = (
        "return Object.fromEntries([...document.querySelectorAll('[id^=user-defined-plot]')]"
        ".map(e => [e.id.split(':')[1], e.querySelectorAll('.point, .hm image, .points path')"
        ".length]).filter(each => each[1] > 0))"
    )
    browser.wait_for("the plots", f"{marks.replace('return ', 'const found = ')};"
                     f"return Object.keys(found).length === {len(PLOTS)}")  # fmt: skip
    drawn = browser.run(marks)
    assert set(drawn) == PLOTS
    assert drawn["accuracy-against-macs"] > 1
    titles = browser.run(
        "return [...document.querySelectorAll('[id^=user-defined-plot] .gtitle')]"
        ".map(e => e.querySelector('tspan').textContent)"
    )
    assert set(titles) == {TITLES[name] for name in ("front-macs", "choices", "comparison")}
    outside = browser.run(
        "return [...document.querySelectorAll('[id^=user-defined-plot]')].filter(e => {"
        "  const title = e.querySelector('.gtitle').getBoundingClientRect();"
        "  const frame = e.getBoundingClientRect();"
        "  return title.top < frame.top || title.right > frame.right}).map(e => e.id)"
    )
    assert outside == []
    assert clean(browser, served)


@pytest.mark.parametrize("dark", [False, True])
def test_what_a_model_expected_of_a_trial_can_be_read(browser, believing, tmp_path, dark):
    with serving(copied(believing, tmp_path / "x.db"), read_only=True) as url:
        browser.open(f"{url}/dashboard/studies/1", dark=dark)
        browser.wait_for_text("Study User Attributes", "1 to 3 layers", "epochs 2, batch_size 32")
        browser.open(f"{url}/dashboard/studies/1/trials?numbers=7", dark=dark)
        browser.wait_for_text("expected accuracy 0.", ", 95 % from 0.", "most alike trial")
        assert "nearest" not in browser.text
        assert clean(browser, url)


def test_two_samplers_are_compared_on_a_page(browser, served):
    browser.open(f"{served}/dashboard/compare-studies?ids=1,2")
    browser.wait_for_text(f"Best Value of {RANDOM}", f"Best Value of {TPE}")
    assert clean(browser, served)


def test_a_studys_note_leads_to_the_trial_it_names(browser, served):
    browser.open(f"{served}/dashboard/studies/1/note")
    browser.wait_for_text("trials are done", "How each network was trained")
    browser.wait_for("a link", "return document.querySelector('table a')")
    browser.run("document.querySelector('table a').click()")
    browser.wait_for_text("Trained to its end.")
    assert "numbers=" in browser.run("return location.search")


def test_read_only_the_page_says_that_a_study_could_not_be_deleted(browser, reading):
    browser.open(f"{reading}/dashboard")
    browser.wait_for_text(RANDOM, TPE)
    browser.run("document.querySelector('[aria-label=\"delete study\"]').click()")
    browser.wait_for_text("Are you sure")
    browser.run("[...document.querySelectorAll('[role=dialog] button')].at(-1).click()")
    browser.wait_for_text("Failed to delete study")
    assert len(asked(f"{reading}/api/studies")["study_summaries"]) == 2


def test_names_from_a_database_are_text_and_nothing_else(browser, tmp_path):
    database = tmp_path / "x.db"
    nasopt.run(small(name=HOSTILE, trials=1), storage=database, device="cpu")
    with serving(database) as url:
        for page in ("/note", "/trials?numbers=0"):
            browser.open(f"{url}/dashboard/studies/1{page}")
            browser.wait_for_text(HOSTILE)
            assert not browser.run("return window.hacked")
            assert browser.errors() == []
        assert (
            f"show {database} --study '{HOSTILE}/surrogate/0'"
            in asked(f"{url}/api/studies/1")["note"]["body"]
        )


# Who may ask


def status(url: str, method: str, headers: dict[str, str], body: bytes | None = None) -> int:
    """What is answered, `headers` as a browser would send them."""
    connection = http.client.HTTPConnection(url.removeprefix("http://"))
    with closing(connection):
        connection.request(method, "/api/studies", body, headers)
        return connection.getresponse().status


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "localhost", "LOCALHOST:8080", "[::1]:8080", "127.0.0.1:1"]
)
def test_a_name_of_this_machines_is_answered(served, host):
    assert status(served, "GET", {"Host": host}) == 200


STRANGERS = (
    "evil.example", "evil.example:8080", "127.0.0.1.evil.example", "localhost.evil.example",
    "localhost@evil.example", "evil.example@localhost", "evil.example#localhost", "localhost:x",
    "[::1", "", "192.0.2.1",
)  # fmt: skip


@pytest.mark.parametrize("read_only", [False, True])
def test_a_strangers_name_that_leads_here_is_refused(done, read_only):
    with serving(done, read_only=read_only) as url:
        study_id = load(done, RANDOM)._study_id
        for host in STRANGERS:
            for method, place in (("GET", "/api/studies"), ("DELETE", f"/api/studies/{study_id}")):
                with closing(http.client.HTTPConnection(url.removeprefix("http://"))) as connection:
                    connection.request(method, place, headers={"Host": host})
                    answer = connection.getresponse()
                    assert answer.status == 403, host
                    assert "not this machine's" in json.loads(answer.read())["reason"]
    assert load(done, RANDOM).trials


def test_all_addresses_are_called_by_number_or_by_the_name_of_the_machine(done):
    with serving(done, host="0.0.0.0") as url:
        for host in ("192.0.2.1:8080", "[2001:db8::1]", socket.gethostname(), "localhost"):
            assert status(url, "GET", {"Host": host}) == 200
        assert status(url, "GET", {"Host": "evil.example"}) == 403


def test_a_page_of_another_site_can_change_nothing(done):
    name = {"study_name": "theirs", "directions": ["maximize"]}
    body = json.dumps(name).encode()
    json_type = {"Content-Type": "application/json"}
    with serving(done) as url:
        for origin in ("http://evil.example", "null", "http://127.0.0.1:1", "http://["):
            assert status(url, "POST", {**json_type, "Origin": origin}, body) == 403
        assert status(url, "POST", {**json_type, "Origin": url}, body) == 201
    assert "theirs" in optuna.get_all_study_names(open_storage(done, "read"))
