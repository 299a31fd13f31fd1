"""What lies in the cache, in SQLite (WAL): one row a version, written before its first block is. One thread at a time.

A kill of the process loses nothing of it; after a crash of the machine it is compared with the folder.
"""

from __future__ import annotations

import contextlib
import errno
import logging
import os
import sqlite3
from pathlib import Path
from typing import TYPE_CHECKING, Final

from jupyter_alc.dms.engine.boot import this_boot

if TYPE_CHECKING:
    from collections.abc import Iterator

log = logging.getLogger(__name__)
_TABLES: Final = """
CREATE TABLE IF NOT EXISTS versions (
    key TEXT PRIMARY KEY, dataset TEXT, path TEXT, token TEXT, turn INT, bytes INT
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS life (boot TEXT);
"""


def place_of(top: Path | str, key: str) -> str:
    """Where in the cache's folder the file of a version lies."""
    return f"{top}/{key[0]}/{key}.data"


class Index:
    """The index at `folder`/index.sqlite. `sqlite3.DatabaseError` or `OSError` where it cannot be used."""

    def __init__(self, folder: Path | None) -> None:
        self._folder = folder
        self._connection = sqlite3.connect(
            folder / "index.sqlite" if folder is not None else ":memory:", check_same_thread=False
        )
        try:
            self._connection.execute("PRAGMA journal_mode=WAL")
            self._connection.execute("PRAGMA synchronous=NORMAL")
            self._connection.executescript(_TABLES)
            self._turn = int(self._connection.execute("SELECT coalesce(max(turn), 0) FROM versions").fetchone()[0])
        except BaseException:
            self._connection.close()
            raise

    def pick_up(self) -> list[tuple[str, str, int]]:
        """(key, dataset, bytes on disk) of every version, what was used longest ago first."""
        columns = "SELECT key, dataset, bytes FROM versions ORDER BY turn, key"
        rows = [(key, dataset, self._bytes(key, size)) for key, dataset, size in self._connection.execute(columns)]
        crashed = self._connection.execute("SELECT boot FROM life").fetchone() not in {None, (this_boot(),)}
        known = {key for key, _, _ in rows}
        for path in self._strays(known) if crashed else ():
            path.unlink(missing_ok=True)
        with self.changing() as change:
            change.execute("DELETE FROM life")
            change.execute("INSERT INTO life VALUES (?)", (this_boot(),))
        return rows

    def opened(self, key: str, dataset: str, path: str, token: str) -> None:
        """Note that the version is about to change on the disk; inside `changing`."""
        self._connection.execute(
            "INSERT INTO versions VALUES (?, ?, ?, ?, 0, NULL) ON CONFLICT (key) DO UPDATE SET bytes = NULL",
            (key, dataset, ascii(path), token),
        )

    def closed(self, key: str, held_bytes: int) -> None:
        """Note that it was used last, and what it holds; inside `changing`."""
        self._turn += 1
        self._connection.execute("UPDATE versions SET turn = ?, bytes = ? WHERE key = ?", (self._turn, held_bytes, key))

    def removed(self, key: str) -> None:
        """Forget a version; a row without files is harmless."""
        with contextlib.suppress(OSError), self.changing() as change:
            change.execute("DELETE FROM versions WHERE key = ?", (key,))

    def close(self) -> None:
        """Close it in order: the next start need not look at the folder."""
        with contextlib.suppress(OSError), self.changing() as change:
            change.execute("DELETE FROM life")
        self._connection.close()

    @contextlib.contextmanager
    def changing(self) -> Iterator[sqlite3.Connection]:
        """One transaction; `OSError` when the disk takes no more rows, and then none of it is noted."""
        try:
            with self._connection:
                yield self._connection
        except sqlite3.DatabaseError as error:
            raise OSError(errno.ENOSPC, "the cache's index takes no more") from error

    def _bytes(self, key: str, told: int | None) -> int:
        """What is known, or, of a version that was open at the end, what the disk says."""
        if told is not None or self._folder is None:
            return told or 0
        with contextlib.suppress(FileNotFoundError):
            return os.stat(place_of(self._folder, key)).st_blocks * 512  # noqa: PTH116
        return 0

    def _strays(self, known: set[str]) -> list[Path]:
        """Files without a row."""
        if self._folder is None:
            return []
        with os.scandir(self._folder) as there:
            folders = [one.path for one in there if one.is_dir()]
        names = (Path(folder, name) for folder in folders for name in os.listdir(folder))  # noqa: PTH208
        return [path for path in names if path.stem not in known]
