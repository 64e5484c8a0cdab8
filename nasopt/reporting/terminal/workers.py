"""Several workers in a terminal: a line each; elsewhere the lines that one worker prints."""

import time
from collections.abc import Generator, Iterator
from contextlib import closing
from dataclasses import replace
from typing import Any

from rich.console import Console

from nasopt.reporting.terminal.comparison import goes_on, study_line
from nasopt.reporting.terminal.display import finished_line, live, status
from nasopt.search.comparison import ComparisonProgress
from nasopt.search.processes import News
from nasopt.search.search import Progress
from nasopt.search.working import Begun, Ended, Killed
from nasopt.text import accuracy


def follow_workers(out: Console, news: Generator[News]) -> None:
    """Watch workers to their end: a line each in a terminal, else a line a trial or study."""
    rows: dict[int, Row] = {}
    whole = Whole()
    with closing(news), live(out) as show:
        for number, said in news:
            for line in whole.hear(number, said):
                if not out.is_terminal:
                    out.print(line, soft_wrap=True)
            rows.setdefault(number, Row()).hear(said)
            cells = [rows[each].cells() for each in sorted(rows)]
            show(whole.done, whole.total, whole.text(), cells)


class Row:
    """The line of a worker: its device, and its trial with epoch and accuracy."""

    def __init__(self) -> None:
        self.where = ""
        self.doing: tuple[str, ...] = ("starting",)

    def hear(self, said: Any) -> None:
        if isinstance(said, Begun):
            self.where = said.where
        elif isinstance(said, ComparisonProgress):
            self.doing = (said.study, *_doing(said.search, "its winner is trained again"))
        elif isinstance(said, Progress):
            self.doing = _doing(said)
        elif isinstance(said, Ended):
            early = f"ended early: {said.why}" if said.why else "stopped"
            self.doing = (early if said.code else "done",)
        elif isinstance(said, Killed):
            self.doing = (f"killed by {said.by}, starting anew",)

    def cells(self) -> tuple[str, ...]:
        return self.where, *self.doing


def _doing(progress: Progress | None, otherwise: str = "") -> tuple[str, ...]:
    if progress is None:
        return (otherwise,)
    if progress.number is None:
        return ("between trials",)
    epoch = f"epoch {progress.epoch}/{progress.epochs}"
    return f"trial {progress.number}", epoch, accuracy(progress.accuracy) or ""


class Whole:
    """The work of all workers: how much of it is done, by what each of them told."""

    def __init__(self) -> None:
        self.done, self.total = 0, 1
        self._started = time.monotonic()
        self._done_before: int | None = None
        self._search: Progress | None = None  # the latest of one study
        self._last: dict[int, ComparisonProgress] = {}  # of each worker
        self._told: set[tuple[bool, str]] = set()  # studies, and those whose winner was trained

    def hear(self, number: int, said: Any) -> Iterator[str]:
        """Note what a worker told; yield the lines that one worker would print for it."""
        if isinstance(said, Progress):
            yield from self._trial(said)
        elif isinstance(said, ComparisonProgress):
            before = self._last.get(number)
            if before is not None and not goes_on(before, said):
                yield from self._study(before)
            self._last[number] = said
            self.total = said.total
            self._count(said)
        elif isinstance(said, Ended) and said.code == 0 and number in self._last:
            yield from self._study(self._last[number])
            self._count(self._last[number])

    def _trial(self, said: Progress) -> Iterator[str]:
        if self._search is None or said.done >= self._search.done:
            self._search = replace(said, number=None)
        if self._done_before is None:
            self._done_before = said.done
        self.done, self.total = self._search.done, self._search.trials
        line = finished_line(said)
        if line:
            yield line

    def _study(self, said: ComparisonProgress) -> Iterator[str]:
        known = (said.again is not None, said.study)
        if known not in self._told:
            self._told.add(known)
            yield study_line(said)

    def _count(self, said: ComparisonProgress) -> None:
        self.done = sum(again is (said.again is not None) for again, _ in self._told)

    def text(self) -> str:
        if self._search is None or self._done_before is None:
            return ""
        return status(self._search, time.monotonic() - self._started, self._done_before)
