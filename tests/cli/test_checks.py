"""`nasopt checks`: what is here, and what is missing for which extra."""

import json
import os
import sqlite3
from importlib.metadata import requires, version
from pathlib import Path

import pytest
import torch
from packaging.requirements import Requirement

from nasopt.cli.checks import checks, missing_for_extras, print_checks
from nasopt.cli.main import main
from nasopt.reporting.terminal.display import console
from nasopt.training.devices import find_device, free_cores


def checked(capsys) -> dict:
    assert main(["checks", "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def test_versions_devices_and_threads_are_those_of_this_machine(capsys, monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    found = checked(capsys)
    for package in ("nasopt", "torch", "optuna", "sqlalchemy"):
        assert found["versions"][package] == version(package)
    assert found["device"] == str(find_device())
    assert found["devices"][0]["device"] == "cpu"
    assert len(found["devices"]) >= 1 + torch.cuda.device_count()
    assert isinstance(found["devices"][0]["bf16"], bool)
    assert found["threads"]["cores"] == free_cores()
    assert found["threads"]["torch"] == torch.get_num_threads()
    assert found["threads"]["OMP_NUM_THREADS"] == "1"


def test_storage_is_where_databases_go(capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    storage = checked(capsys)["storage"]
    assert storage["sqlite"] == sqlite3.sqlite_version
    assert storage["databases"] == str(tmp_path / "runs")
    assert storage["writable"] == os.access(tmp_path, os.W_OK)
    assert storage["free_bytes"] > 0
    assert not list(Path().iterdir())


def test_each_extra_is_checked(capsys):
    extras = checked(capsys)["extras"]
    assert {"bench", "postgresql"} <= extras.keys()
    assert "nasopt" not in extras
    needed = [Requirement(each) for each in requires("nasopt")]
    assert extras == missing_for_extras(needed)


def test_what_is_missing_or_too_old_for_an_extra_is_named():
    needed = [
        "torch>=2",
        'torch>=2; extra == "there"',
        'no-such-package>=3; extra == "lacking"',
        'torch>=2; extra == "lacking"',
        'torch>=99; extra == "older"',
        "no-such-package; sys_platform == 'nowhere' and extra == 'elsewhere'",
    ]
    assert missing_for_extras(map(Requirement, needed)) == {
        "elsewhere": [],
        "lacking": ["no-such-package>=3"],
        "older": [f"torch>=99 (has {version('torch')})"],
        "there": [],
    }


@pytest.mark.parametrize("part", ["python", "cpu", "threads", "SQLite", "nasopt[postgresql]"])
def test_a_person_reads_a_line_each(capsys, part):
    assert main(["checks"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line for line in lines if line.startswith(part)]


def test_what_is_missing_has_its_remedy(capsys):
    found = checks() | {"extras": {"mlflow": ["mlflow-skinny>=3.1"]}}
    print_checks(console(), found)
    said = 'nasopt[mlflow] missing mlflow-skinny>=3.1: pip install "nasopt[mlflow]"'
    assert said in " ".join(capsys.readouterr().out.split())
