"""A database that the tests of a file share, once as a file and once on a server."""

from collections.abc import Iterator

import pytest
from optuna.storages import RDBStorage
from optuna.study import StudyDirection

from nasopt.storage.opening import open_storage
from nasopt.storage.rdb import Storage
from tests.storage.stock import file_storage


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


@pytest.fixture(scope="module")
def opened(location: str) -> Iterator[tuple[Storage, Storage]]:
    """By two workers."""
    both = open_storage(location), open_storage(location)
    yield both
    for each in both:
        each.engine.dispose()


@pytest.fixture
def storage(opened: tuple[Storage, Storage]) -> Storage:
    opened[0].owner = "me"
    return opened[0]


@pytest.fixture
def other(opened: tuple[Storage, Storage]) -> Storage:
    """The same database, opened by another worker."""
    opened[1].owner = "the other"
    return opened[1]


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def stock(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[RDBStorage]:
    """Plain Optuna's storage, for all tests: each has studies of its own."""
    if request.param == "sqlite":
        storage = file_storage(tmp_path_factory.mktemp("shared") / "x.db")
    else:
        storage = RDBStorage(request.getfixturevalue("postgresql")())
    yield storage
    storage.remove_session()
    storage.engine.dispose()
