"""Progress in a notebook: one output that is updated in place, in JupyterLab as in VS Code."""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from html import escape
from typing import Any, NamedTuple

SECONDS = 0.2  # between two updates, at least: each is a message to the page


class Bar(NamedTuple):
    """A state of the progress, as HTML and, where a page shows none, as text."""

    done: float
    total: float
    text: str

    def _repr_html_(self) -> str:
        share = f'value="{self.done}" max="{max(self.total, 1)}"'
        words = f"{self.done:.0f}/{self.total:.0f} &nbsp; {escape(self.text)}"
        return f'<progress {share} style="width: 12em"></progress> &nbsp; {words}'

    def __repr__(self) -> str:
        return f"{self.done:.0f}/{self.total:.0f} {self.text}"


def in_notebook() -> bool:
    """Return True in a kernel of Jupyter's, with a page in front of it."""
    ipython = sys.modules.get("IPython")
    return ipython is not None and getattr(ipython.get_ipython(), "kernel", None) is not None


@contextmanager
def cell() -> Iterator[Callable[[float, float, str], None]]:
    """Yield show(done, total, text), which redraws one output of the cell; the last one stays."""
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

    def show(done: float, total: float, text: str) -> None:
        nonlocal latest
        latest = Bar(done, total, text)
        if time.monotonic() - shown > SECONDS:
            update()

    try:
        yield show
    finally:
        if latest is not None:
            update()
