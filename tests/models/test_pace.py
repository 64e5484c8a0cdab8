import sqlite3

import pytest

import nasopt
from nasopt.cli.main import main
from nasopt.models.pace import KeptBack, TimeForFinals
from nasopt.search.deadline import Deadline
from tests.examples import small, study_file

SECONDS = "UPDATE trial_user_attributes SET value_json = '{}' WHERE key = 'seconds'"


def slow(database, seconds):
    """Let the trials have taken so many `seconds` each."""
    with sqlite3.connect(database) as opened:
        opened.execute(SECONDS.format(seconds))


@pytest.fixture
def study(tmp_path):
    experiment = small(name="mine", trials=4)
    found = nasopt.run(experiment, sampler="random", storage=tmp_path / "x.db", device="cpu")
    slow(tmp_path / "x.db", 10)
    return found


def test_the_finals_take_as_long_as_their_trainings(study):
    kept = TimeForFinals(small(name="mine"), top=2, seeds=3)
    assert kept.seconds == 0.0
    kept(study)
    train, validation = small().data.counts
    final = 10 * (train + validation) / train
    references = len(kept._references)
    assert kept.seconds == pytest.approx(3 * (2 * 10 + (1 + references) * final))


def test_a_deadline_leaves_the_time_of_the_finals(study):
    kept = TimeForFinals(small(name="mine"), top=1, seeds=1)
    whole = Deadline.after(1_000.0)
    deadline = KeptBack.before(whole, kept)
    assert not deadline.passed
    kept(study)
    assert 900 < whole.left < 1_000
    assert deadline.left == pytest.approx(whole.left - kept.seconds, abs=1)
    assert KeptBack.before(Deadline.after(None), kept).left > 1e9


def test_a_search_ends_in_time_for_its_finals_which_are_gone_through(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    words = ["run", str(study_file(tmp_path)), "--sampler", "random", "--device", "cpu"]
    assert main(words) == 0
    slow(tmp_path / "runs" / "mine.db", 7200)
    capsys.readouterr()
    assert main([*words, "--trials", "9", "--time", "1h", "--finals"]) == 0
    said = capsys.readouterr().out
    assert "The search ends here: 4 of 9 trials" in said
    assert "The budget of time, 60 min, is used: re-ranking 1 of" in said
    slow(tmp_path / "runs" / "mine.db", 0.01)
    assert main([*words, "--trials", "4", "--time", "1h", "--finals"]) == 0
    assert "The model is in mine-model." in capsys.readouterr().out
    assert (tmp_path / "mine-model" / "model.safetensors").exists()


def test_a_folder_in_the_way_is_told_before_the_search(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine-model").mkdir()
    (tmp_path / "mine-model" / "notes.txt").touch()
    assert main(["run", str(study_file(tmp_path)), "--finals", "--device", "cpu"]) == 2
    said = capsys.readouterr()
    assert "not empty; name another folder with -o" in said.err
    assert "[1/4]" not in said.out
