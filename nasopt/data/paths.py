"""Relative paths in a study file: from its own folder first, then from the working one."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path

_STUDY_FOLDER: ContextVar[Path | None] = ContextVar("study folder", default=None)


@contextmanager
def relative_to(folder: Path) -> Iterator[None]:
    """While a study file in `folder` is run, `located` looks there first."""
    token = _STUDY_FOLDER.set(folder)
    try:
        yield
    finally:
        _STUDY_FOLDER.reset(token)


def located(path: str | Path) -> Path:
    """The first place where `path` is, or `path` itself where it is in none."""
    return next((each for each in _places(Path(path)) if each.exists()), Path(path))


def looked_in(path: str | Path) -> str:
    """Where a relative path was looked up, as the end of "no such file"; nothing for another."""
    if Path(path).is_absolute():
        return ""
    folders = dict.fromkeys(str(each.absolute().parent) for each in _places(Path(path)))
    return f" in {' or '.join(folders)}"


def _places(path: Path) -> list[Path]:
    folder = _STUDY_FOLDER.get()
    return [path] if folder is None else [folder / path, path]
