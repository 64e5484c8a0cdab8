"""How a search shows its progress to a script, at a terminal and in a notebook."""

import asyncio
import logging
import os
import pty
import subprocess
import sys
import threading
from contextlib import closing, suppress
from logging.handlers import BufferingHandler

import optuna
import pytest
from jupyter_client.manager import start_new_kernel
from optuna.storages import RDBStorage

import nasopt
from tests.examples import small

SCRIPT = """
import sys
import nasopt
from tests.examples import small
nasopt.run(small(trials=2), storage="x.db", device="cpu")
print("silence", file=sys.stderr)
nasopt.run(small(trials=2), storage="y.db", device="cpu", progress=False)
nasopt.noise(small(), architectures=2, seeds=2, storage="y.db", device="cpu", progress=False)
nasopt.compare(
    small(trials=2), samplers="random", seeds=1, replicates=1, storage="y.db", device="cpu",
    progress=False,
)
"""


@pytest.mark.parametrize("progress", [None, False])
def test_a_pipe_stays_clean_unless_progress_is_asked_for(progress, tmp_path, capfd):
    experiment, where = small(trials=1), {"storage": tmp_path / "x.db", "device": "cpu"}
    nasopt.run(experiment, progress=progress, **where)
    nasopt.noise(experiment, architectures=2, seeds=2, progress=progress, **where)
    nasopt.compare(experiment, samplers="random", seeds=1, replicates=1, progress=progress, **where)
    assert capfd.readouterr() == ("", "")


def test_a_line_a_trial_is_written_to_a_pipe_if_it_is_asked_for(tmp_path, capsys):
    nasopt.run(small(trials=2), storage=tmp_path / "x.db", device="cpu", progress=True)
    found = capsys.readouterr()
    assert found.out == ""
    assert [line[:5] for line in found.err.splitlines()] == ["[1/2]", "[2/2]"]


def test_compare_and_noise_show_theirs_as_well(tmp_path, capsys):
    path = tmp_path / "x.db"
    nasopt.compare(
        small(trials=2), samplers="random", seeds=1, replicates=1, storage=path, device="cpu",
        progress=True,
    )  # fmt: skip
    nasopt.noise(small(), architectures=2, seeds=2, storage=path, device="cpu", progress=True)
    lines = capsys.readouterr().err
    assert "[1/1] experiment/random/0: 2 trials" in lines
    assert "A new study" not in lines  # Optuna's, which would stand among them
    assert "[4/4] epoch 2, accuracy" in lines


def test_a_terminal_shows_a_bar_unless_told_not_to(tmp_path):
    master, terminal = pty.openpty()
    env = {**os.environ, "TERM": "xterm", "COLUMNS": "80", "PYTHONPATH": os.getcwd()}
    process = subprocess.Popen(
        [sys.executable, "-c", SCRIPT], stderr=terminal, env=env, cwd=tmp_path
    )
    os.close(terminal)
    shown = b""
    with suppress(OSError):  # EIO is the end of a terminal
        while part := os.read(master, 1 << 16):
            shown += part
    os.close(master)
    assert process.wait() == 0
    bar, after = shown.split(b"silence")
    assert b"/2" in bar
    assert after.strip() == b""


def test_each_trial_that_ends_is_logged(tmp_path, caplog):
    with caplog.at_level(logging.INFO, "nasopt"):
        nasopt.run(small(trials=2), storage=tmp_path / "x.db", device="cpu", progress=False)
    lines = [each.getMessage() for each in caplog.records if each.name == "nasopt"]
    assert [line.partition(":")[0] for line in lines] == ["[1/2] trial 0", "[2/2] trial 1"]


def test_a_search_runs_in_a_thread_and_beside_an_event_loop(tmp_path):
    before = threading.active_count()

    async def main() -> list[object]:
        beside = nasopt.run(small(trials=2), storage=tmp_path / "x.db", device="cpu")
        within = await asyncio.to_thread(
            nasopt.run, small(trials=3), storage=tmp_path / "x.db", device="cpu", progress=True
        )
        return [beside.trials[0].params, len(within.trials), within.trials[0].params]

    first, count, again = asyncio.run(main())
    assert count == 3
    assert first == again
    assert threading.active_count() == before


def test_optuna_is_silent_in_the_thread_of_a_search_alone(tmp_path):
    heard, handler = logging.getLogger(RDBStorage.__module__), BufferingHandler(100)
    heard.addHandler(handler)
    heard.setLevel(logging.INFO)
    mine = f"sqlite:///{tmp_path}/mine.db"

    def meanwhile(study: optuna.Study, trial: optuna.trial.FrozenTrial) -> None:
        _in_a_thread(optuna.create_study, storage=mine, study_name="meanwhile")

    try:
        nasopt.run(small(trials=1), storage=tmp_path / "x.db", device="cpu", callbacks=[meanwhile])
        optuna.create_study(storage=mine, study_name="afterwards")
    finally:
        heard.removeHandler(handler)
        heard.setLevel(logging.NOTSET)
    names = [each.getMessage().rpartition(" ")[2] for each in handler.buffer]
    assert names == ["meanwhile", "afterwards"]


def _in_a_thread(function, *args, **options):
    thread = threading.Thread(target=function, args=args, kwargs=options)
    thread.start()
    thread.join()


class Kernel:
    """A kernel of Jupyter's, in which cells are run."""

    def __init__(self, folder):
        self.manager, self.client = start_new_kernel(cwd=str(folder))

    def run(self, code, meanwhile=lambda: None):
        """Return the messages of a cell, by kind; `meanwhile` is called at its first display."""
        sent, found = self.client.execute(code), {"display_data": [], "error": [], "stream": []}
        while True:
            message = self.client.get_iopub_msg(timeout=120)
            if message["parent_header"].get("msg_id") != sent:
                continue
            kind, content = message["msg_type"], message["content"]
            found.setdefault(kind, []).append(content)
            if kind == "display_data" and len(found[kind]) == 1:
                meanwhile()
            if content.get("execution_state") == "idle":
                return found

    def close(self):
        self.client.stop_channels()
        self.manager.shutdown_kernel(now=True)


@pytest.fixture(scope="module")
def kernel(tmp_path_factory):
    with closing(Kernel(tmp_path_factory.mktemp("kernel"))) as started:
        started.run(f"import sys; sys.path.insert(0, {os.getcwd()!r}); kept = 'kept'")
        yield started


CELL = """
import nasopt
from tests.examples import small
study = nasopt.run(small(trials={}), storage="x.db", device="cpu")
print(len(study.trials), kept)
"""


def test_an_interrupted_cell_goes_on_when_it_is_run_again(kernel):
    stopped = kernel.run(CELL.format(500), kernel.manager.interrupt_kernel)
    (error,) = stopped["error"]
    assert error["ename"] == "Interrupted"
    assert error["traceback"] == ["Interrupted: stopped by SIGINT; the same call goes on"]
    done = kernel.run(CELL.format(8))
    assert not done["error"]
    assert done["stream"][-1]["text"].endswith("kept\n")


THREAD = """
import asyncio, threading
thread = threading.Thread(target=nasopt.run, args=[small(trials=4)], kwargs={"storage": "t.db"})
thread.start()
thread.join()
found = await asyncio.to_thread(nasopt.run, small(trials=4), storage="a.db")
"""


@pytest.mark.parametrize("code", [CELL.format(6).replace("x.db", "z.db"), THREAD])
def test_a_search_has_one_output_that_is_updated(code, kernel):
    found = kernel.run(code)
    assert not found["error"]
    shown = found["display_data"] + found["update_display_data"]
    assert len(found["display_data"]) == code.count("nasopt.run")
    assert "<progress" in shown[0]["data"]["text/html"]
    last = {each["transient"]["display_id"]: each["data"]["text/plain"][:3] for each in shown}
    assert len(last) == len(found["display_data"])
    assert set(last.values()) <= {"6/6", "4/4"}
    assert "trial" not in "".join(each["text"] for each in found["stream"])


def test_a_silent_cell_has_no_output_at_all(kernel):
    code = CELL.replace('"cpu"', '"cpu", progress=False').replace("print", "(lambda *_: None)")
    found = kernel.run(code.format(2).replace("x.db", "silent.db"))
    assert found == {**found, "display_data": [], "error": [], "stream": []}


def test_print_is_plain_text_in_a_notebook_too(kernel):
    found = kernel.run("print(nasopt.StudyResult(study)); print(nasopt.open('x.db'))")
    assert "\x1b" not in "".join(each["text"] for each in found["stream"])
