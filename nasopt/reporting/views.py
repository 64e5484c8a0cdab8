"""The results of `nasopt.analysis` as they show themselves, registered with `Shown`."""

import html
import io
from collections.abc import Iterable, Iterator
from functools import singledispatch
from typing import Any

from rich.console import Console, ConsoleOptions, Group, RenderableType
from rich.segment import Segment
from rich.table import Table
from rich.text import Text

from nasopt.analysis.compared import ComparisonResult
from nasopt.analysis.final_test import FinalResult
from nasopt.analysis.noise import Noise
from nasopt.analysis.outcome import Outcome, Result
from nasopt.analysis.shown import Shown, view
from nasopt.analysis.why import Why
from nasopt.reporting.terminal.comparison import comparison_parts
from nasopt.reporting.terminal.display import noise_parts, paper, print_parts
from nasopt.reporting.terminal.finals import final_parts
from nasopt.reporting.terminal.results import outcome_parts, result_parts, why_parts
from nasopt.text import visible

PAGE = 10_000  # columns: in a notebook a wide table is scrolled, not wrapped


@singledispatch
def parts(found: Any, out: Console) -> Iterator[RenderableType]:
    """Yield what `found` consists of, for a console like `out`: texts and tables."""
    yield Text(repr(found))


parts.register(ComparisonResult, lambda found, out: comparison_parts(found))
parts.register(FinalResult, lambda found, out: final_parts(out, found))
parts.register(Noise, lambda found, out: noise_parts(found))
parts.register(Outcome, lambda found, out: outcome_parts(out, found))
parts.register(Result, lambda found, out: result_parts(out, found))
parts.register(Why, lambda found, out: why_parts(found))


class View:
    """The parts of a result: lines of a terminal, HTML of a notebook, or plain text."""

    def __init__(self, found: Shown) -> None:
        self.found = found

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterable[Segment]:
        out = paper(io.StringIO(), options.max_width, terminal=console.is_terminal)
        for part in parts(self.found, out):
            yield from out.render(part, options)

    def _repr_html_(self) -> str:
        return as_html(parts(self.found, paper(io.StringIO(), PAGE, terminal=True)))

    def __str__(self) -> str:
        text = io.StringIO()
        out = paper(text, terminal=False)  # plain in Jupyter, too, which asks for colours
        print_parts(out, parts(self.found, out))
        return text.getvalue().rstrip("\n")


view.register(Shown, View)


def as_html(those: Iterable[RenderableType]) -> str:
    """Return texts and tables of Rich's as HTML, which needs no style of a page's."""
    return "".join(map(_block, those))


def _block(part: RenderableType) -> str:
    if isinstance(part, Group):
        return as_html(part.renderables)
    if isinstance(part, Table):
        return _table(part)
    text = _inline(part)
    return f'<p style="margin: 0.4em 0">{text}</p>' if text else ""


def _table(table: Table) -> str:
    headers = [_cell("th", each.header, each.justify) for each in table.columns]
    rows = [headers] if table.show_header else []
    columns = [
        [_cell("th" if each.style == "bold" else "td", cell, each.justify) for cell in each.cells]
        for each in table.columns
    ]
    rows += [[*cells] for cells in zip(*columns, strict=True)]
    lines = "".join(f"<tr>{''.join(cells)}</tr>" for cells in rows)
    return f'<div style="overflow-x: auto"><table>{lines}</table></div>'


def _cell(tag: str, content: RenderableType, justify: str) -> str:
    align = "right" if justify == "right" else "left"
    return f'<{tag} style="text-align: {align}; white-space: nowrap">{_inline(content)}</{tag}>'


def _inline(part: RenderableType) -> str:
    text = part if isinstance(part, Text) else Text(str(part))
    shown = html.escape(visible(text.plain))
    tag = {"bold": "b", "dim": "small"}.get(str(text.style))
    return f"<{tag}>{shown}</{tag}>" if tag and shown else shown
