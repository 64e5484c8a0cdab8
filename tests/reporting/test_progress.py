"""How a search shows its progress to a script, at a terminal and in a notebook."""

import asyncio
import logging
import os
import pty
import subprocess
import sys
import threading
from contextlib import closing, suppress

import pytest
from jupyter_client.manager import start_new_kernel

import nasopt
from tests.examples import small

SCRIPT = """
import nasopt
from tests.examples import small
nasopt.run(small(trials=2), storage={!r}, device="cpu"{})
"""


def test_a_pipe_stays_clean_unless_progress_is_asked_for(tmp_path, capsys):
    nasopt.run(small(trials=1), storage=tmp_path / "x.db", device="cpu")
    assert "trial 0" not in capsys.readouterr().err
    nasopt.run(small(trials=2), storage=tmp_path / "x.db", device="cpu", progress=True)
    found = capsys.readouterr()
    assert found.out == ""
    assert [line for line in found.err.splitlines() if "trial" in line][-1].startswith("[2/2]")


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


@pytest.mark.parametrize(("option", "seen"), [("", True), (", progress=False", False)])
def test_a_terminal_shows_a_bar_unless_told_not_to(option, seen, tmp_path):
    master, terminal = pty.openpty()
    code = SCRIPT.format(str(tmp_path / "x.db"), option)
    env = {**os.environ, "TERM": "xterm", "COLUMNS": "80"}
    process = subprocess.Popen([sys.executable, "-c", code], stderr=terminal, env=env)
    os.close(terminal)
    shown = b""
    with suppress(OSError):  # EIO is the end of a terminal
        while part := os.read(master, 1 << 16):
            shown += part
    os.close(master)
    assert process.wait() == 0
    assert (b"/2" in shown) is seen


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
    assert [error["ename"] for error in stopped["error"]] == ["Interrupted"]
    done = kernel.run(CELL.format(8))
    assert not done["error"]
    assert done["stream"][-1]["text"].endswith("kept\n")


def test_a_cell_has_one_output_that_is_updated(kernel):
    found = kernel.run(CELL.format(6).replace("x.db", "z.db"))
    (first,) = found["display_data"]
    assert "<progress" in first["data"]["text/html"]
    updates = found["update_display_data"]
    assert updates[-1]["data"]["text/plain"].startswith("6/6")
    places = {each["transient"]["display_id"] for each in [first, *updates]}
    assert len(places) == 1
    assert "trial" not in "".join(each["text"] for each in found["stream"])
