"""All versions in the cache, under one hard quota: what was used longest ago goes first, open files included."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import itertools
import logging
import os
import shutil
import sqlite3
from collections import OrderedDict
from typing import TYPE_CHECKING, Final

from jupyter_alc.dms.engine.blocks import LAYOUT, BlockFile
from jupyter_alc.dms.engine.planner import Extent, block_extent, blocks_of

if TYPE_CHECKING:
    from pathlib import Path

log = logging.getLogger(__name__)
_KEEP_FREE: Final = 64 * 1024 * 1024
_PUNCH_AT_ONCE: Final = 16


class CachedVersion:
    """One version, open. `busy` holds the blocks being fetched: they are never evicted."""

    def __init__(self, key: str, dataset: str, file: BlockFile) -> None:
        self.key, self.dataset, self.file = key, dataset, file
        self.users = 0
        self.busy: set[int] = set()
        self.stored = file.stored_bytes


class Cache:
    """The folder `cache/v<layout>` and its index. One event loop; only `BlockFile.read` is for every thread."""

    def __init__(self, folder: Path, quota_bytes: int, keep_free_bytes: int = _KEEP_FREE) -> None:
        self._top, self._disk = folder / f"v{LAYOUT}", folder.parent
        self._quota, self._keep_free = quota_bytes, keep_free_bytes
        for old in folder.glob("v*"):
            if old != self._top:
                shutil.rmtree(old, ignore_errors=True)
        self._index = self._open_index()
        self._closed: OrderedDict[str, tuple[str, int]] = OrderedDict()  # key -> (dataset, bytes), oldest first
        self._open: OrderedDict[str, CachedVersion] = OrderedDict()
        self._closed_bytes = self._reserved = 0
        self.dropped = 0
        self._pick_up()

    @property
    def used_bytes(self) -> int:
        """What lies in the cache, and what is promised to fetches on their way."""
        return self._closed_bytes + sum(one.stored for one in self._open.values()) + self._reserved

    def bytes_of(self, dataset: str) -> int:
        """What lies here of one dataset."""
        closed = sum(size for name, size in self._closed.values() if name == dataset)
        return closed + sum(one.stored for one in self._open.values() if one.dataset == dataset)

    def open(self, dataset: str, address: str, path: str, token: str, size: int) -> CachedVersion:
        """The version's blocks; the same object for everybody who has it open. `OSError` when the disk refuses."""
        key = hashlib.sha256(
            "\0".join((address, path, token, str(size))).encode("utf-8", "surrogateescape")
        ).hexdigest()
        version = self._open.get(key)
        if version is None:
            stem = self._top / key[:2] / key
            stem.parent.mkdir(exist_ok=True, mode=0o700)
            self._row("INSERT OR IGNORE INTO versions VALUES (?, ?, ?, ?, 0)", key, dataset, ascii(path), token)
            version = CachedVersion(key, dataset, BlockFile(stem, size))
            self._closed_bytes -= self._closed.pop(key, ("", 0))[1]
            self._open[key] = version
        version.users += 1
        self._open.move_to_end(key)
        return version

    def close(self, version: CachedVersion) -> None:
        """One user less; the last one closes the files."""
        version.users -= 1
        if version.users or self._open.get(version.key) is not version:
            return
        del self._open[version.key]
        self.dropped += version.file.dropped
        version.file.close()
        self._closed[version.key] = (version.dataset, version.stored)
        self._closed_bytes += version.stored
        turn = "(SELECT coalesce(max(turn), 0) + 1 FROM versions)"
        with contextlib.suppress(OSError):  # its turn to go is then an older one
            self._row(f"UPDATE versions SET turn = {turn} WHERE key = ?", version.key)  # noqa: S608

    def touch(self, version: CachedVersion) -> None:
        """Note a use."""
        if version.key in self._open:
            self._open.move_to_end(version.key)

    def reserve(self, size: int) -> bool:
        """Make room for `size` bytes, evicting; False when that cannot be: then pass through."""
        if size > self._quota:
            return False
        while self.used_bytes + size > self._quota or self._free() < size + self._keep_free:
            if not (self._evict_closed() or self._evict_open()):
                return False
        self._reserved += size
        return True

    def settle(self, version: CachedVersion, extent: Extent, got: bytes | None) -> bool:
        """End a reservation with the bytes that came (None: none). False when the disk would not take them."""
        self._reserved -= extent.size
        if got is None:
            return False
        fresh = sum(block_extent(n, version.file.size).size for n in blocks_of(extent) if not version.file.has(n))
        try:
            version.file.store(extent, got)
        except OSError as error:
            log.warning("The cache's disk refuses (%s); reading past it.", error.strerror)
            return False
        version.stored += fresh
        return True

    def recount(self, version: CachedVersion) -> None:
        """Count anew after blocks failed their checksums."""
        version.stored = version.file.stored_bytes

    def stop(self) -> None:
        """Close everything; the index keeps the order of use."""
        for version in list(self._open.values()):
            version.users = 1
            self.close(version)
        self._index.close()

    def _free(self) -> int:
        seen = os.statvfs(self._disk)
        return seen.f_bavail * seen.f_frsize

    def _evict_closed(self) -> bool:
        if not self._closed:
            return False
        key, (_, size) = self._closed.popitem(last=False)
        self._closed_bytes -= size
        self._remove(key)
        with contextlib.suppress(OSError):  # a row without its files goes at the next start
            self._row("DELETE FROM versions WHERE key = ?", key)
        return True

    def make_room(self, size: int) -> None:
        """Evict until the disk has `size` bytes free for what cannot be fetched again; `OSError` if it cannot."""
        while self._free() < size:
            if not (self._evict_closed() or self._evict_open()):
                raise OSError(errno.ENOSPC, "the disk is full")

    def _row(self, change: str, *values: str) -> None:
        """One change of the index; `OSError` when the disk takes none."""
        try:
            with self._index:
                self._index.execute(change, values)
        except sqlite3.OperationalError as error:
            raise OSError(errno.ENOSPC, "the cache's index takes no more") from error

    def _evict_open(self) -> bool:
        for version in self._open.values():
            here = list(itertools.islice((n for n in version.file.here() if n not in version.busy), _PUNCH_AT_ONCE))
            for number in here:
                version.file.drop(number)
                version.stored -= block_extent(number, version.file.size).size
            if here:
                return True
        return False

    def _remove(self, key: str) -> None:
        for end in (".side", ".data"):
            (self._top / key[:2] / f"{key}{end}").unlink(missing_ok=True)

    def _open_index(self) -> sqlite3.Connection:
        """Open the index; one that is damaged or finds no room starts empty, at worst in memory."""
        for _ in range(2):
            try:
                self._top.mkdir(parents=True, exist_ok=True, mode=0o700)
                return _index_at(self._top / "index.sqlite")
            except (sqlite3.DatabaseError, OSError) as error:
                log.warning("The cache's index cannot be used (%s); the cache starts empty.", error)
                shutil.rmtree(self._top, ignore_errors=True)
        return _index_at(":memory:")

    def _pick_up(self) -> None:
        """Bring index and folder together: what only one of the two knows goes."""
        there = {path.stem: path for path in self._top.glob("??/*.data")}
        rows = list(self._index.execute("SELECT key, dataset FROM versions ORDER BY turn, rowid"))
        for key, dataset in rows:
            if key in there:
                self._closed[key] = (dataset, there.pop(key).stat().st_blocks * 512)
        self._closed_bytes = sum(size for _, size in self._closed.values())
        known = set(self._closed)
        for key in [*there, *(key for key, _ in rows if key not in known)]:
            self._remove(key)
        with self._index:
            self._index.executemany("DELETE FROM versions WHERE key = ?", [(k,) for k, _ in rows if k not in known])


def _index_at(path: Path | str) -> sqlite3.Connection:
    index = sqlite3.connect(path, check_same_thread=False)
    index.execute("PRAGMA journal_mode=WAL")
    index.execute("PRAGMA synchronous=NORMAL")
    index.execute(
        "CREATE TABLE IF NOT EXISTS versions (key TEXT PRIMARY KEY, dataset TEXT, path TEXT, token TEXT, turn INT)"
    )
    index.execute("SELECT count(*) FROM versions").fetchone()
    return index
