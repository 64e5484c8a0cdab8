"""A database on a file system that is read-only, in a mount namespace of its own."""

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

import nasopt
from nasopt.errors import StorageError
from nasopt.search.search import Search
from nasopt.storage.opening import open_storage
from tests.conftest import missing
from tests.examples import small

LEFT = "a killed run left a part of it in x.db-wal, which cannot be read in a folder that is"


@pytest.fixture(scope="module")
def left(tmp_path_factory) -> Path:
    """What a killed run leaves: a part of the database is in its -wal."""
    folder = tmp_path_factory.mktemp("left")
    process = os.fork()
    if not process:
        search = Search(small(trials=4), sampler="random", storage=folder / "x.db", device="cpu")
        for progress in search:
            if progress.done == 2:
                os.kill(os.getpid(), signal.SIGKILL)
    assert os.waitstatus_to_exitcode(os.waitpid(process, 0)[1]) == -signal.SIGKILL
    assert (folder / "x.db-wal").stat().st_size
    return folder


@pytest.fixture
def killed(left, tmp_path) -> Path:
    return shutil.copytree(left, tmp_path / "killed")


def read_only(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """Run `nasopt` where `folder` is mounted read-only, which binds root as well."""
    mount = f'mount --bind "{folder}" "{folder}" && mount -o remount,ro,bind "{folder}"'
    if subprocess.run(["unshare", "-m", "sh", "-c", mount], capture_output=True).returncode:
        missing("no mounts of one's own: unshare -m needs the right to mount")
    run = f'{mount} && cd "{folder}" && exec "$@"'
    command = ["unshare", "-m", "sh", "-c", run, "sh", sys.executable, "-m", "nasopt", *words]
    environment = {**os.environ, "PYTHONPATH": os.getcwd()}
    return subprocess.run(command, capture_output=True, text=True, env=environment, check=False)


LOOKS = (["show", "x.db"], ["show", "x.db", "--studies"], ["report", "x.db", "-o", "-"])


@pytest.mark.parametrize("words", LOOKS)
def test_what_a_kill_left_is_read_where_sqlite_can(killed, words):
    done = read_only(killed, *words)
    assert (done.returncode, done.stderr) == (0, "")
    assert "experiment/random/0" in done.stdout


@pytest.mark.parametrize("words", LOOKS)
def test_where_sqlite_cannot_that_is_the_line(killed, words):
    (killed / "x.db-shm").unlink()  # as copied without it
    done = read_only(killed, *words)
    assert done.returncode == 2
    assert done.stderr.startswith(f"nasopt: storage=x.db: {LEFT}")
    assert len(done.stderr.splitlines()) == 1


def test_nothing_is_written_there_and_a_run_says_so(killed):
    (killed / "study.py").write_text(
        "from tests.examples import small\nexperiment = small(trials=4, name='experiment')"
    )
    done = read_only(killed, "run", "study.py", "--storage", "x.db", "--device", "cpu")
    assert done.returncode == 2
    assert "storage=x.db: read-only; change its permissions" in done.stderr


def test_a_copy_to_a_folder_that_can_be_written_has_all(killed, tmp_path):
    (killed / "x.db-shm").unlink()
    for left in killed.glob("x.db*"):
        if left.is_file():
            (tmp_path / left.name).write_bytes(left.read_bytes())
    open_storage(tmp_path / "x.db", "read")
    study = nasopt.run(small(trials=4), sampler="random", storage=tmp_path / "x.db", device="cpu")
    assert len(study.trials) == 4
    with pytest.raises(StorageError, match="no such file"):
        open_storage(tmp_path / "y.db", "read")
