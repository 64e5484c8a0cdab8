"""`Locks`: names of which one process at a time holds each, until it lets go or dies."""

import fcntl
import hashlib
import weakref
from pathlib import Path
from typing import TextIO

from nasopt.errors import StorageError


class Locks:
    """Names held by processes of this host, as locked bytes of the one file `path`.

    The kernel drops them with the process, however that ends. Threads of one process share what
    it holds. `path` is made when first needed; StorageError where that cannot be.
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
            try:
                self.path.parent.mkdir(parents=True, exist_ok=True)
                self._file = self.path.open("a")
            except OSError as error:
                raise unwritable(self.path, error) from error
            weakref.finalize(self, self._file.close)
        return self._file


def unwritable(path: Path, error: OSError) -> StorageError:
    return StorageError(
        f"leases={path}: cannot be written ({error.strerror}); workers tell each other there what "
        "they have in hand: mend its folder, or choose another --storage"
    )


def locks_of(path: Path) -> Locks:
    """The same object for the same file: to close a second one would drop what the first holds."""
    return _locks.setdefault(path.absolute(), Locks(path))


_locks: weakref.WeakValueDictionary[Path, Locks] = weakref.WeakValueDictionary()


def _place(name: str) -> int:
    """A byte of the file for `name`: of 2**56, so that two names do not meet."""
    return int.from_bytes(hashlib.blake2b(name.encode(), digest_size=7).digest())
