"""`following`: a search, a comparison, a noise study or finals, with their progress shown."""

import logging
import sys
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

from optuna.storages import RDBStorage
from rich.console import Console

from nasopt.analysis.final_test import FinalProgress
from nasopt.reporting.jupyter import in_notebook
from nasopt.reporting.terminal.comparison import follow_comparison
from nasopt.reporting.terminal.display import (
    console,
    finished_line,
    follow_noise,
    follow_search,
    paper,
)
from nasopt.reporting.terminal.finals import finished_training, follow_finals
from nasopt.search.comparison import Comparison, ComparisonProgress
from nasopt.search.noise import NoiseStudy
from nasopt.search.search import Progress, Search

logger = logging.getLogger("nasopt")


Running = Search | Comparison | NoiseStudy | Iterable[FinalProgress]


@contextmanager
def following(progress: bool | None) -> Iterator[Callable[[Running], None]]:
    """Yield a function that runs one to its end; each trial that ends is logged at level INFO.

    So is each training of finals. `progress` says whether to show how it goes: always (True; a line
    a trial, where nothing can be redrawn), never (False), or where somebody looks, which is a
    terminal or a notebook (None).
    """
    out = _screen(progress)
    with _without_optuna():
        yield partial(_show, out) if out else lambda running: _exhaust(_logged(running))


def _exhaust(steps: Iterable[Any]) -> None:
    for _ in steps:
        pass


def _show(out: Console, running: Running) -> None:
    if isinstance(running, NoiseStudy):
        follow_noise(out, running)
    elif isinstance(running, Comparison):
        follow_comparison(out, _logged(running))
    elif isinstance(running, Search):
        follow_search(out, _logged(running))
    else:
        follow_finals(out, _logged(running))


def _screen(progress: bool | None) -> Console | None:
    """Return where progress is shown: beside what a script prints, as Optuna's log is."""
    if progress is False:
        return None
    if in_notebook():
        return paper(sys.stderr, terminal=True)
    out = console(stderr=True)
    return out if progress or out.is_terminal else None


def _logged(running: Iterable[Any]) -> Iterator[Any]:
    for step in running:
        search: Any = step.search if isinstance(step, ComparisonProgress) else step
        line = finished_line(search) if isinstance(search, Progress) else ""
        if isinstance(step, FinalProgress) and step.epochs and step.epoch == step.epochs:
            line = finished_training(step)
        if line:
            study = f"{step.study}: " if isinstance(step, ComparisonProgress) else ""
            logger.info("%s%s", study, line)
        yield step


@contextmanager
def _without_optuna() -> Iterator[None]:
    """Keep Optuna's lines on each new study of this thread from among the progress."""
    here = threading.get_ident()
    logger = logging.getLogger(RDBStorage.__module__)

    def is_shown(record: logging.LogRecord) -> bool:
        return record.thread != here or record.levelno > logging.INFO

    logger.addFilter(is_shown)
    try:
        yield
    finally:
        logger.removeFilter(is_shown)
