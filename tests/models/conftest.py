import pytest

import nasopt
from tests.models.finishing import here


@pytest.fixture(scope="session")
def searched(tmp_path_factory):
    """A folder with a database of a search by random sampling; to be copied."""
    folder = tmp_path_factory.mktemp("searched")
    nasopt.run(here(), sampler="random", storage=folder / "x.db", device="cpu")
    return folder
