"""A database that the tests of a file share, once as a file and once on a server."""

import pytest
from optuna.study import StudyDirection

from nasopt.storage.rdb import Storage


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def location(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> str:
    """Of a database that the tests share: each has a study of its own."""
    if request.param == "sqlite":
        return str(tmp_path_factory.mktemp("shared") / "x.db")
    url: str = request.getfixturevalue("postgresql")()
    return url


@pytest.fixture
def study_id(storage: Storage) -> int:
    return storage.create_new_study([StudyDirection.MAXIMIZE])
