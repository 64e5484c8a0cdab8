"""Progress in a notebook: one output that is updated in place, in JupyterLab as in VS Code."""

import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from html import escape
from typing import Any, NamedTuple

Rows = Sequence[Sequence[str]]  # of cells, below the bar

SECONDS = 0.2  # between two updates, at least: each is a message to the page


class Bar(NamedTuple):
    """A state of the progress, as HTML and, where a page shows none, as text."""

    done: float
    total: float
    text: str
    rows: Rows = ()

    def _repr_html_(self) -> str:
        share = f'value="{self.done}" max="{max(self.total, 1)}"'
        words = f"{self.done:.0f}/{self.total:.0f} &nbsp; {escape(self.text)}"
        bar = f'<progress {share} style="width: 12em"></progress> &nbsp; {words}'
        lines = (escape("  ".join(row)).replace("  ", " &nbsp; ") for row in self.rows)
        return "<br>".join((bar, *lines))

    def __repr__(self) -> str:
        bar = f"{self.done:.0f}/{self.total:.0f} {self.text}"
        return "\n".join((bar, *map("  ".join, self.rows)))


def in_notebook() -> bool:
    """Return True in a kernel of Jupyter's, with a page in front of it."""
    ipython = sys.modules.get("IPython")
    return ipython is not None and getattr(ipython.get_ipython(), "kernel", None) is not None


@contextmanager
def cell() -> Iterator[Callable[..., None]]:
    """Yield show(done, total, text, rows), which redraws one output; the last one stays."""
    from IPython.display import display

    publish: Callable[..., Any] = display  # which has no types
    handle, shown, latest = None, 0.0, None

    def update() -> None:
        nonlocal handle, shown
        if handle is None:
            handle = publish(latest, display_id=True)
        else:
            handle.update(latest)
        shown = time.monotonic()

    def show(done: float, total: float, text: str, rows: Rows = ()) -> None:
        nonlocal latest
        latest = Bar(done, total, text, rows)
        if time.monotonic() - shown > SECONDS:
            update()

    try:
        yield show
    finally:
        if latest is not None:
            update()
