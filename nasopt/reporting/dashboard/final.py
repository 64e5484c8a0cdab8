"""The final model of an experiment, as optuna-dashboard shows it: a note, and files."""

import csv
import io
from collections.abc import Iterable, Iterator, Mapping, Sequence

from nasopt.reporting.figures.svg import network_svg
from nasopt.reporting.html.final_model import FinalModel
from nasopt.reporting.notes import escaped, table
from nasopt.space.layers import Shape

MOST_CLASSES = 20  # whose confusions are a table of the note; the plot and the file have all


def final_note(model: FinalModel) -> str:
    """Return the section of a study's note, in Markdown."""
    test = model.test
    parts = [
        "### The final model",
        escaped(model.told),
        table(model.headers, ([*map(escaped, row)] for row in model.rows)),
        f"**{escaped(test.verdict)}**",
        "\n".join(f"- {escaped(each)}" for each in (*model.about_references, *test.left_out)),
    ]
    if len(test.classes) <= MOST_CLASSES:
        rows = (tuple(map(escaped, row)) for row in _confusion(model))
        header, *others = rows
        parts.append(table(header, others))
    return "\n\n".join(filter(None, parts))


def final_files(model: FinalModel, input_shape: Shape) -> Mapping[str, bytes]:
    """Return the winner drawn, the table of networks and the confusion matrix, by file name."""
    architecture = model.test.winner.contender.architecture
    return {
        "final-model.svg": network_svg(architecture, input_shape).encode(),
        "final-model.csv": _csv([model.headers, *model.rows]),
        "final-model-confusion.csv": _csv(_confusion(model)),
    }


def _confusion(model: FinalModel) -> Iterator[Sequence[str]]:
    """Yield a header, and a row for each true class."""
    yield from model.confusion.table


def _csv(rows: Iterable[Sequence[str]]) -> bytes:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(rows)
    return text.getvalue().encode()
