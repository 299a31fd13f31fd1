"""The transfers on the disk: what was wished, which folders are still to be walked, how each file stands."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from jupyter_alc.core.states import TransferState
from jupyter_alc.dms.entry import Entry
from jupyter_alc.dms.transfers.rows import packed, unpacked
from jupyter_alc.dms.transfers.transfer import TOLD_FAILED, Transfer, Wish

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterable, Sequence

MOST_ENDED: Final = 100
TO_DO: Final = 0
DONE: Final = 1
FAILED: Final = 2
_PAGE: Final = 500
_ALL: Final = """SELECT number, id, state, paths, connections, files_at_once, cap, pattern, begun, ended, moved, files,
size, problem FROM transfers ORDER BY number"""
_ADD: Final = """INSERT INTO transfers
(id, state, paths, connections, files_at_once, cap, pattern, begun, moved, files, size)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, 0, 0, 0)"""
_SAVE: Final = """UPDATE transfers
SET state = ?, ended = ?, moved = ?, files = ?, size = ?, problem = ? WHERE number = ?"""


class Sums(NamedTuple):
    """Some files of a transfer."""

    files: int
    size_bytes: int


class Table:
    """Rows of transfers. One thread at a time; `sqlite3.OperationalError` when the disk takes no more."""

    def __init__(self, rows: sqlite3.Connection) -> None:
        self._rows = rows

    def add(self, wish: Wish) -> Wish:
        """Write a wish down; the answer has its number."""
        told = (wish.id, TransferState.LISTING, json.dumps(wish.paths), wish.connections, wish.files_at_once)
        more = (wish.bytes_per_second, wish.pattern, wish.begun)
        with self._rows:
            number = self._rows.execute(_ADD, (*told, *more)).lastrowid
            self._rows.executemany("INSERT INTO folders VALUES (?, ?)", [(number, packed(path)) for path in wish.paths])
        return replace(wish, number=int(number or 0))

    def all(self) -> list[Transfer]:
        """All transfers, the oldest first, with their sums."""
        return [self._read(row) for row in self._rows.execute(_ALL)]

    def save(self, transfer: Transfer) -> None:
        """Write state, problem and bytes moved down."""
        problem = None if transfer.problem is None else json.dumps(transfer.problem)
        told = (transfer.state, transfer.ended, transfer.moved_bytes, transfer.files, transfer.size_bytes)
        with self._rows:
            self._rows.execute(_SAVE, (*told, problem, transfer.wish.number))

    def again(self, number: int) -> None:
        """Let failed files be tried anew; their versions are to be asked for."""
        with self._rows:
            self._rows.execute(
                "UPDATE files SET state = ?, problem = NULL, token = '' WHERE transfer = ? AND state = ?",
                (TO_DO, number, FAILED),
            )

    def remove(self, number: int) -> None:
        """Forget one."""
        with self._rows:
            self._rows.execute("DELETE FROM folders WHERE transfer = ?", (number,))
            self._rows.execute("DELETE FROM files WHERE transfer = ?", (number,))
            self._rows.execute("DELETE FROM transfers WHERE number = ?", (number,))

    def folder(self, number: int) -> str | None:
        """The next folder or file to be listed; None when all are."""
        row = self._rows.execute("SELECT path FROM folders WHERE transfer = ? LIMIT 1", (number,)).fetchone()
        return None if row is None else unpacked(row[0])

    def listed(self, number: int, files: Iterable[tuple[str, Entry]], folders: Sequence[str]) -> None:
        """Write a page of a folder down; the same page again changes nothing."""
        with self._rows:
            self._rows.executemany(
                "INSERT OR IGNORE INTO files VALUES (?, ?, ?, ?, ?, 0, NULL)",
                [(number, packed(path), entry.size, entry.mtime, entry.token) for path, entry in files],
            )
            self._rows.executemany(
                "INSERT OR IGNORE INTO folders VALUES (?, ?)", [(number, packed(path)) for path in folders]
            )

    def walked(self, number: int, folder: str) -> None:
        """A folder was listed to its end."""
        with self._rows:
            self._rows.execute("DELETE FROM folders WHERE transfer = ? AND path = ?", (number, packed(folder)))

    def files(self, number: int, state: int, after: str = "") -> list[tuple[str, Entry]]:
        """A page of the files in a state, in order of their paths, beginning behind `after`."""
        found = self._rows.execute(
            "SELECT path, size, mtime, token FROM files WHERE transfer = ? AND state = ? AND path > ?"
            " ORDER BY path LIMIT ?",
            (number, state, packed(after), _PAGE),
        )
        return [(path := unpacked(row[0]), _entry(path, *row[1:])) for row in found]

    def relisted(self, number: int, path: str, entry: Entry) -> None:
        """The archive has another version of a file now."""
        with self._rows:
            self._rows.execute(
                "UPDATE files SET size = ?, mtime = ?, token = ? WHERE transfer = ? AND path = ?",
                (entry.size, entry.mtime, entry.token, number, packed(path)),
            )

    def settled(self, number: int, files: Iterable[tuple[str, dict[str, str] | None]]) -> None:
        """Files are here, or cannot be brought for the problem told."""
        with self._rows:
            self._rows.executemany(
                "INSERT INTO files VALUES (?, ?, 0, 0, '', ?, ?) ON CONFLICT (transfer, path)"
                " DO UPDATE SET state = excluded.state, problem = excluded.problem",
                [
                    (number, packed(path), DONE if problem is None else FAILED, problem and json.dumps(problem))
                    for path, problem in files
                ],
            )

    def sums(self, number: int, state: int) -> Sums:
        """How many files are in a state, and their bytes."""
        row = self._rows.execute(
            "SELECT count(*), coalesce(sum(size), 0) FROM files WHERE transfer = ? AND state = ?", (number, state)
        ).fetchone()
        return Sums(int(row[0]), int(row[1]))

    def failures(self, number: int) -> list[dict[str, Any]]:
        """The first files that could not be brought."""
        found = self._rows.execute(
            "SELECT path, problem FROM files WHERE transfer = ? AND state = ? ORDER BY path LIMIT ?",
            (number, FAILED, TOLD_FAILED),
        )
        return [{"path": unpacked(path), "problem": json.loads(problem)} for path, problem in found]

    def forget_files(self, number: int) -> None:
        """Of a transfer that is done only its sums are still of use."""
        with self._rows:
            self._rows.execute("DELETE FROM files WHERE transfer = ?", (number,))

    def _read(self, row: tuple[Any, ...]) -> Transfer:
        number, id, state, paths, connections, at_once, cap, pattern, begun, ended, moved, files, size, problem = row
        wish = Wish(id, number, tuple(json.loads(paths)), connections, at_once, cap, pattern, begun)
        to_do, done, failed = (self.sums(number, one) for one in (TO_DO, DONE, FAILED))
        there = Sums(to_do.files + done.files + failed.files, to_do.size_bytes + done.size_bytes + failed.size_bytes)
        if state == TransferState.DONE:  # its files are forgotten
            done = there = Sums(files, size)
        return Transfer(
            wish=wish,
            state=TransferState(state),
            files=there.files,
            files_done=done.files,
            size_bytes=there.size_bytes,
            moved_bytes=moved,
            settled_bytes=done.size_bytes,
            ended=ended,
            problem=None if problem is None else json.loads(problem),
            failed=self.failures(number),
            failed_files=failed.files,
        )


def _entry(path: str, size: int, mtime: float, token: str) -> Entry:
    return Entry(path.rpartition("/")[2], "file", size, mtime, token)
