"""`nasopt.locks`: names of which one process at a time holds each."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from nasopt.errors import StorageError
from nasopt.locks import Locks, locks_of

HOLDER = """
import sys
from pathlib import Path
from nasopt.locks import locks_of
locks = locks_of(Path(sys.argv[1]))
print(locks.take("a"), locks.take("b"), flush=True)
for name in sys.stdin:
    locks.release(name.strip())
    print("released", flush=True)
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "x.db.leases" / "locks"


@contextmanager
def holder(path: Path) -> Iterator[subprocess.Popen[str]]:
    """Another process that holds "a" and "b"."""
    with subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "True True\n"
        try:
            yield process
        finally:
            process.kill()


def test_a_name_is_held_by_one_process_until_it_lets_go(path):
    locks = locks_of(path)
    with holder(path) as other:
        assert not locks.take("a")
        assert locks.take("c")  # names do not disturb each other
        assert other.stdin is not None
        assert other.stdout is not None
        other.stdin.write("a\n")
        other.stdin.flush()
        other.stdout.readline()
        assert locks.take("a")
        assert not locks.take("b")


def test_a_name_is_free_when_its_process_was_killed(path):
    with holder(path) as other:
        assert not locks_of(path).take("b")
        other.kill()
        other.wait()
        assert locks_of(path).take("b")


def test_what_is_held_outlives_another_user_of_the_same_file(path):
    held = locks_of(path)
    assert held.take("mine")
    passing: Locks | None = locks_of(path)
    assert passing is held
    del passing
    other = "import sys; from pathlib import Path; from nasopt.locks import locks_of;"
    take = "print(locks_of(Path(sys.argv[1])).take('mine'))"
    command = [sys.executable, "-c", f"{other} {take}", str(path)]
    assert subprocess.run(command, capture_output=True, text=True).stdout == "False\n"


def test_the_file_is_made_when_first_needed(path):
    locks = locks_of(path)
    assert not path.exists()
    locks.take("a")
    assert path.exists()


def test_a_place_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "x.db.leases").write_text("no folder")
    with pytest.raises(StorageError, match=r"leases=.*x.db.leases/locks: cannot be written \("):
        Locks(tmp_path / "x.db.leases" / "locks").take("a")
