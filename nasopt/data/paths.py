"""The relative paths of a study file: looked up in its own folder, then in the working one."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path

_STUDY_FOLDER: ContextVar[Path | None] = ContextVar("study folder", default=None)


@contextmanager
def relative_to(folder: Path) -> Iterator[None]:
    """Make `located` look in `folder` first, while a study file in it is run."""
    token = _STUDY_FOLDER.set(folder)
    try:
        yield
    finally:
        _STUDY_FOLDER.reset(token)


def located(path: str | Path) -> Path:
    """Return the first place where `path` exists, or `path` itself if it exists in none."""
    return next((each for each in _places(Path(path)) if each.exists()), Path(path))


def looked_in(path: str | Path) -> str:
    """Return where a relative path was looked up, as the end of the message "no such file".

    Return the empty string for an absolute path.
    """
    places = _places(Path(path))
    if places[-1].is_absolute():
        return ""
    folders = dict.fromkeys(str(each.absolute().parent) for each in places)
    return f" in {' or '.join(folders)}"


def _places(path: Path) -> list[Path]:
    folder = _STUDY_FOLDER.get()
    path = Path(os.path.expanduser(path))
    return [path] if folder is None else [folder / path, path]
