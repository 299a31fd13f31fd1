"""What is known of names, as rows of SQLite: attributes, absences, listings. One thread at a time.

A cache: nothing here is worth a wait for the disk, and all of it may be dropped. Each row's number is the kernel's
inode: of its path and, in the upper bits, its version. Times are those of the caller's clock.
"""
# ruff: noqa: S608  (what is put into statements is constant here, or numbers)

from __future__ import annotations

import itertools
import json
import sqlite3
from contextlib import contextmanager, suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from jupyter_alc.dms.engine.boot import this_boot
from jupyter_alc.dms.engine.names_values import (
    ABSENT,
    ENTRY,
    KINDS,
    LARGEST,
    VERSION_SHIFT,
    WITHIN,
    Listed,
    Look,
    Noted,
    Row,
    joined,
    split,
    stored,
    told,
    within,
    written,
)
from jupyter_alc.dms.entry import Entry
from jupyter_alc.dms.tokens import same_version

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path


LAYOUT: Final = 1
FIRST_ID: Final = 1 << 20  # smaller numbers are left to those who serve the rows
CHUNK: Final = 1000
_TABLES: Final = """
CREATE TABLE IF NOT EXISTS trees (id INTEGER PRIMARY KEY, key TEXT UNIQUE);
CREATE TABLE IF NOT EXISTS folders (
    id INTEGER PRIMARY KEY, tree INT, path TEXT, listed INT, until REAL, used INT, UNIQUE (tree, path)
);
CREATE TABLE IF NOT EXISTS names (
    id INTEGER PRIMARY KEY, folder INT, name TEXT, kind INT, size INT, mtime TEXT, token TEXT, until REAL,
    listing INT, version INT, UNIQUE (folder, name)
);
CREATE TABLE IF NOT EXISTS life (boot TEXT);
"""
_COLUMNS: Final = 10
_MOST_ABSENCES: Final = 10_000
_ABSENCE_SECONDS: Final = 60.0


class NameRows:
    """The rows at `file`, or in memory without one. `sqlite3.Error` where they cannot be used; then drop them."""

    def __init__(self, file: Path | None, most: int) -> None:
        self._most, self._absences = most, 0
        self._trees: dict[str, int] = {}
        self._sql = sqlite3.connect(
            file if file is not None else ":memory:", isolation_level=None, check_same_thread=False
        )
        try:
            self._set_up()
        except BaseException:
            self._sql.close()
            raise

    def _set_up(self) -> None:
        for pragma in ("locking_mode=EXCLUSIVE", "journal_mode=WAL", "synchronous=OFF", "cache_size=-8192"):
            self._sql.execute(f"PRAGMA {pragma}")
        self._sql.execute("PRAGMA journal_size_limit=33554432")
        if self._one("PRAGMA user_version") not in {0, LAYOUT}:
            raise sqlite3.DatabaseError("another layout")
        self._sql.executescript(_TABLES)
        if self._sql.execute("SELECT boot FROM life").fetchone() not in {None, (this_boot(),)}:
            raise sqlite3.DatabaseError("the machine went down in the middle")
        self._sql.execute(f"PRAGMA user_version={LAYOUT}")
        self._sql.execute("DELETE FROM life")
        self._sql.execute("INSERT INTO life VALUES (?)", (this_boot(),))
        # what an earlier life believed is believed no more: its clock was another
        self._sql.execute("UPDATE folders SET until = 0")
        self._ids = itertools.count(max(FIRST_ID, self._one("SELECT coalesce(max(id), 0) FROM names") + 1))
        # listings have even numbers, their rows' marks; what was noted singly since the last one began has an odd one
        self._listing = (self._one("SELECT coalesce(max(listing), 0) FROM names") // 2 + 1) * 2
        self._used = self._one("SELECT coalesce(max(used), 0) FROM folders")
        self._count = self._one("SELECT count(*) FROM names")
        self._first = self._listing  # marks of earlier lives are smaller

    def close(self) -> None:
        """Close in order: the next life takes it up."""
        try:
            self._sql.execute("DELETE FROM life")
        finally:
            self._sql.close()

    def tree(self, key: str) -> int:
        """The number of a tree of names, known by `key`."""
        if key not in self._trees:
            self._sql.execute("INSERT OR IGNORE INTO trees (key) VALUES (?)", (key,))
            self._trees[key] = int(self._one("SELECT id FROM trees WHERE key = ?", key))
        return self._trees[key]

    def look(self, tree: int, path: str) -> Look:
        """What is known of a path."""
        folder, name = split(path)
        found = self._sql.execute("SELECT id, listed, until FROM folders WHERE tree = ? AND path = ?", (tree, folder))
        at = found.fetchone()
        if at is None:
            return Look(False, None, 0.0, False, 0.0)
        row = self._sql.execute(
            "SELECT id, version, name, kind, size, mtime, token, until, listing FROM names "
            "WHERE folder = ? AND name = ?",
            (at[0], name),
        ).fetchone()
        listed, listed_until = bool(at[1]), float(at[2])
        if row is None:
            return Look(False, None, 0.0, listed, listed_until)
        until = row[7] if row[8] >= self._first else 0.0
        return Look(True, told(row[:7]) if row[3] else None, until, listed, listed_until)

    def folder(self, tree: int, path: str) -> tuple[bool, float]:
        """Whether a folder was ever listed, and until when that is believed."""
        found = self._sql.execute("SELECT listed, until FROM folders WHERE tree = ? AND path = ?", (tree, path))
        row = found.fetchone()
        return (bool(row[0]), float(row[1])) if row is not None else (False, 0.0)

    def note(self, tree: int, path: str, entry: Entry | None, until: float) -> tuple[Entry | None, bool]:
        """Note what is at a path: the entry with its number, and whether something else was known there."""
        folder, name = split(path)
        with self._changing():
            at = self._folder_id(tree, folder)
            if entry is not None:
                noted = self._noted(at, [replace(entry, name=name)], until)
                return noted.entries[0], bool(noted.changed)
            noted = self._noted(at, [Entry(name, "file", 0, 0.0, "")], until, absent=True)
            self._tidy_absences(until)
        return None, bool(noted.changed)

    def doubt(self, tree: int, path: str) -> None:
        """Ask again at the next use. Of what has no row nothing is known any more, not even from its folder."""
        folder, name = split(path)
        with self._changing():
            self._sql.execute("UPDATE folders SET until = 0 WHERE tree = ? AND path = ?", (tree, folder))
            at = self._folder_id(tree, folder)
            doubted = self._sql.execute(
                "UPDATE names SET until = 0 WHERE folder = ? AND name = ? AND kind != 0", (at, name)
            )
            if not doubted.rowcount:
                self._sql.execute("DELETE FROM names WHERE folder = ? AND name = ?", (at, name))
                self._sql.execute("UPDATE folders SET listed = 0 WHERE id = ?", (at,))

    def doubt_below(self, tree: int, path: str) -> None:
        """Believe no listing in a folder and below."""
        with self._changing():
            self._sql.execute(f"UPDATE folders SET until = 0 WHERE {WITHIN}", within(tree, path))

    def drop_below(self, tree: int, path: str) -> None:
        """Forget all that was in a folder that went."""
        with self._changing():
            self._drop(f"SELECT id FROM folders WHERE {WITHIN}", within(tree, path))

    def move(self, tree: int, old: str, new: str) -> None:
        """Follow a rename: numbers stay, attributes are asked for anew, the parents' listings too."""
        folder, name = split(new)
        with self._changing():
            self._drop(f"SELECT id FROM folders WHERE {WITHIN}", within(tree, new))
            source, target = self._folder_id(tree, split(old)[0]), self._folder_id(tree, folder)
            self._sql.execute("DELETE FROM names WHERE folder = ? AND name = ?", (target, name))
            self._sql.execute(
                "UPDATE names SET folder = ?, name = ?, until = 0 WHERE folder = ? AND name = ? AND kind != 0",
                (target, name, source, split(old)[1]),
            )
            moved = f"SELECT id FROM folders WHERE {WITHIN}"
            self._sql.execute(f"UPDATE names SET until = 0 WHERE folder IN ({moved})", within(tree, old))
            self._sql.execute(
                f"UPDATE folders SET path = ? || substr(path, ?), until = 0 WHERE {WITHIN}",
                (new, len(old) + 1, *within(tree, old)),
            )
            self._sql.execute("UPDATE folders SET listed = 0, until = 0 WHERE id = ?", (target,))

    def begin(self, tree: int, path: str) -> Listed:
        """Begin a listing of a folder."""
        with self._changing():
            self._touch(self._folder_id(tree, path))
        self._listing += 2
        return Listed(self._listing, self.folder(tree, path)[0])

    def page(  # noqa: PLR0917  (one page of one listing)
        self, tree: int, path: str, listing: Listed, entries: Sequence[Entry], ours: Mapping[str, bool], until: float
    ) -> Noted:
        """Note a page, but for the names `ours`: True where we know better what is there, False where nobody knows."""
        with self._changing():
            at = self._folder_id(tree, path)
            noted = self._noted(at, [one for one in entries if one.name not in ours], until, listing)
            doubted = [one for one in entries if ours.get(one.name) is False]
            if doubted:
                noted = joined(noted, self._noted(at, doubted, 0.0, listing))
        if self._count > self._most:
            self._make_room(keep=at)
        return noted

    def end(self, tree: int, path: str, listing: Listed, until: float) -> tuple[Noted, list[str]]:
        """The listing is whole: what it did not tell is gone, but for what was noted meanwhile. That, and what went."""
        gone, late = list[str](), list[int]()
        at, name = self._folder_id(tree, path), ""
        while True:
            old, noted, name_now, count = self._sql.execute(
                "SELECT group_concat(CASE WHEN listing < ? THEN id END), "
                "group_concat(CASE WHEN listing > ? AND listing % 2 AND kind != 0 THEN id END), max(name), count(*) "
                "FROM (SELECT * FROM names WHERE folder = ? AND name > ? ORDER BY name LIMIT 10000)",
                (listing.number, listing.number, at, name),
            ).fetchone()
            if not count:
                break
            name = name_now
            late += map(int, (noted or "").split(",")) if noted else []
            gone += self._remove(old) if old else []
        with self._changing():
            self._sql.execute("UPDATE folders SET listed = 1, until = ? WHERE id = ?", (until, at))
            if path:  # what could be listed is there, and a folder
                above, own = split(path)
                self._sql.execute(
                    "UPDATE names SET until = max(until, ?) WHERE folder = ? AND name = ? AND kind = 2",
                    (until, self._folder_id(tree, above), own),
                )
        return Noted(self.of_ids(late) if late else [], late, []), gone

    def _remove(self, ids: str) -> list[str]:
        there = f"FROM names WHERE id IN ({ids})"
        with self._changing():
            text = self._one(f"SELECT json_group_array(name) {there} AND kind != 0")
            self._count -= self._sql.execute(f"DELETE {there}").rowcount
        return list(json.loads(text))

    def of_ids(self, ids: Sequence[int]) -> list[Entry]:
        """What is in these rows now, without those that are gone."""
        asked = ",".join(map(str, ids))
        return self._entries(f"SELECT * FROM names WHERE id IN ({asked}) AND kind != 0", ())

    def after(self, tree: int, path: str, name: str, limit: int, but_listing: int = 0) -> list[Entry]:
        """What is in a folder behind `name`, in order; with `but_listing` only what that listing has not told."""
        found = self._sql.execute("SELECT id FROM folders WHERE tree = ? AND path = ?", (tree, path)).fetchone()
        if found is None:
            return []
        if not name:
            self._touch(found[0])
        return self._entries(
            "SELECT * FROM names WHERE folder = ? AND name > ? AND kind != 0 AND listing != ? ORDER BY name LIMIT ?",
            (found[0], name, but_listing, limit),
        )

    def named(self, number: int) -> Row | None:
        """Where a number leads; None when its name is gone, or of another version."""
        row = self.row(number & ((1 << VERSION_SHIFT) - 1))
        return row if row is not None and row.entry.number == number else None

    def row(self, row_id: int) -> Row | None:
        """The name of a row, in whatever version; None when it is gone."""
        found = self._sql.execute(
            "SELECT n.id, n.version, n.name, n.kind, n.size, n.mtime, n.token, t.key, f.path FROM names n "
            "JOIN folders f ON f.id = n.folder JOIN trees t ON t.id = f.tree WHERE n.id = ? AND n.kind != 0",
            (row_id,),
        ).fetchone()
        if found is None:
            return None
        entry = told(found[:7])
        return Row(found[7], f"{found[8]}/{entry.name}" if found[8] else entry.name, entry)

    def _noted(
        self, at: int, entries: Sequence[Entry], until: float, listing: Listed | None = None, *, absent: bool = False
    ) -> Noted:
        """Write rows of one folder; of a listing, if one is named."""
        known = {
            row[0]: row
            for row in json.loads(
                self._one(
                    "SELECT json_group_array(json_array(name, id, version, kind, size, token, listing)) "
                    "FROM names WHERE folder = ? AND name IN (SELECT value FROM json_each(?))",
                    at,
                    json.dumps([one.name for one in entries]),
                )
            )
        }
        mark = self._listing + 1 if listing is None else listing.number
        rows: dict[str, tuple[object, ...]] = {}
        noted = Noted([], [], [])
        for one in entries:
            if one.name in rows:
                continue
            kind, token = ABSENT if absent else KINDS[one.kind], stored(one.token)
            before = known.get(one.name)
            if before is None:
                row_id, version, told_before = next(self._ids), 0, False
                if listing is not None and listing.again:
                    noted.changed.append(one.name)
            else:
                _, row_id, version, was, size, had, marked = before
                version += was != kind or (kind == KINDS["file"] and had != token)
                told_before = marked == mark and listing is not None
                if was != kind or size != one.size or (had != token and not same_version(had, token)):
                    noted.changed.append(one.name)
            if not told_before:
                noted.ids.append(row_id)
                number = version << VERSION_SHIFT | row_id
                noted.entries.append(Entry(one.name, one.kind, one.size, one.mtime, one.token, number=number))
            size_bytes, mtime = min(one.size, LARGEST), written(one.mtime)
            rows[one.name] = (row_id, at, one.name, kind, size_bytes, mtime, token, until, mark, version)
        self._count += len(rows) - len(known)
        self._write(list(rows.values()))
        return noted

    def _write(self, rows: list[tuple[object, ...]]) -> None:
        """In few statements of many rows: each step of a statement is a fight for Python's lock."""
        for start in range(0, len(rows), CHUNK):
            some = rows[start : start + CHUNK]
            values = ",".join([f"({','.join('?' * _COLUMNS)})"] * len(some))
            self._sql.execute(f"REPLACE INTO names VALUES {values}", list(itertools.chain.from_iterable(some)))

    def _entries(self, rows: str, given: Sequence[object]) -> list[Entry]:
        text = self._one(f"SELECT json_group_array({ENTRY}) FROM ({rows})", *given)
        return [told(row) for row in json.loads(text)]

    def _folder_id(self, tree: int, path: str) -> int:
        found = self._sql.execute("SELECT id FROM folders WHERE tree = ? AND path = ?", (tree, path)).fetchone()
        if found is not None:
            return int(found[0])
        made = self._sql.execute(
            "INSERT INTO folders (tree, path, listed, until, used) VALUES (?, ?, 0, 0, ?)", (tree, path, self._used)
        )
        assert made.lastrowid is not None
        return made.lastrowid

    def _touch(self, at: int) -> None:
        self._used += 1
        self._sql.execute("UPDATE folders SET used = ? WHERE id = ?", (self._used, at))

    def _drop(self, folders: str, given: Sequence[object]) -> None:
        gone = self._sql.execute(f"DELETE FROM names WHERE folder IN ({folders})", given)
        self._count -= gone.rowcount
        self._sql.execute(f"DELETE FROM folders WHERE id IN ({folders})", given)

    def _make_room(self, keep: int) -> None:
        """Forget folders, the one used longest ago first, until a tenth is free."""
        while self._count > self._most * 9 // 10:
            oldest = self._sql.execute("SELECT id FROM folders WHERE id != ? ORDER BY used LIMIT 1", (keep,)).fetchone()
            if oldest is None:
                return
            with self._changing():
                self._drop("?", oldest)

    def _tidy_absences(self, until: float) -> None:
        """Programs ask for names that nowhere are; their absences would grow without end."""
        self._absences += 1
        if self._absences >= _MOST_ABSENCES:
            self._absences = 0
            old = self._sql.execute("DELETE FROM names WHERE kind = 0 AND until < ?", (until - _ABSENCE_SECONDS,))
            self._count -= old.rowcount

    def _one(self, question: str, *given: object) -> Any:
        return self._sql.execute(question, given).fetchone()[0]

    @contextmanager
    def _changing(self) -> Iterator[None]:
        """One transaction."""
        self._sql.execute("BEGIN")
        try:
            yield
        except BaseException:
            with suppress(sqlite3.Error):
                self._sql.execute("ROLLBACK")
            raise
        self._sql.execute("COMMIT")
