"""What the tests share: Optuna kept quiet, and real parts that must be there in CI."""

import os

# Before torch is loaded, here and in the workers that tests start: two processes with two threads
# each on two cores wait for each other twenty times as long as they compute.
os.environ["OMP_NUM_THREADS"] = "1"

import gzip
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import optuna
import pytest
import sqlalchemy as sa
import torch
from hypothesis import settings

from nasopt import load_benchmark
from nasopt.benchmarks import Benchmark
from nasopt.data.datasets import DEBIAN_FASHION_MNIST
from tests.browser import Browser, chromium, is_installed
from tests.cluster import Cluster, binaries

# A shell that begins the tests in the background has Ctrl-C ignored, and so would all commands be
# that the tests stop by one.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
optuna.logging.set_verbosity(optuna.logging.WARNING)
# no deadline: the first example waits for torch, and machines are busy
settings.register_profile("nasopt", deadline=None)
settings.load_profile("nasopt")


def missing(reason: str) -> None:
    """Skip a test whose real part is not on this machine; in CI that is a failure."""
    if os.environ.get("CI"):
        pytest.fail(f"{reason} (and CI must have it)")
    pytest.skip(reason)


@pytest.fixture(scope="session", autouse=True)
def _state(tmp_path_factory: pytest.TempPathFactory) -> None:
    """A folder of its own for what is kept of workers, for these processes and those they start."""
    os.environ["XDG_STATE_HOME"] = str(tmp_path_factory.mktemp("state"))


@pytest.fixture(autouse=True)
def _engines_are_disposed() -> Iterator[None]:
    """A program leaves its connections to its end; here a warning of one is an error."""
    engines = set()

    def note(connection: sa.Connection) -> None:
        engines.add(connection.engine)

    sa.event.listen(sa.Engine, "engine_connect", note)
    yield
    sa.event.remove(sa.Engine, "engine_connect", note)
    for engine in engines:
        engine.dispose()


@pytest.fixture
def machine_of(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[int], None]]:
    """Call it to be on a machine of so many cores, with torch as it is set there."""
    threads = torch.get_num_threads()

    def be_on(cores: int) -> None:
        monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
        monkeypatch.setattr("os.sched_getaffinity", lambda pid: set(range(cores)))
        torch.set_num_threads(cores)

    yield be_on
    torch.set_num_threads(threads)


@pytest.fixture(scope="session")
def macro_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    packed = Path(__file__).parent / "data" / "nas-bench-macro_cifar10.json.gz"
    path = tmp_path_factory.mktemp("macro") / "nas-bench-macro_cifar10.json"
    path.write_bytes(gzip.decompress(packed.read_bytes()))
    return path


@pytest.fixture(scope="session")
def macro(macro_file: Path) -> Benchmark:
    return load_benchmark(f"nasbenchmacro:{macro_file}")


@pytest.fixture
def fashion_folder() -> Path:
    if not DEBIAN_FASHION_MNIST.is_dir():
        missing("Fashion-MNIST is not here: apt-get install dataset-fashion-mnist")
    return DEBIAN_FASHION_MNIST


@pytest.fixture(scope="session")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    """One for all tests: `open` begins anew."""
    if not is_installed():
        missing("Chromium is not here: apt-get install chromium chromium-driver")
    with chromium(tmp_path_factory.mktemp("chromium")) as opened:
        yield opened


@pytest.fixture(scope="session")
def cluster() -> Iterator[Cluster]:
    """A PostgreSQL server of our own; who changes more than a database of it has it restarted."""
    if binaries() is None:
        missing("PostgreSQL is not here: apt-get install postgresql")
    server = Cluster()
    yield server
    server.close()


@pytest.fixture(scope="session")
def postgresql(cluster: Cluster) -> Callable[[], str]:
    """Call it for the URL of a new, empty database."""
    return cluster.new


@pytest.fixture(params=["sqlite", "postgresql"])
def empty_database(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The location of a file that is not there yet, or of an empty database on a server."""
    if request.param == "sqlite":
        return str(tmp_path / "x.db")
    url: str = request.getfixturevalue("postgresql")()
    return url
