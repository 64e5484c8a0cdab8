"""What the cells of a table mean: numbers, words, and which of them are the same choice."""

import math
import re
from typing import Any

EXACT = 2**53 - 1  # up to here each whole number is a float of its own
# what a number looks like: float() takes 1_2 as well, which rather is a word
NUMBER = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?")
CODE = re.compile(r"[+-]?0[0-9]")  # begins a word whose zeros count, as an architecture's 0010
NO_WORD = re.compile(r"|[+-]?(nan|inf|infinity)|.*[\ud800-\udfff].*", re.IGNORECASE | re.DOTALL)


def as_number(cell: Any) -> float | None:
    """The finite number that `cell` is or spells, if any."""
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
    """Words that all spell numbers, as a CSV file has them, as these numbers.

    Whole numbers that a float cannot hold, or that begin with a zero, are names of architectures,
    and words.
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
    """What other values may be equal to, `words` telling that the whole column is of words."""
    if isinstance(value, str) and value.lower() in ("true", "false"):
        return value.lower() == "true"
    number = as_number(value) if isinstance(value, str) and not words else None
    return value if number is None else number


def spelling(cell: Any) -> Any:
    """`cell` so that it differs from what is equal to it and looks otherwise: 1, "1" and True."""
    return cell if type(cell) in (int, float) else repr(cell)
