"""`Locks`: names of which one process at a time holds each, until it lets go or dies."""

import fcntl
import hashlib
import weakref
from pathlib import Path
from typing import TextIO


class Locks:
    """Names held by processes of this host, as locked bytes of the one file `path`.

    The kernel drops them with the process, however that ends. Threads of one process share what
    it holds. `path` is made when first needed.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file: TextIO | None = None

    def take(self, name: str) -> bool:
        """Hold `name` from here on, unless another process does: whether that worked."""
        try:
            fcntl.lockf(self._opened, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, _place(name))
        except BlockingIOError:
            return False
        return True

    def release(self, name: str) -> None:
        fcntl.lockf(self._opened, fcntl.LOCK_UN, 1, _place(name))

    @property
    def _opened(self) -> TextIO:
        if self._file is None:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._file = self.path.open("a")
            weakref.finalize(self, self._file.close)
        return self._file


def locks_of(path: Path) -> Locks:
    """The same object for the same file: to close a second one would drop what the first holds."""
    return _locks.setdefault(path.absolute(), Locks(path))


_locks: weakref.WeakValueDictionary[Path, Locks] = weakref.WeakValueDictionary()


def _place(name: str) -> int:
    """A byte of the file for `name`: of 2**56, so that two names do not meet."""
    return int.from_bytes(hashlib.blake2b(name.encode(), digest_size=7).digest())
