"""`nasopt predict`: the answers of a model on the screen, as JSON and as CSV."""

import argparse
import csv
import logging
import sys
from collections.abc import Iterator, Sequence

from rich.console import Console
from rich.table import Table

from nasopt.errors import DataError, ModelError
from nasopt.models.loading import load
from nasopt.models.model import Classification
from nasopt.models.predicting import Picture, Predictions, named
from nasopt.reporting.terminal import display
from nasopt.reporting.terminal.finals import score_parts
from nasopt.text import several

logger = logging.getLogger("nasopt")

Answers = Iterator[tuple[Picture, Classification]]


def predict(args: argparse.Namespace) -> None:
    """Print what the model says; raise DataError at the end if a file was no picture."""
    if args.json and args.csv:
        raise ModelError("--csv: --json is asked for as well; leave one of them out")
    if args.top < 1:
        raise ModelError(f"--top={args.top}: use a whole number from 1")
    model = load(args.folder, args.device)
    pictures = named(_given(args.pictures), model.classes)
    predictions = Predictions(model, pictures)
    if args.json:
        _print_json(predictions, args.top)
    elif args.csv:
        _print_csv(predictions, args.top)
    else:
        _print_table(display.console(), predictions, args.top)
    _tell_unreadable(predictions)


def _given(names: Sequence[str]) -> Iterator[str]:
    """Yield the names, and in the place of - those of standard input, a line each."""
    for name in names:
        if name == "-":
            yield from _listed()
        elif name:
            yield name
        else:
            raise DataError("PICTURE='': an empty name; name pictures, or . for the working folder")


def _listed() -> list[str]:
    """Return the names on standard input; raise DataError if there are none."""
    found = [name for line in sys.stdin if (name := line.rstrip("\r\n"))]
    if not found:
        raise DataError("-: no name on standard input; give one a line")
    return found


def _print_json(predictions: Predictions, top: int) -> None:
    answers = []
    for picture, prediction in predictions:
        label = {} if picture.label is None else {"label": picture.label}
        answers.append({**prediction.to_json(top), **label})
    scores = predictions.scores
    display.print_json(
        {
            "predictions": answers,
            "scores": None if scores is None else scores.to_json(),
            "trained_on": predictions.known,
            "unreadable": predictions.unreadable,
        }
    )


def _print_csv(predictions: Predictions, top: int) -> None:
    """Print a row for each picture and class, as they come: there may be more than memory holds."""
    writer = csv.writer(sys.stdout, lineterminator="\n")
    writer.writerow(("picture", "rank", "class", "probability", "label"))
    for picture, prediction in predictions:
        for rank, (name, share) in enumerate(prediction.ranked[:top], 1):
            writer.writerow((prediction.picture, rank, name, f"{share:.6g}", picture.label or ""))


def _print_table(out: Console, predictions: Predictions, top: int) -> None:
    """Print a row for each picture; of those that are sorted already the scores, not each one."""
    table = Table(box=None, padding=(0, 2, 0, 0), show_header=False, pad_edge=False)
    for _ in range(1 + min(top, len(predictions.model.classes))):
        table.add_column(overflow="fold")  # a path is never cut
    for picture, prediction in predictions:
        if picture.label is None:
            cells = (f"{name} {share:.1%}" for name, share in prediction.ranked[:top])
            table.add_row(prediction.picture, *cells)
    if table.row_count:
        display.print_rows(out, table)
    if predictions.scores is not None:
        out.print(f"{several(predictions.scores.images, 'picture')} in folders of their classes")
        training = predictions.model.training
        metric = "accuracy" if training is None else training.metric
        parts = score_parts(out, predictions.scores, predictions.model.classes, metric)
        display.print_parts(out, parts)


def _tell_unreadable(predictions: Predictions) -> None:
    """Raise DataError for the files that are no pictures, all but the last told as lines."""
    errors = list(predictions.unreadable.values())
    if len(errors) == 1:
        raise DataError(errors[0])
    for error in errors:
        logger.warning("%s", error)
    if errors:
        count = several(len(predictions.pictures), "file")
        raise DataError(f"{len(errors):,} of {count} are no pictures; the others are predicted")
