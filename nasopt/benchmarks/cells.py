"""The meaning of the cells of a table: numbers, words, and cells that are the same choice."""

import math
import re
from typing import Any

EXACT = 2**53 - 1  # up to here each whole number is a float of its own
# the spelling of a number: float() accepts 1_2 as well, which is rather a word
NUMBER = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?")
CODE = re.compile(r"[+-]?0[0-9]")  # begins a word whose zeros count, as an architecture's 0010
NO_WORD = re.compile(r"|[+-]?(nan|inf|infinity)|.*[\ud800-\udfff].*", re.IGNORECASE | re.DOTALL)


def as_number(cell: Any) -> float | None:
    """Return the finite number that `cell` is or spells, or None."""
    if isinstance(cell, bool) or not isinstance(cell, int | float | str):
        return None
    if isinstance(cell, str) and not NUMBER.fullmatch(cell):
        return None
    try:
        number = float(cell)
    except OverflowError:
        return None
    return number if math.isfinite(number) else None


def is_choice(cell: Any) -> bool:
    if isinstance(cell, str):
        return not NO_WORD.fullmatch(cell)
    return isinstance(cell, int) or as_number(cell) is not None


def typed(cells: list[Any]) -> list[Any]:
    """Return words that all spell numbers, as a CSV file has them, as these numbers.

    Whole numbers that a float cannot hold, or that begin with a zero, are names of architectures,
    and become or stay words.
    """
    if all(type(cell) is int for cell in cells):
        return cells if all(abs(cell) <= EXACT for cell in cells) else list(map(str, cells))
    if not all(isinstance(cell, str) for cell in cells) or any(map(CODE.match, cells)):
        return cells
    numbers = [number for cell in cells if (number := as_number(cell)) is not None]
    if len(numbers) < len(cells):
        return cells
    if any(number % 1 for number in numbers):
        return numbers
    return list(map(int, numbers)) if all(abs(each) <= EXACT for each in numbers) else cells


def meaning(value: Any, words: bool) -> Any:
    """Return the value that equal cells share; `words` tells that the column is all words."""
    if isinstance(value, str) and value.lower() in ("true", "false"):
        return value.lower() == "true"
    number = as_number(value) if isinstance(value, str) and not words else None
    return value if number is None else number


def spelling(cell: Any) -> Any:
    """Return `cell` in a form that differs for equal cells that look different: 1, "1", True."""
    return cell if type(cell) in (int, float) else repr(cell)
