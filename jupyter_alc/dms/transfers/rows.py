"""The rows of transfers and of the history, in SQLite (WAL) on the data volume. One thread at a time.

A kill of the process loses nothing of it, a crash of the machine at most the last rows: what they told is then done
again. A damaged file is set aside: it holds no data, only what was wished and what happened.
"""

from __future__ import annotations

import logging
import sqlite3
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from pathlib import Path

log = logging.getLogger(__name__)

LAYOUT: Final = 1
_TABLES: Final = """
CREATE TABLE IF NOT EXISTS transfers (
    number INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT UNIQUE NOT NULL, state TEXT NOT NULL, paths TEXT NOT NULL,
    connections INT NOT NULL, files_at_once INT NOT NULL, cap INT, pattern TEXT NOT NULL,
    begun REAL NOT NULL, ended REAL, moved INT NOT NULL, files INT NOT NULL, size INT NOT NULL, problem TEXT);
CREATE TABLE IF NOT EXISTS folders (transfer INT NOT NULL, path BLOB NOT NULL, PRIMARY KEY (transfer, path))
    WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS files (
    transfer INT NOT NULL, path BLOB NOT NULL, size INT NOT NULL, mtime REAL NOT NULL, token TEXT NOT NULL,
    state INT NOT NULL, problem TEXT, PRIMARY KEY (transfer, path)) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS files_by_state ON files (transfer, state, path);
CREATE TABLE IF NOT EXISTS history (
    number INTEGER PRIMARY KEY AUTOINCREMENT, at REAL NOT NULL, what TEXT NOT NULL, path BLOB NOT NULL, bytes INT,
    seconds REAL, problem TEXT);
CREATE INDEX IF NOT EXISTS history_by_path ON history (path);
"""
_DAMAGED: Final = frozenset({sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB})


def open_rows(path: Path | None) -> sqlite3.Connection:
    """Open the rows at `path`, made if need be, or in memory alone.

    `sqlite3.DatabaseError` or `OSError` where the disk refuses.
    """
    for _ in range(2):
        rows = sqlite3.connect(path or ":memory:", check_same_thread=False)
        try:
            _prepare(rows, path)
        except sqlite3.DatabaseError as error:
            rows.close()
            if path is None or getattr(error, "sqlite_errorcode", 0) & 0xFF not in _DAMAGED:
                raise
            log.warning("The list of transfers is damaged (%s); it is set aside and begins anew.", error)
            _set_aside(path)
        except BaseException:
            rows.close()
            raise
        else:
            return rows
    raise OSError(f"{path} cannot be used")


def packed(path: str) -> bytes:
    """A path as it is kept: names are the archive's, and not all of them are text to SQLite."""
    return path.encode("utf-8", "surrogateescape")


def unpacked(kept: bytes) -> str:
    """The path that was kept."""
    return kept.decode("utf-8", "surrogateescape")


def _prepare(rows: sqlite3.Connection, path: Path | None) -> None:
    if path is not None:
        path.chmod(0o600)
    rows.execute("PRAGMA journal_mode=WAL")
    rows.execute("PRAGMA synchronous=NORMAL")
    told = int(rows.execute("PRAGMA user_version").fetchone()[0])
    if told not in {0, LAYOUT}:  # an older or newer program's: wishes that can be made again
        error = sqlite3.DatabaseError(f"layout {told}")
        error.sqlite_errorcode = sqlite3.SQLITE_CORRUPT
        raise error
    rows.executescript(_TABLES)
    rows.execute(f"PRAGMA user_version={LAYOUT}")


def _set_aside(path: Path) -> None:
    path.replace(path.with_name(f"{path.name}.damaged"))
    for end in ("-wal", "-shm"):
        path.with_name(path.name + end).unlink(missing_ok=True)
