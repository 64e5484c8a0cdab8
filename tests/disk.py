"""What a power cut may leave of a disk: all that was synced, and any part of the rest."""

import random
import struct
from pathlib import Path


def synced(folder: Path) -> int:
    """How many bytes of the -wal are on the disk for certain: those that the database has taken.

    SQLite syncs them before it writes to the database; the -shm tells how many frames they are, and
    the -wal how long a page is.
    """
    shm, wal = folder / "x.db-shm", folder / "x.db-wal"
    if not shm.exists() or not wal.exists() or wal.stat().st_size < 32:
        return 0
    (frames,) = struct.unpack_from("=I", shm.read_bytes(), 128)  # nBackfillAttempted
    (page,) = struct.unpack_from(">I", wal.read_bytes(), 8)
    return 32 + frames * (24 + page) if frames else 0


def cut_off(folder: Path, chance: random.Random) -> tuple[bool, int]:
    """Make of a copied disk what a power cut leaves: (whether a -wal lost something, files)."""
    lost = False
    least, wal = synced(folder), folder / "x.db-wal"
    if wal.exists() and wal.stat().st_size > least:
        at = chance.randrange(least, wal.stat().st_size)
        with wal.open("r+b") as file:
            if chance.random() < 0.5:
                file.truncate(at)
            else:  # what came later was written, this was not
                file.seek(at)
                file.write(bytes(min(512, wal.stat().st_size - at)))
        lost = True
    (folder / "x.db-shm").unlink(missing_ok=True)
    harmed = 0
    for path in [*folder.glob("x.db.checkpoints/*"), *folder.glob(".x.db.nasopt-draft*")]:
        left = chance.choice([None, 0, chance.randrange(path.stat().st_size + 1), -1, -1])
        if left is None:
            path.unlink()
        elif left >= 0:
            with path.open("r+b") as file:
                file.truncate(left)
        harmed += left != -1
    return lost, harmed
