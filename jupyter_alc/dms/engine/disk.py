"""The local disk when it is full: told once, in our words, and early enough that sending still works."""

from __future__ import annotations

import errno
import os
import sqlite3
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from jupyter_alc.core.errors import AlcError, NoSpace
from jupyter_alc.core.full_disk import is_full_disk

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

ROWS_ROOM: Final = 1024 * 1024  # bytes of the disk for the queue's own rows
_TAKES_NO_MORE: Final = frozenset({sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_CANTOPEN})


class Disk:
    """The disk of one data volume, and whether it would still refuse what it refused last. Any thread."""

    def __init__(self, volume: Path) -> None:
        self.volume = volume
        self._refused = 0  # bytes that were wanted when it said no

    @contextmanager
    def told(self, wanted: int = 0) -> Iterator[None]:
        """Translate what the disk says inside, by the system or by SQLite: no room for `wanted` bytes (`NoSpace`)."""
        try:
            yield
        except AlcError:
            raise
        except (OSError, sqlite3.OperationalError) as error:
            if isinstance(error, sqlite3.OperationalError) and not _takes_no_more(error):
                raise
            self._refused = max(self._refused, wanted, 1)
            raise self._no_space(_words(error)) from error

    def free_bytes(self) -> int:
        """What is free for our files."""
        seen = os.statvfs(self.volume)
        return seen.f_bavail * seen.f_frsize

    def leave_room(self, wanted: int) -> None:
        """Raise ENOSPC where `wanted` bytes more would leave no room for the rows that sending needs."""
        if self.free_bytes() < wanted + ROWS_ROOM:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def problem(self, evictable_bytes: int) -> NoSpace | None:
        """`NoSpace` while a write would be refused, though the cache gave way with its `evictable_bytes`."""
        if self.free_bytes() + evictable_bytes < max(self._refused, 1) + ROWS_ROOM:
            return self._no_space("is full")
        self._refused = 0
        return None

    def _no_space(self, does: str) -> NoSpace:
        return NoSpace(
            f"The disk of your data volume ({self.volume}) {does}; what was closed before is kept.",
            next_step="Remove unsent files you do not need, or wait until they are in the archive, then write again; "
            "if it stays full, ask the facility's support for room.",
        )


def _takes_no_more(error: sqlite3.OperationalError) -> bool:
    return getattr(error, "sqlite_errorcode", sqlite3.SQLITE_FULL) & 0xFF in _TAKES_NO_MORE


def _words(error: OSError | sqlite3.OperationalError) -> str:
    return f"refuses ({error.strerror})" if isinstance(error, OSError) and not is_full_disk(error) else "is full"
