"""A database of version 1, whose worker was killed in trial 9 of 12: it is read and goes on."""

import gzip
from pathlib import Path

import optuna
import pytest
from optuna.trial import TrialState

from nasopt.analysis.outcome import load_study
from nasopt.analysis.record import Record
from nasopt.cli.main import main
from nasopt.storage.opening import open_storage
from nasopt.storage.record import EndedBy, TrialRecord

STUDY = """\
from nasopt import Conv, Dense, Experiment, Recipe, Space, categorical, parameters, repeat
from nasopt.data import digits

experiment = Experiment(
    dataset=digits(limit=200),
    space=Space(
        repeat(Conv(filters=categorical(2, 4, 8), stride=categorical(1, 2)), 1, 3),
        Dense(width=categorical(8, 16)),
    ),
    recipe=Recipe(epochs=4, batch_size=32),
    limits=(parameters <= 1_200,),
    trials=12,
)
"""


@pytest.fixture
def old(tmp_path, monkeypatch) -> Path:
    monkeypatch.chdir(tmp_path)
    packed = Path(__file__).parents[1] / "data" / "version-1.db.gz"
    (tmp_path / "runs").mkdir()
    (tmp_path / "runs" / "old.db").write_bytes(gzip.decompress(packed.read_bytes()))
    (tmp_path / "old.py").write_text(STUDY)
    return tmp_path / "runs" / "old.db"


def ended(database: Path) -> list[optuna.trial.FrozenTrial]:
    storage = open_storage(database, "read")
    trials = load_study(storage, "old/surrogate/0").get_trials(deepcopy=False)
    return [trial for trial in trials if trial.state.is_finished()]


def test_it_is_shown_as_it_stands(old, capsys):
    before = old.read_bytes()
    assert main(["show", "runs/old.db"]) == 0
    assert "old/random/0: 3 of 3 trials" in capsys.readouterr().out
    assert main(["show", "runs/old.db", "--studies"]) == 0
    assert "old/surrogate/0  9/12" in capsys.readouterr().out
    assert main(["report", "runs/old.db", "-o", "r.html", "--study", "old/surrogate/0"]) == 0
    assert "0.3400" in Path("r.html").read_text()
    assert old.read_bytes() == before


def test_its_trials_are_told_why_they_ended(old):
    record = Record.of(load_study(open_storage(old, "read"), "old/surrogate/0"))
    assert [TrialRecord.of(trial).ended_by for trial in record.finished] == [EndedBy.TRAINED] * 9
    assert (record.sampler, record.seed, record.trials_budget) == ("surrogate", 0, 12)


def test_the_same_command_goes_on_with_it(old, capsys):
    before = {trial.number: (trial.params, trial.values) for trial in ended(old)}
    assert main(["run", "old.py", "--device", "cpu"]) == 0
    after = {trial.number: (trial.params, trial.values) for trial in ended(old)}
    assert len(after) >= 12
    assert {number: after[number] for number in before} == before
    assert all(trial.state is not TrialState.FAIL for trial in ended(old))
