"""Processes as `subprocess` begins them, but forked from this one: torch takes seconds to load."""

import faulthandler
import os
import subprocess
import sys
import traceback
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NoReturn

from nasopt.cli.main import main


class Forked(subprocess.Popen[str]):
    """A `Popen` whose process calls `run`, and ends with the exit code that this returns or raises.

    It begins with all that this process has loaded and set.
    """

    def __init__(self, run: Callable[[], int | None], **options: Any) -> None:
        self.run = run
        super().__init__(["forked"], text=True, **options)

    def _execute_child(  # type: ignore[override]
        self, args: Any, executable: Any, preexec_fn: Any, close_fds: Any, pass_fds: Any,
        cwd: Any, env: Any, startupinfo: Any, creationflags: Any, shell: Any,
        p2cread: int, p2cwrite: int, c2pread: int, c2pwrite: int, errread: int, errwrite: int,
        *rest: Any,
    ) -> None:  # fmt: skip
        """Fork, where a `Popen` would fork and execute."""
        pipes = p2cread, p2cwrite, c2pread, c2pwrite, errread, errwrite
        self.pid = os.fork()
        if not self.pid:
            self._live(cwd, env, pipes)
        self._child_created = True
        self._close_pipe_fds(*pipes)  # type: ignore[attr-defined]

    def _live(self, cwd: Any, env: Any, pipes: tuple[int, ...]) -> NoReturn:
        def live() -> int | None:
            for standard, pipe in enumerate((pipes[0], pipes[3], pipes[5])):
                if pipe != -1:
                    os.dup2(pipe, standard)
            for pipe in set(pipes) - {-1}:
                os.close(pipe)
            sys.stdout, sys.stderr = os.fdopen(1, "w"), os.fdopen(2, "w")
            if cwd is not None:
                os.chdir(cwd)
            if env is not None:
                os.environ.clear()
                os.environ.update(env)
            return self.run()

        faulthandler.disable()  # pytest's
        leave_after(live)


def leave_after(run: Callable[[], int | None]) -> NoReturn:
    """End this process, a forked one, with the exit code that `run` returns or raises."""
    code: Any = 1
    try:
        code = run() or 0
    except SystemExit as stopped:
        code = stopped.code
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def run(words: Sequence[str], folder: Path) -> subprocess.CompletedProcess[str]:
    """Run a command in `folder` to its end, in a process of its own."""
    pipes: Any = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with Forked(partial(main, words), cwd=folder, **pipes) as process:
        out, err = process.communicate()
    return subprocess.CompletedProcess(words, process.returncode, out, err)
