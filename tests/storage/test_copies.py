"""A database that only plain Optuna has written to is read, and not a byte of it is changed."""

import shutil
from pathlib import Path

import optuna
import pytest

from nasopt.api import run
from nasopt.cli.main import main
from nasopt.storage.opening import open_storage
from tests.examples import small

NAMES = ("experiment/random/0", "experiment/random/1")


@pytest.fixture(scope="module")
def searched(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two studies, one of which has a trial that a dead worker left, copied by plain Optuna."""
    folder = tmp_path_factory.mktemp("searched")
    for seed in range(2):
        run(small(trials=3), sampler="random", seed=seed, storage=folder / "x.db", device="cpu")
    source, copy = (f"sqlite:///{folder / name}" for name in ("x.db", "copy.db"))
    for name in NAMES:
        optuna.copy_study(from_study_name=name, from_storage=source, to_storage=copy)
    storage = optuna.storages.RDBStorage(copy)
    left = optuna.load_study(study_name=NAMES[0], storage=storage).ask()
    storage.set_trial_system_attr(left._trial_id, "nasopt:owner", "0" * 32)
    storage.remove_session()
    storage.engine.dispose()
    return folder / "copy.db"


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (("report", "x.db", "-o", "report.html"), 0),
        (("show", "x.db", "--studies"), 0),
        (("show", "x.db", "--study", NAMES[0]), 0),
        (("compare", "--studies", "experiment/*", "--storage", "x.db"), 0),
        (("compare", "--benchmark", "ledger:x.db", "--seeds", "1", "--trials", "2"), 2),
    ],
)
def test_to_look_at_it_changes_no_byte(searched, tmp_path, monkeypatch, capsys, words, code):
    shutil.copy(searched, tmp_path / "x.db")
    monkeypatch.chdir(tmp_path)
    before = Path("x.db").read_bytes()
    assert main(words) == code
    assert Path("x.db").read_bytes() == before
    assert [each.name for each in tmp_path.glob("x.db*")] == ["x.db"]
    if code:  # it has the studies, but nothing of the trainings
        assert "0 of 231 networks are known" in capsys.readouterr().err


def test_to_run_on_in_it_makes_what_is_missing(searched, tmp_path):
    shutil.copy(searched, tmp_path / "x.db")
    study = run(small(trials=5), sampler="random", seed=1, storage=tmp_path / "x.db", device="cpu")
    assert len(study.trials) == 5
    assert open_storage(tmp_path / "x.db", "read").get_all_studies()
