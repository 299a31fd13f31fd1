"""The queue's file: opened, or set aside when it is damaged; and the name that each data file carries for that day.

One engine has the volume, so SQLite locks the file once and needs no shared memory, whose pages a full disk refuses.
"""

from __future__ import annotations

import json
import os
import sqlite3
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from jupyter_alc.core.errors import Conflict

if TYPE_CHECKING:
    from pathlib import Path

LAYOUT: Final = 1
DATA: Final = "file-*.data"
_NAME: Final = "user.alc.name"
_DAMAGED: Final = frozenset({sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB})
_PAGES_BETWEEN: Final = 64  # until the log is written into the file: it stays small beside the room that is kept free
_TABLES: Final = """
CREATE TABLE IF NOT EXISTS files (
    id TEXT PRIMARY KEY, dataset TEXT NOT NULL, path TEXT NOT NULL, state TEXT NOT NULL, size INT NOT NULL,
    base TEXT, synced INT NOT NULL, changed REAL NOT NULL, tries INT NOT NULL, problem TEXT, offered TEXT NOT NULL,
    UNIQUE (dataset, path));
CREATE TABLE IF NOT EXISTS leftovers (dataset TEXT NOT NULL, path TEXT NOT NULL, id TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS notices (dataset TEXT NOT NULL, path TEXT NOT NULL, beside TEXT NOT NULL, at REAL NOT NULL);
"""


def open_queue(path: Path, now: str) -> tuple[sqlite3.Connection, str]:
    """Open the rows at `path`, made if need be; the second answer says what is wrong when the old ones are lost.

    A damaged file is kept as `<name>.damaged-<now>`. Raises `Conflict` for a newer layout, and what SQLite says of a
    disk that takes no more.
    """
    try:
        rows, made = _open(path)
    except sqlite3.DatabaseError as error:
        if getattr(error, "sqlite_errorcode", 0) & 0xFF not in _DAMAGED:
            raise
    else:
        return rows, "was gone" if made and any(path.parent.glob(DATA)) else ""
    aside = path.with_name(f"{path.name}.damaged-{now}")
    path.replace(aside)
    for end in ("-wal", "-shm"):
        with suppress(FileNotFoundError):
            path.with_name(path.name + end).replace(aside.with_name(aside.name + end))
    return _open(path)[0], f"was damaged and is kept as {aside.name}"


def keep_name(descriptor: int, dataset: str, path: str) -> None:
    """Let the data file carry the name it is for; a file system that cannot is left alone."""
    with suppress(OSError):
        os.setxattr(descriptor, _NAME, json.dumps([dataset, path]).encode())


def name_of(descriptor: int) -> tuple[str, str] | None:
    """(dataset, path) that a data file carries."""
    try:
        dataset, path = json.loads(os.getxattr(descriptor, _NAME))
    except (OSError, ValueError, TypeError):
        return None
    return str(dataset), str(path)


def _open(path: Path) -> tuple[sqlite3.Connection, bool]:
    rows = sqlite3.connect(path, check_same_thread=False)
    try:
        return rows, _prepare(rows, path)
    except BaseException:
        rows.close()
        raise


def _prepare(rows: sqlite3.Connection, path: Path) -> bool:
    """Look whether it can be used; say whether its tables had to be made."""
    path.chmod(0o600)
    for setting in ("locking_mode=EXCLUSIVE", "journal_mode=WAL", "synchronous=FULL"):
        rows.execute(f"PRAGMA {setting}")
    rows.execute(f"PRAGMA wal_autocheckpoint={_PAGES_BETWEEN}")
    told = int(rows.execute("PRAGMA user_version").fetchone()[0])
    if told > LAYOUT:
        raise Conflict(f"{path} was written by a newer version.", next_step="Install that version again.")
    if rows.execute("PRAGMA quick_check").fetchone()[0] != "ok":
        error = sqlite3.DatabaseError("quick_check")
        error.sqlite_errorcode = sqlite3.SQLITE_CORRUPT
        raise error
    if told < LAYOUT:
        rows.executescript(_TABLES)
        rows.execute(f"PRAGMA user_version={LAYOUT}")
    return told < LAYOUT
