"""A user's file as rows and columns, each mistake named by its place."""

import csv
import json
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nasopt.errors import BenchmarkError, closest
from nasopt.paths import looked_in


@dataclass(frozen=True)
class Sheet:
    """Columns by name. `numbers` says where each of their values stands: the row, from 1."""

    path: Path
    columns: dict[str, list[Any]]
    numbers: Sequence[int]

    def error(self, row: int, column: str, problem: str) -> BenchmarkError:
        """Of the value at position `row`."""
        return BenchmarkError(f"{self.path}: row {self.numbers[row]}, column {column}: {problem}")

    def floats(self, column: str, least: float = -math.inf, *, whole: bool = False) -> NDArray[Any]:
        """A column of finite numbers. Raises BenchmarkError where one is none, or below `least`."""
        return np.array(list(self._numbers(column, least, whole)))

    def _numbers(self, column: str, least: float, whole: bool) -> Iterator[float]:
        kind = "whole number" if whole else "number"
        for row, value in enumerate(self.columns[column]):
            number = _number(value)
            if number is None or (whole and (number % 1 or abs(number) > 2**53)):
                raise self.error(row, column, f"{value!r} is no {kind}; give one, or drop the row")
            if number < least:
                raise self.error(row, column, f"{value!r}: give {least:g} or more")
            yield number

    def choices(self, column: str) -> tuple[list[Any], NDArray[np.int64]]:
        """The different values of a column in order, and which of them each row has."""
        values = self.columns[column]
        for row, value in enumerate(values):
            if value == "" or (not isinstance(value, bool | str) and _number(value) is None):
                raise self.error(row, column, f"{value!r} is no choice; give a number or a word")
        values = _typed(values)
        try:
            choices = sorted(set(values))
        except TypeError:  # numbers and words
            choices = sorted(set(values), key=str)
        places = {choice: place for place, choice in enumerate(choices)}
        return choices, np.array([places[value] for value in values])


def read_sheet(path: Path) -> Sheet:
    """The table in a CSV, JSON or Parquet file.

    CSV has the names of the columns in its first row; JSON is a list of objects. Raises
    BenchmarkError: missing, unreadable, damaged, empty, of another kind, rows of unequal length.
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
        return json.loads(read_bytes(path))
    except json.JSONDecodeError as error:
        raise BenchmarkError(
            f"{path}: row {error.lineno}, column {error.colno}: no JSON ({error.msg}); mend it"
        ) from error
    except UnicodeDecodeError as error:
        raise _encoding(path, error) from error
    except (ValueError, RecursionError) as error:  # a number of thousands of digits, or brackets
        raise BenchmarkError(f"{path}: no table ({error}); give a list of rows") from error


def _csv(path: Path) -> Sheet:
    try:
        text = read_bytes(path).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise _encoding(path, error) from error
    reader = csv.reader(text.splitlines(keepends=True), strict=True)
    rows, numbers = [], []
    try:
        header = [name.strip() for name in next(reader)]
        for row in reader:
            if row:  # else a blank line
                rows.append([cell.strip() for cell in row])
                numbers.append(reader.line_num)
    except csv.Error as error:
        raise BenchmarkError(f"{path}: row {reader.line_num}: {error}; mend it") from error
    for name in header:
        if not name or header.count(name) > 1:
            place = header.index(name) + 1
            what = "stands there twice" if name else "has no name"
            raise BenchmarkError(f"{path}: row 1, column {place}: {name!r} {what}; name it")
    for row, number in zip(rows, numbers, strict=True):
        if len(row) != len(header):
            raise BenchmarkError(
                f"{path}: row {number}: {len(row)} values, not {len(header)} as in row 1; mend it"
            )
    columns = zip(*rows, strict=True) if rows else [()] * len(header)
    return Sheet(path, {name: list(c) for name, c in zip(header, columns, strict=True)}, numbers)


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
            raise BenchmarkError(f"{path}: row {number}, column {name}: {what}; mend it")
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
        raise BenchmarkError(
            "pyarrow is not installed; run: pip install 'nasopt[bench]'"
        ) from error
    try:
        columns = parquet.read_table(pa.BufferReader(content)).to_pydict()
    except pa.ArrowException as error:
        raise BenchmarkError(f"{path}: no Parquet, or damaged; write it again") from error
    rows = len(next(iter(columns.values()), []))
    return Sheet(path, columns, range(1, rows + 1))


READERS: dict[str, Callable[[Path], Sheet]] = {".csv": _csv, ".json": _json, ".parquet": _parquet}


def _encoding(path: Path, error: UnicodeDecodeError) -> BenchmarkError:
    row = error.object[: error.start].count(b"\n") + 1
    return BenchmarkError(f"{path}: row {row}: not UTF-8; save it in that encoding")


def _number(value: Any) -> float | None:
    """`value` as a finite number, if it is one or spells one."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        number = float(value)
    except (ValueError, OverflowError):
        return None
    return number if math.isfinite(number) else None


def _typed(values: list[Any]) -> list[Any]:
    """Words that all spell numbers, as a CSV file has them, as these numbers."""
    if not all(isinstance(value, str) for value in values):
        return values
    numbers = [number for value in values if (number := _number(value)) is not None]
    if len(numbers) < len(values):
        return values
    whole = all(number % 1 == 0 for number in numbers)
    return [int(number) for number in numbers] if whole else numbers
