"""The local disk when it is full: told once, in our words, and early enough that sending still works."""

from __future__ import annotations

import errno
import os
import sqlite3
from typing import Final

from jupyter_alc.core.errors import AlcError, NoSpace

ROWS_ROOM: Final = 1024 * 1024  # bytes of the disk for the queue's own rows


class full_disk_told:  # noqa: N801  (reads as words in a with statement)
    """Translate what the local disk says once."""

    def __enter__(self) -> None: ...

    def __exit__(self, _kind: object, error: BaseException | None, _trace: object) -> None:
        """A full disk, told by the system or by SQLite, is `NoSpace`."""
        sqlite_full = isinstance(error, sqlite3.OperationalError) and "full" in str(error)
        if sqlite_full or (isinstance(error, OSError) and not isinstance(error, AlcError)):
            raise NoSpace(
                "The disk that holds unsent results does not take more.", next_step="Make room, or wait for the upload."
            ) from error


def leave_room(descriptor: int, wanted: int) -> None:
    """Raise ENOSPC where `wanted` bytes more would leave no room for the rows that sending needs."""
    disk = os.fstatvfs(descriptor)
    if disk.f_bavail * disk.f_frsize < wanted + ROWS_ROOM:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
