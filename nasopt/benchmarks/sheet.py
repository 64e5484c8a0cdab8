"""A user's file as rows and columns; errors name the place of a mistake."""

import csv
import io
import json
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nasopt.benchmarks.cells import EXACT, as_number, is_choice, meaning, spelling, typed
from nasopt.data.paths import looked_in
from nasopt.errors import BenchmarkError, closest
from nasopt.text import installing


@dataclass(frozen=True)
class Sheet:
    """The columns of a table by name; `numbers` are the rows of their values, from 1."""

    path: Path
    columns: dict[str, list[Any]]
    numbers: Sequence[int]

    def error(self, row: int, column: str, problem: str) -> BenchmarkError:
        """Return the error for the value at position `row` of `column`."""
        return BenchmarkError(f"{self.path}: row {self.numbers[row]}, column {column}: {problem}")

    def floats(self, column: str, least: float = -math.inf, *, whole: bool = False) -> NDArray[Any]:
        """Return a column of finite numbers.

        Raises BenchmarkError if a value is no such number, or below `least`.
        """
        return np.array(list(self._numbers(column, least, whole)))

    def _numbers(self, column: str, least: float, whole: bool) -> Iterator[float]:
        kind = "whole number" if whole else "number"
        for row, value in enumerate(self.columns[column]):
            number = as_number(value)
            if number is None or (whole and (number % 1 or abs(number) > EXACT)):
                comma = "," in str(value) and as_number(str(value).replace(",", ".")) is not None
                remedy = "write a point for the comma" if comma else "give one, or drop the row"
                raise self.error(row, column, f"{value!r} is no {kind}; {remedy}")
            if number < least:
                raise self.error(row, column, f"{value!r}: give {least:g} or more")
            yield number

    def choices(self, column: str) -> tuple[list[Any], NDArray[np.int64]]:
        """Return the different values of a column in order, and the index of that of each row.

        Raises BenchmarkError for a cell that is no choice, and for one choice in two spellings:
        only the user can tell whether they are one or two.
        """
        cells = self.columns[column]
        for row, cell in enumerate(cells):
            if not is_choice(cell):
                raise self.error(row, column, f"{cell!r} is no choice; give a number or a word")
        values = typed(cells)
        self._demand_one_spelling(column, values)
        try:
            choices = sorted(set(values))
        except TypeError:  # numbers and words
            choices = sorted(set(values), key=str)
        places = {choice: place for place, choice in enumerate(choices)}
        return choices, np.array([places[value] for value in values])

    def _demand_one_spelling(self, column: str, values: list[Any]) -> None:
        cells = self.columns[column]
        words = all(isinstance(value, str) for value in values)
        first: dict[Any, int] = {}
        for row, value in enumerate(values):
            before = first.setdefault(meaning(value, words), row)
            if spelling(cells[before]) != spelling(cells[row]):
                other = f"{cells[before]!r} in row {self.numbers[before]}"
                raise self.error(
                    row, column, f"{cells[row]!r} is {other}, spelled otherwise; write both alike"
                )


def read_sheet(path: Path) -> Sheet:
    """Return the table in a CSV, JSON or Parquet file.

    CSV has the names of the columns in its first row; JSON is a list of objects. Raises
    BenchmarkError if the file is missing, unreadable, damaged, empty or of another kind, or has
    rows of unequal length.
    """
    kind = path.suffix.lower()
    if kind not in READERS:
        raise BenchmarkError(f"{path}: no kind of table; {closest(kind, READERS)}")
    sheet = READERS[kind](path)
    if not sheet.numbers:
        raise BenchmarkError(f"{path}: no rows; write a row for each training")
    return sheet


def read_bytes(path: Path) -> bytes:
    try:
        content = path.read_bytes()
    except OSError as error:
        raise BenchmarkError(
            f"{path}: cannot be read ({error.strerror}{looked_in(path)}); give the path of a table"
        ) from error
    if not content.strip():
        raise BenchmarkError(f"{path}: empty; give the path of a table")
    return content


def read_json(path: Path) -> Any:
    try:
        return json.loads(read_bytes(path), object_pairs_hook=lambda each: _object(path, each))
    except json.JSONDecodeError as error:
        raise BenchmarkError(
            f"{path}: row {error.lineno}, column {error.colno}: no JSON ({error.msg}); fix it"
        ) from error
    except UnicodeDecodeError as error:
        raise _encoding(path, error) from error
    except (ValueError, RecursionError) as error:  # a number of thousands of digits, or brackets
        raise BenchmarkError(f"{path}: no table ({error}); give a list of rows") from error


def _object(path: Path, pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    names = dict(pairs)
    if len(names) < len(pairs):
        twice = next(name for n, (name, _) in enumerate(pairs) if name in dict(pairs[:n]))
        raise BenchmarkError(f"{path}: an object has {twice!r} twice; leave one out")
    return names


def _csv(path: Path) -> Sheet:
    try:
        text = read_bytes(path).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise _encoding(path, error) from error
    _demand_commas(path, text)
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    rows, numbers = [], []
    try:
        header = [name.strip() for name in next(reader)]
        for row in reader:
            if row:  # else a blank line
                rows.append([cell.strip() for cell in row])
                numbers.append(reader.line_num)
    except csv.Error as error:
        raise BenchmarkError(f"{path}: row {reader.line_num}: {error}; fix it") from error
    for name in header:
        if not name or header.count(name) > 1:
            place = header.index(name) + 1
            what = "stands there twice" if name else "has no name"
            raise BenchmarkError(f"{path}: row 1, column {place}: {name!r} {what}; name it")
    for row, number in zip(rows, numbers, strict=True):
        if len(row) != len(header):
            raise BenchmarkError(
                f"{path}: row {number}: {len(row)} values, not {len(header)} as in row 1; fix it"
            )
    columns = zip(*rows, strict=True) if rows else [()] * len(header)
    return Sheet(path, {name: list(c) for name, c in zip(header, columns, strict=True)}, numbers)


def _demand_commas(path: Path, text: str) -> None:
    first = text.strip().splitlines()[0]
    other = next((each for each in (";", "\t", "|", " ") if each in first), None)
    if other and "," not in first:
        raise BenchmarkError(
            f"{path}: row 1: no comma, but {other!r}; separate columns by commas (and write "
            "numbers with a decimal point)"
        )


def _json(path: Path) -> Sheet:
    rows = read_json(path)
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise BenchmarkError(f"{path}: no list of objects; write [{{column: value, ...}}, ...]")
    names = list(rows[0]) if rows else []
    for number, row in enumerate(rows, 1):
        other = set(names) ^ set(row)
        if other:
            name = min(other)
            what = "missing" if name in names else "not in row 1"
            raise BenchmarkError(f"{path}: row {number}, column {name}: {what}; fix it")
    columns = {name: [row[name] for row in rows] for name in names}
    return Sheet(path, columns, range(1, len(rows) + 1))


def _parquet(path: Path) -> Sheet:
    content = read_bytes(path)
    try:
        import pyarrow as pa
        from pyarrow import parquet
    except ModuleNotFoundError as error:
        if error.name != "pyarrow":
            raise
        raise BenchmarkError(f"pyarrow is not installed; run: {installing('bench')}") from error
    try:
        # in no thread of pyarrow's: one that still reads a damaged file aborts Python's exit
        table = parquet.read_table(pa.BufferReader(content), use_threads=False, pre_buffer=False)
        cells = [column.to_pylist() for column in table.columns]
    except (pa.ArrowException, OSError) as error:
        raise BenchmarkError(f"{path}: no Parquet, or damaged; write it again") from error
    names = table.column_names
    for name in names:
        if names.count(name) > 1:
            raise BenchmarkError(f"{path}: column {name!r} stands there twice; leave one out")
    columns = {name: list(map(_plain, column)) for name, column in zip(names, cells, strict=True)}
    return Sheet(path, columns, range(1, table.num_rows + 1))


def _plain(cell: Any) -> Any:
    """Return a decimal as a CSV file has it, with all its digits, and other cells as they are."""
    return format(cell, "f") if isinstance(cell, Decimal) else cell


READERS: dict[str, Callable[[Path], Sheet]] = {".csv": _csv, ".json": _json, ".parquet": _parquet}


def _encoding(path: Path, error: UnicodeDecodeError) -> BenchmarkError:
    row = error.object[: error.start].count(b"\n") + 1
    return BenchmarkError(f"{path}: row {row}: not UTF-8; save it in that encoding")
