"""`guarded`: the end of a command as a line and an exit code, whatever ends it."""

import logging
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from types import FrameType
from typing import NoReturn

from nasopt.cli.parser import complain
from nasopt.errors import Error
from nasopt.text import BEGINS_ANEW, GOES_ON


class _Lines(logging.Handler):
    """A handler that prints what the library logs as lines on stderr."""

    def emit(self, record: logging.LogRecord) -> None:
        complain(record.getMessage())


def guarded(command: Callable[[], None], *, trains: bool = False, goes_on: bool = True) -> int:
    """Run `command`, print an error that a user can fix as one line, and return the exit code.

    `goes_on` says whether the same command goes on where this one was stopped.
    """
    again = GOES_ON if goes_on else BEGINS_ANEW
    handler = _Lines()
    logging.getLogger("nasopt").addHandler(handler)
    try:
        quieten()
        with _asked_to_stop() if trains else nullcontext():
            command()
        sys.stdout.flush()  # here, where nobody may be left who reads
    except Error as error:
        complain(str(error))
        return 2
    except KeyboardInterrupt as interrupted:
        signum = getattr(interrupted, "signum", 2)
        complain(f"{str(interrupted) or 'stopped'}; {again}")
        return 128 + int(signum)
    except BrokenPipeError:  # `nasopt show DB | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        if trains:
            complain(f"stopped: nothing reads the output any more; {again}")
            return 128 + signal.SIGPIPE
    finally:
        logging.getLogger("nasopt").removeHandler(handler)
    return 0


@contextmanager
def _asked_to_stop() -> Iterator[None]:
    """Take SIGTERM and SIGUSR1 as Ctrl-C outside of what is `interruptible`: while images load."""
    from nasopt.search.interruption import Interrupted

    def stop(signum: int, frame: FrameType | None) -> NoReturn:
        raise Interrupted(signum)

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {signum: signal.signal(signum, stop) for signum in (signal.SIGTERM, signal.SIGUSR1)}
    try:
        yield
    finally:
        for signum, handler in before.items():
            signal.signal(signum, handler)


def quieten() -> None:
    """Silence the logs of libraries that would disturb the output.

    Optuna's, of each new study, would stand among the tables. SQLAlchemy's has a traceback for
    each connection that a server has ended; the error that ends the command says so in a line.
    """
    import optuna

    for driver in ("sqlalchemy.pool", "psycopg"):  # of what a lost connection left unfinished
        logging.getLogger(driver).setLevel(logging.CRITICAL)
    optuna.logging.set_verbosity(optuna.logging.WARNING)
