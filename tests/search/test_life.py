"""What may befall a study while it runs: workers die, it or its database is deleted or moved."""

import os
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import optuna
import pytest
from optuna.trial import TrialState

import nasopt
from nasopt import Recipe
from nasopt.cli.main import main
from nasopt.errors import StorageError, StudyError
from nasopt.search.search import Progress, Search
from nasopt.storage.opening import open_storage
from tests import forked
from tests.examples import small
from tests.storage.studies import close
from tests.trials import told

NAME = "experiment/random/0"
DEADLY = """
import os

import torch
from nasopt import *
from nasopt.data import digits


class Aborting(torch.nn.Module):
    def forward(self, x):
        if not x.is_meta:
            os.abort()
        return x


class Deadly(Layer):
    filters: int

    def build(self, in_shape):
        convolution = torch.nn.Conv2d(in_shape[0], self.filters, 3, padding=1)
        return torch.nn.Sequential(convolution, Aborting()) if self.filters == 4 else convolution


experiment = Experiment(
    dataset=digits(limit=200),
    space=Space(Deadly(filters=categorical(2, 4, 8))),
    recipe=Recipe(epochs=2, batch_size=64),
    trials=3,
)
"""


def searching(experiment: nasopt.Experiment, storage: Path | str) -> Search:
    return Search(experiment, sampler="random", storage=storage, device="cpu")


def until(running: Iterator[Progress], number: int, epoch: int) -> None:
    for progress in running:
        if (progress.number, progress.epoch) == (number, epoch):
            return


def nasopt_run(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    words = ("run", "deadly.py", "--sampler", "random", *words)
    words += ("--device", "cpu", "--storage", "x.db")
    if "--workers" not in words:
        return forked.run(words, folder)
    return subprocess.run(  # which begins processes itself
        [sys.executable, "-m", "nasopt", *words],
        cwd=folder,
        capture_output=True,
        text=True,
        env=os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])},
        check=False,
    )


@pytest.mark.parametrize("words", [(), ("--workers", "2")])
def test_a_trial_that_kills_its_workers_fails_and_the_study_goes_on(tmp_path, words):
    (tmp_path / "deadly.py").write_text(DEADLY)
    runs = [nasopt_run(tmp_path, *words)]
    while not words and runs[-1].returncode:  # one worker is the command itself
        runs.append(nasopt_run(tmp_path, *words))
        assert len(runs) <= 5 + 1
    assert runs[-1].returncode == 0
    assert "trial" in runs[-1].stdout
    study = optuna.load_study(
        study_name="deadly/random/0", storage=f"sqlite:///{tmp_path / 'x.db'}"
    )
    failed = [trial for trial in study.trials if trial.state is TrialState.FAIL]
    assert {trial.params["Deadly01.filters"] for trial in failed} == {4}
    reason = "5 workers in a row died of it, and it got no further"
    assert failed[0].user_attrs["reason"] == reason
    assert f"trial {failed[0].number}: no value ({reason})" in runs[-1].stdout
    others = {t.params["Deadly01.filters"] for t in study.trials if t.state is TrialState.COMPLETE}
    assert others == {2, 8}
    assert all("free" in trial.user_attrs for trial in failed)
    assert all("repeat_of" in trial.user_attrs for trial in failed[1:])
    if not words:
        assert [run.returncode for run in runs[:-1]] == [-6] * 5


def left_by_the_dead(storage: Path, epochs: int, deaths: int) -> Search:
    """A search whose first trial had `epochs` known at each of so many deaths of its workers."""
    search = searching(small(recipe=Recipe(epochs=3, batch_size=32), trials=1), storage)
    for _ in range(deaths):
        process = os.fork()
        if not process:
            running = iter(search)
            until(running, 0, epochs)
            os._exit(9)
        os.waitpid(process, 0)
    return search


def test_deaths_count_only_where_nothing_was_gained_in_between(tmp_path):
    for epochs in (1, 2):
        search = left_by_the_dead(tmp_path / "x.db", epochs, 4)
    list(search)
    assert [trial.state for trial in search.study.trials] == [TrialState.COMPLETE]
    search = left_by_the_dead(tmp_path / "y.db", 1, 5)
    list(search)
    assert [trial.state for trial in search.study.trials] == [TrialState.FAIL, TrialState.COMPLETE]
    assert search.study.trials[0].user_attrs["epochs"] == 1


def test_a_trial_that_is_given_back_has_not_died(tmp_path):
    search = searching(small(recipe=Recipe(epochs=3, batch_size=32), trials=1), tmp_path / "x.db")
    for _ in range(6):
        running = iter(search)
        until(running, 0, 1)
        running.close()
    list(search)
    assert [trial.state for trial in search.study.trials] == [TrialState.COMPLETE]


@pytest.mark.parametrize("epoch", [0, 1])
def test_a_study_that_is_deleted_ends_its_run_with_a_line_and_begins_anew(empty_database, epoch):
    experiment = small(trials=4)
    search = searching(experiment, empty_database)
    running = iter(search)
    until(running, 1, epoch)
    plain = open_storage(empty_database)
    optuna.delete_study(study_name=NAME, storage=plain)
    with pytest.raises(StudyError, match=rf"^study={NAME}: deleted while it was in use; to begin"):
        list(running)
    with plain.engine.connect() as connection:
        for table in ("studies", "trials", "trial_params", "study_system_attributes"):
            assert not connection.exec_driver_sql(f"SELECT count(*) FROM {table}").scalar()
    close(plain)
    again = nasopt.run(experiment, sampler="random", storage=empty_database, device="cpu")
    assert len(again.trials) == 4


def test_a_study_of_the_same_name_begun_meanwhile_is_another(tmp_path):
    experiment = small(trials=4)
    search = searching(experiment, tmp_path / "x.db")
    running = iter(search)
    until(running, 1, 0)
    optuna.delete_study(study_name=NAME, storage=f"sqlite:///{tmp_path / 'x.db'}")
    anew = searching(experiment, tmp_path / "x.db")
    assert anew._study._study_id == search._study._study_id  # SQLite gives it again
    list(anew)
    with pytest.raises(StudyError, match="deleted while it was in use"):
        list(running)
    assert len(anew.study.trials) == 4


def test_trials_of_a_deleted_study_are_not_those_of_the_next(tmp_path):
    path = tmp_path / "x.db"
    whole = told(nasopt.run(small(), sampler="random", storage=path, device="cpu"))
    with closing(sqlite3.connect(path)) as database:  # as an older version left it
        database.execute("DELETE FROM studies")
        database.commit()
    assert told(nasopt.run(small(), sampler="random", storage=path, device="cpu")) == whole


def moved(path: Path) -> None:
    path.rename(path.with_name("moved.db"))


def replaced(path: Path) -> None:
    other = path.with_name("other.db")
    close(open_storage(other))
    other.replace(path)


def folder_removed(path: Path) -> None:
    shutil.rmtree(path.parent)


@pytest.mark.parametrize("happens", [Path.unlink, moved, replaced, folder_removed])
def test_a_database_that_goes_away_ends_the_run_at_once_with_a_line(tmp_path, happens):
    path = tmp_path / "runs" / "x.db"
    search = searching(small(trials=4), path)
    running = iter(search)
    until(running, 1, 0)
    happens(path)
    with pytest.raises(StorageError, match=rf"^storage={path}: .* while it was in use; ") as raised:
        next(running)
    what = "replaced by another file" if happens is replaced else "moved or removed"
    assert what in str(raised.value)
    assert path.exists() == (happens is replaced)  # nothing is made in its place
    again = nasopt.run(small(trials=4), sampler="random", storage=path, device="cpu")
    assert len(again.trials) == 4
    close(search.storage)
    if happens is moved:
        assert len(told_of(path.with_name("moved.db"))) == 2  # with what its -wal had


def told_of(path: Path) -> list[tuple]:
    opened = open_storage(path, "read")
    trials = told(optuna.load_study(study_name=NAME, storage=opened))
    close(opened)
    return trials


@pytest.mark.parametrize("mode", ["create", "write", "read"])
@pytest.mark.parametrize("end", ["-wal", "-journal"])
def test_what_a_removed_database_left_is_named_before_another_is_made(tmp_path, end, mode):
    path = tmp_path / "x.db"
    left = path.with_name(f"x.db{end}")
    left.write_bytes(b"what was written last")
    with pytest.raises(StorageError) as raised:
        open_storage(path, mode)
    others = f"{left} and {path}-shm" if end == "-wal" else str(left)
    assert str(raised.value) == (
        f"storage={path}: no such file, but {left} has what was last written to it; "
        f"restore {path} beside it, or remove {others}"
    )
    assert [each.name for each in tmp_path.iterdir()] == [left.name]
    left.write_bytes(b"")  # holds nothing
    if mode == "create":
        close(open_storage(path))


def test_a_study_made_by_a_worker_that_died_at_any_write_goes_on(tmp_path, capsys):
    """Killed at each write of making a study, then read, then run: equal to the whole one."""
    two = small(trials=2)
    whole = told(nasopt.run(two, sampler="random", storage=tmp_path / "whole.db", device="cpu"))
    template = tmp_path / "template.db"
    close(open_storage(template))
    for write in range(1, 100):
        path = tmp_path / f"{write}.db"
        shutil.copy(template, path)
        if not _making_dies(path, write):
            break
        main(["show", str(path)])
        main(["report", str(path), "-o", str(tmp_path / "r.html")])
        assert told(nasopt.run(two, sampler="random", storage=path, device="cpu")) == whole
        attrs = optuna.load_study(study_name=NAME, storage=f"sqlite:///{path}").user_attrs
        assert (attrs["sampler"], attrs["seed"]) == ("random", 0)
    assert 5 < write < 99


def _making_dies(path: Path, write: int) -> bool:
    """Whether a process that makes a study dies at that write, or is done before it."""
    process = os.fork()
    if process:
        return os.waitstatus_to_exitcode(os.waitpid(process, 0)[1]) == 9
    left = write
    changes = ("INSERT", "UPDATE", "DELETE", "COMMIT")

    def count(statement: str) -> None:
        nonlocal left
        left -= statement.startswith(changes)
        if left == 0:
            os._exit(9)

    import sqlalchemy as sa

    sa.event.listen(
        sa.Engine, "before_cursor_execute", lambda c, cur, statement, *rest: count(statement)
    )
    sa.event.listen(sa.Engine, "commit", lambda connection: count("COMMIT"))
    searching(small(), path)
    os._exit(0)


def test_a_study_that_never_got_its_sampler_and_seed_gets_them(tmp_path, capsys):
    path = tmp_path / "x.db"
    nasopt.run(small(trials=2), sampler="random", storage=path, device="cpu")
    with closing(sqlite3.connect(path)) as database:  # as an older version left it
        database.execute("DELETE FROM study_user_attributes WHERE key IN ('sampler', 'seed')")
        database.execute("DELETE FROM study_system_attributes WHERE key LIKE 'nasopt:%'")
        database.commit()
    assert main(["show", str(path)]) == 0
    assert main(["report", str(path), "-o", str(tmp_path / "r.html")]) == 0
    study = nasopt.run(small(trials=3), sampler="random", storage=path, device="cpu")
    assert (study.user_attrs["sampler"], study.user_attrs["seed"]) == ("random", 0)


@pytest.mark.parametrize("sampler", ["random", "tpe", "surrogate"])
def test_trials_of_plain_optuna_stand_beside_ours(tmp_path, caplog, sampler):
    path = tmp_path / "x.db"
    study = nasopt.run(small(trials=3), sampler=sampler, storage=path, device="cpu")
    ours = study.trials[0]
    study.add_trial(optuna.create_trial(value=0.9))
    study.add_trial(
        optuna.create_trial(params=ours.params, distributions=ours.distributions, value=0.75)
    )
    study.optimize(lambda trial: trial.suggest_float("elsewhere", 0, 1), n_trials=1)
    study.ask()  # never told
    waiting = optuna.create_trial(
        state=TrialState.WAITING, params=ours.params, distributions=ours.distributions
    )
    study.add_trial(waiting)
    wanted = {"conv.depth": 2, "conv01.filters": 8, "conv02.filters": 4}
    study.enqueue_trial(wanted, user_attrs={"key": "a note of mine"})
    search = Search(small(trials=12), sampler=sampler, storage=path, device="cpu")
    lines = list(search)
    trials = search.study.trials
    assert trials[7].user_attrs["repeat_of"] == 0
    assert trials[8].params.items() >= wanted.items()
    assert len(trials[8].user_attrs["key"]) == 32
    assert (lines[-1].done, lines[-1].best) == (11, max(t.value for t in trials if _ours(t)))
    assert "3 trials of plain Optuna's: counted, but not taken for networks" in caplog.text
    assert "trial 6: plain Optuna's; it is not waited for" in caplog.text


def _ours(trial: optuna.trial.FrozenTrial) -> bool:
    return "key" in trial.user_attrs


def test_no_total_is_below_what_is_done(tmp_path, capsys):
    (tmp_path / "deadly.py").write_text(DEADLY.replace("== 4", "== 0"))
    words = ["run", str(tmp_path / "deadly.py"), "--storage", str(tmp_path / "x.db")]
    assert main([*words, "--device", "cpu", "--trials", "3"]) == 0
    capsys.readouterr()
    assert main([*words, "--device", "cpu", "--trials", "2"]) == 0
    out = capsys.readouterr().out
    assert "Nothing left to do: 3 trials are done, 2 were asked for." in out
    search = searching(small(trials=3), tmp_path / "y.db")
    list(search)
    (first,) = searching(small(trials=2), tmp_path / "y.db")
    assert (first.done, first.trials) == (3, 3)
