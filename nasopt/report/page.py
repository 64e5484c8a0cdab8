"""One HTML file of all that a page shows: template, style, script and Plotly in it."""

from importlib.resources import files
from pathlib import Path

import jinja2
import plotly.offline
from markupsafe import Markup

from nasopt.analysis.selection import studies_together
from nasopt.claims import Storage
from nasopt.errors import StorageError
from nasopt.report.contents import Contents
from nasopt.wording import duration, percent

DOCTYPE = b"<!doctype html>"


def write_report(storage: Storage, path: str | Path, study: str | None = None) -> int:
    """Write what the studies of an experiment came to as one HTML page, which needs no network.

    It tells of the experiment of the study that was begun last, or of `study` alone. Gives the
    bytes written. Raises StudyError for an unknown study or none; StorageError where `path` cannot
    be written, or is a file that is no page.
    """
    path = Path(path)
    _refuse_to_overwrite(path)
    page = render(Contents(*studies_together(storage, study), storage)).encode()
    try:
        path.write_bytes(page)
    except OSError as error:
        raise StorageError(
            f"output={path}: cannot be written ({error.strerror}); choose another file with -o"
        ) from error
    return len(page)


def _refuse_to_overwrite(path: Path) -> None:
    """A slip of the hand must not cost a database."""
    if not path.is_file() or not path.stat().st_size:
        return
    with path.open("rb") as file:
        begins = file.read(len(DOCTYPE)).lower()
    if begins != DOCTYPE:
        raise StorageError(
            f"output={path}: there is such a file, and it is no page; choose another with -o"
        )


def render(contents: Contents) -> str:
    """The HTML. Whatever comes from the database is escaped."""
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("nasopt.report", ""),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    environment.filters |= {"percent": percent, "duration": duration}
    own = files("nasopt.report")
    return environment.get_template("page.html.jinja").render(
        page=contents,
        style=Markup(own.joinpath("page.css").read_text("utf-8")),
        script=Markup(own.joinpath("page.js").read_text("utf-8")),
        plotly=Markup(plotly.offline.get_plotlyjs()),
    )
