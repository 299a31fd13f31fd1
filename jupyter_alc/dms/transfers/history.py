"""What happened to the data: a bounded list on the data volume (T10)."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

from jupyter_alc.dms.transfers.rows import packed, unpacked

if TYPE_CHECKING:
    import sqlite3

MOST: Final = 10_000
WHAT: Final = frozenset(
    {"fetched", "sent", "conflict", "refused", "cancelled", "failed", "mounted", "unmounted", "changed"}
)
_SAME_SECONDS: Final = 60.0
_ADD: Final = "INSERT INTO history (at, what, path, bytes, seconds, problem) VALUES (?, ?, ?, ?, ?, ?)"
_READ: Final = """SELECT at, what, path, bytes, seconds, problem FROM history
WHERE path = ? OR (path > ? AND path < ?) ORDER BY number DESC LIMIT ?"""
_FIRST, _LAST = b"", b"\xff"  # no name begins with the latter


_SUMS: Final = "SELECT sum(bytes), sum(seconds) FROM history WHERE what = ? AND path = ? AND at > ?"


class History:
    """Rows of what happened, the oldest forgotten. One thread at a time."""

    def __init__(self, rows: sqlite3.Connection, most: int = MOST) -> None:
        self._rows, self._most = rows, most

    def note(
        self,
        at: float,
        what: str,
        path: str,
        *,
        size: int | None = None,
        seconds: float | None = None,
        problem: dict[str, str] | None = None,
    ) -> None:
        """Write down that something happened at the time `at`; the same again within a minute takes its place.

        What was fetched in one minute, and how long that took, is added up: who asks twice sees what it moved.
        """
        if what == "fetched":
            same = (what, packed(path), at - _SAME_SECONDS)
            before = self._rows.execute(_SUMS, same).fetchone()
            size, seconds = (size or 0) + (before[0] or 0), (seconds or 0.0) + (before[1] or 0.0)
        told = (at, what, packed(path), size, seconds, None if problem is None else json.dumps(problem))
        with self._rows:
            self._rows.execute(
                "DELETE FROM history WHERE what = ? AND path = ? AND at > ?", (what, packed(path), at - _SAME_SECONDS)
            )
            number = self._rows.execute(_ADD, told).lastrowid
            self._rows.execute("DELETE FROM history WHERE number <= ?", (int(number or 0) - self._most,))

    def read(self, path: str, limit: int) -> list[dict[str, Any]]:
        """What happened at and below `path`, the newest first, at most `limit`."""
        at = packed(path)
        below = (at + b"/", at + b"0") if path else (_FIRST, _LAST)
        found = self._rows.execute(_READ, (at, *below, limit))
        return [
            {
                "at": at,
                "what": what,
                "path": unpacked(path),
                "bytes": size,
                "seconds": seconds,
                "problem": None if problem is None else json.loads(problem),
            }
            for at, what, path, size, seconds, problem in found
        ]
