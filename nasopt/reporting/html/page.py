"""One HTML file with all that a page shows: template, style, script and Plotly in it."""

from importlib.resources import files
from pathlib import Path

import jinja2
import plotly.offline
from markupsafe import Markup

from nasopt.analysis.outputs import Output
from nasopt.analysis.rescoring import rescored
from nasopt.analysis.selection import studies_together
from nasopt.reporting.html.contents import Contents
from nasopt.storage.rdb import Storage
from nasopt.text import duration

SIGN = b": a search for networks</title>"  # of a page, near its beginning


def write_report(
    storage: Storage, path: str | Path, study: str | None = None, metric: str | None = None
) -> int:
    """Write the results of the studies of an experiment as one HTML page, which needs no network.

    It shows the experiment of the study that was begun last, or `study` alone, scored by
    `metric` (default: that of the search). Returns the bytes written.

    Raises StudyError for an unknown study or none; StorageError if `path` cannot be written, or is
    a file that is no page.
    """
    output = Output(Path(path), "output", "page", SIGN, "choose another file with -o")
    studies, others = studies_together(storage, study)
    scored = [rescored(each, storage, metric) for each in studies]
    page = render(Contents(scored, others, storage)).encode(errors="replace")
    output.write(page)
    return len(page)


def render(contents: Contents) -> str:
    """Return the HTML. All values from the database are escaped."""
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("nasopt.reporting.html", ""),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    environment.filters |= {"duration": duration}
    own = files("nasopt.reporting.html")
    return environment.get_template("page.html.jinja").render(
        page=contents,
        style=Markup(own.joinpath("page.css").read_text("utf-8")),
        script=Markup(own.joinpath("page.js").read_text("utf-8")),
        plotly=Markup(plotly.offline.get_plotlyjs()),
    )
