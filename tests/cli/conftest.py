from pathlib import Path

import pytest

from tests.examples import study_file


@pytest.fixture
def study(tmp_path, monkeypatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return study_file(tmp_path)
