"""`Shown`: a result that shows itself in a terminal, in a notebook and in print.

How it looks is told by `nasopt.reporting.views`, which is above the results and knows them.
"""

from functools import singledispatch
from typing import Any


@singledispatch
def view(found: object) -> Any:
    """Return `found` as Rich, Jupyter and `print` show it; its repr until there is a view."""
    return repr(found)


class Shown:
    """A result with a view."""

    def __rich__(self) -> Any:
        return view(self)

    def _repr_html_(self) -> str | None:
        found = view(self)
        return None if isinstance(found, str) else found._repr_html_()

    def __str__(self) -> str:
        return str(view(self))
