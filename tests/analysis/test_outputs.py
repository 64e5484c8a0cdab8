import os
import resource
import stat
import subprocess
import sys
import threading
from pathlib import Path

import pytest

import nasopt
from nasopt.analysis.outputs import Output
from nasopt.cli.main import main
from nasopt.errors import StorageError
from tests.examples import STUDY, small
from tests.reporting.dashboard.serving import copied

TABLE = b"study,value\nmine,1\n"


def output(path: Path) -> Output:
    return Output(path, "csv", "table", b"study,value")


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("outputs") / "x.db"
    nasopt.compare(
        small(trials=2), samplers="random,tpe", seeds=1, replicates=0, storage=path, device="cpu"
    )
    return path


OTHERS = {
    "study.py": STUDY.encode(),
    "notes.html": b"<!doctype html>\n<title>notes of my own</title>",
    "other.csv": b"name,age\nx,1\n",
    "picture.png": b"\x89PNG\r\n",
    "text": b"\xff\xfe not even text",
}


@pytest.mark.parametrize("name", ["x.db", *OTHERS])
@pytest.mark.parametrize("verb", ["report", "compare"])
def test_an_output_replaces_nothing_but_an_output_of_its_kind(made, tmp_path, capsys, name, verb):
    database, path = tmp_path / "x.db", tmp_path / name
    copied(made, database)
    for other, content in OTHERS.items():
        (tmp_path / other).write_bytes(content)
    before = path.read_bytes()
    words = {
        "report": ["report", str(database), "-o", str(path)],
        "compare": ["compare", "--studies", "*", "--storage", str(database), "--csv", str(path)],
    }[verb]
    assert main(words) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert f"={path}: there is such a file, and it is no " in line
    assert path.read_bytes() == before


def test_what_each_command_wrote_it_writes_anew(made, tmp_path):
    for name, words in {
        "r.html": ["report", str(made), "-o"],
        "t.csv": ["compare", "--studies", "*", "--storage", str(made), "--csv"],
    }.items():
        path = tmp_path / name
        path.touch()  # an empty file is nobody's
        assert main([*words, str(path)]) == 0
        first = path.read_bytes()
        assert main([*words, str(path)]) == 0
        assert path.read_bytes() == first != b""
    assert {each.name for each in tmp_path.iterdir()} == {"r.html", "t.csv"}


def test_a_link_stays_and_what_it_leads_to_keeps_its_permissions(tmp_path):
    there, link = tmp_path / "there.csv", tmp_path / "link.csv"
    there.write_bytes(TABLE)
    there.chmod(0o640)
    link.symlink_to(there)
    output(link).write(TABLE + b"more,2\n")
    assert link.is_symlink()
    assert there.read_bytes() == TABLE + b"more,2\n"
    assert stat.S_IMODE(there.stat().st_mode) == 0o640


def test_a_new_file_has_the_permissions_of_any_other(tmp_path):
    (tmp_path / "plain").touch()
    output(tmp_path / "new.csv").write(TABLE)
    assert (tmp_path / "new.csv").stat().st_mode == (tmp_path / "plain").stat().st_mode


def test_a_disk_that_is_full_leaves_what_was_there(tmp_path):
    path = tmp_path / "x.csv"
    path.write_bytes(TABLE)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1_000, hard))
    try:
        with pytest.raises(StorageError, match=r"csv=.*: cannot be written \(.*\); choose another"):
            output(path).write(TABLE + b"x" * 10_000)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert path.read_bytes() == TABLE
    assert list(tmp_path.iterdir()) == [path]


def test_pipes_and_devices_are_written_to_as_they_are(tmp_path):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    read: list[bytes] = []
    reader = threading.Thread(target=lambda: read.append(pipe.read_bytes()))
    reader.start()
    output(pipe).write(TABLE)
    reader.join()
    assert read == [TABLE]
    assert stat.S_ISFIFO(pipe.stat().st_mode)
    output(Path("/dev/null")).write(TABLE)
    assert stat.S_ISCHR(Path("/dev/null").stat().st_mode)


@pytest.mark.parametrize("how", ["-", "/dev/stdout"])
def test_standard_output_may_be_a_file_that_has_something_already(made, tmp_path, how):
    file = tmp_path / "all.html"
    file.write_bytes(b"before\n")
    with file.open("ab") as stdout:
        command = [sys.executable, "-m", "nasopt", "report", str(made), "-o", how]
        subprocess.run(command, check=True, stdout=stdout, cwd=tmp_path)
    assert file.read_bytes().startswith(b"before\n<!doctype html>")
    assert list(tmp_path.iterdir()) == [file]


def test_a_pipe_that_closes_early_is_no_error(made, tmp_path):
    command = [sys.executable, "-m", "nasopt", "report", str(made), "-o", "-"]
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=tmp_path
    )
    assert process.stdout is not None
    process.stdout.close()
    _, errors = process.communicate()
    assert (process.returncode, errors) == (0, b"")
