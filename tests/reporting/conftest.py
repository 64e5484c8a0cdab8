import html

import pytest

import nasopt
from nasopt.reporting.html import write_report
from nasopt.storage.opening import open_storage
from tests.examples import small


@pytest.fixture(scope="session")
def tested(tmp_path_factory):
    """A folder with a database after finals, its report before them, and their result."""
    folder = tmp_path_factory.mktemp("tested")
    experiment = small(name="here")
    nasopt.run(experiment, sampler="random", storage=folder / "x.db", device="cpu")
    before = written(folder)
    result = nasopt.finals(
        experiment, storage=folder / "x.db", top=1, seeds=2, output=folder / "m", device="cpu"
    )
    return folder, before, result


def written(folder):
    write_report(open_storage(folder / "x.db", "read"), folder / "r.html")
    return html.unescape((folder / "r.html").read_text(encoding="utf-8"))
