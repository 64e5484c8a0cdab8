"""`Output`: a file that a command was asked to write, put in place whole or not at all."""

import csv
import io
import os
import stat
import uuid
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nasopt.errors import StorageError
from nasopt.text import visible

BEGINNING = 10_000  # bytes in which the sign of a kind stands


@dataclass(frozen=True)
class Output:
    """The file `path`, named by `option`; a file with `sign` in its beginning is a `kind` of ours.

    Nothing else is replaced: a slip of the hand must not cost a database. Devices and pipes are
    written to as they are.
    """

    path: Path
    option: str
    kind: str
    sign: bytes
    remedy: str = "choose another file"

    def check(self) -> None:
        """Raise StorageError if `write` would fail, before hours are spent."""
        folder = self.path.absolute().parent
        if not folder.is_dir():
            self._refuse("no such folder; make it, or choose another file")
        if self.path.is_dir():
            self._refuse("a folder; name a file in it")
        place = self._target.parent if self._is_file else self.path
        if not os.access(place, os.W_OK):
            self._refuse(f"may not be written; {self.remedy}")
        self._refuse_other_kinds()

    def write(self, content: bytes) -> None:
        """Write all of it or, on an error, nothing.

        Raises StorageError if it cannot be written.
        """
        try:
            if self._is_file:
                self._refuse_other_kinds()
                _replace(self._target, content)
            else:
                with self.path.open("ab") as device:  # of `>> file`, what was there stays
                    device.write(content)
        except BrokenPipeError:
            raise
        except OSError as error:
            self._refuse(f"cannot be written ({error.strerror}); {self.remedy}", error)

    def write_table(self, names: Sequence[str], rows: Iterable[Mapping[str, Any]]) -> None:
        """Write a line a row, under a line of the names; a None is an empty cell."""
        text = io.StringIO(newline="")
        writer = csv.writer(text)
        writer.writerow(map(in_a_cell, names))
        writer.writerows([in_a_cell(row[name]) for name in names] for row in rows)
        self.write(text.getvalue().encode(errors="replace"))

    @property
    def _target(self) -> Path:
        """The file that a link leads to: the link stays."""
        return self.path.resolve()

    @property
    def _is_file(self) -> bool:
        if self.path.absolute().is_relative_to("/dev"):  # /dev/stdout may lead to a file
            return False
        return self.path.is_file() or not self.path.exists()

    def _refuse_other_kinds(self) -> None:
        if not self.path.is_file() or not self.path.stat().st_size:
            return
        with self.path.open("rb") as file:
            beginning = file.read(BEGINNING)
        if self.sign not in beginning:
            self._refuse(f"there is such a file, and it is no {self.kind}; {self.remedy}")

    def _refuse(self, reason: str, error: OSError | None = None) -> None:
        raise StorageError(f"{self.option}={self.path}: {reason}") from error


def _replace(path: Path, content: bytes) -> None:
    """Write aside, then rename: a kill or a full disk leaves what was there before."""
    draft = path.with_name(f".{uuid.uuid4().hex}.new")  # its name is not longer than may be
    try:
        with draft.open("xb") as file:
            if path.exists():
                os.chmod(file.fileno(), stat.S_IMODE(path.stat().st_mode))
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        draft.replace(path)
    finally:
        with suppress(OSError):
            draft.unlink()


def in_a_cell(value: Any) -> Any:
    """Return a value as a spreadsheet shows it.

    A text like a formula begins with an ', then; control characters are spelled out.
    """
    if not isinstance(value, str):
        return value
    formula = value.startswith(("=", "+", "-", "@", "\t", "\r", "\n"))
    return f"'{visible(value)}" if formula else visible(value)
