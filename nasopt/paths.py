"""Relative paths in a study file, which mean the same wherever nasopt is started from."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path

_STUDY_FOLDER: ContextVar[Path | None] = ContextVar("study folder", default=None)


@contextmanager
def relative_to(folder: Path) -> Iterator[None]:
    """While a study file in `folder` is run, `located` looks there as well."""
    token = _STUDY_FOLDER.set(folder)
    try:
        yield
    finally:
        _STUDY_FOLDER.reset(token)


def candidates(path: Path) -> list[Path]:
    """Where `path` is looked up: from the study file's folder, then from the working one."""
    folder = _STUDY_FOLDER.get()
    return [path] if folder is None else [folder / path, path]


def located(path: str | Path) -> Path:
    """The first of the candidates that is there, or `path` itself."""
    path = Path(path)
    return next((each for each in candidates(path) if each.exists()), path)
