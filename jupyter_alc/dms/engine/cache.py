"""All versions in the cache, under one hard quota: what was used longest ago goes first, open files included.

What is in the cache is decided on the engine's loop and at once. What the disk must do for it is done by one thread in
the order of the decisions, so that a store finds the room that was made for it, and the loop never waits for the disk.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import hashlib
import logging
import os
import shutil
import sqlite3
import threading
from collections import OrderedDict
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from jupyter_alc.core.clock import random_id
from jupyter_alc.dms.engine.blocks import LAYOUT, BlockFile, beside
from jupyter_alc.dms.engine.index import Index
from jupyter_alc.dms.engine.planner import BLOCK

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from jupyter_alc.dms.engine.planner import Extent

log = logging.getLogger(__name__)
_MOST_FREE: Final = 1024**3
_OF_THE_DISK: Final = 20  # a twentieth
_AT_ONCE: Final = 4 * 1024 * 1024  # a closed file of at most so many bytes is evicted whole


class CachedVersion:
    """One version, open. `busy` holds the blocks being fetched: they are never evicted."""

    def __init__(self, key: str, dataset: str, path: str, token: str, file: BlockFile) -> None:
        self.key, self.dataset, self.path, self.token, self.file = key, dataset, path, token, file
        self.users = 0
        self.busy: set[int] = set()
        self.noted = False  # whether the index knows that it changes
        self.parting = 0  # how often the hand has still to close it
        self.seen = 0  # reads served when it was last looked at for eviction

    def needs(self, extent: Extent) -> int:
        """What to reserve for `extent`."""
        return self.file.needs(extent)


@dataclass(frozen=True, slots=True)
class Counts:
    """What happened since the start: reads answered from here and not, holes evicted, blocks whose checksum failed."""

    hits: int
    misses: int
    evictions: int
    dropped: int


class Cache:
    """The folder `cache/v<layout>` and its index. One event loop; only `BlockFile.read` is for every thread.

    `keep_free_bytes` of the disk are left free: by default a twentieth of it, at most 1 GiB.
    """

    def __init__(self, folder: Path, quota_bytes: int, keep_free_bytes: int | None = None) -> None:
        self._top, self._disk = folder / f"v{LAYOUT}", folder.parent
        self._quota, self._keep_free = quota_bytes, keep_free_bytes
        self._hand = ThreadPoolExecutor(1, "alc-cache")
        self._lock = threading.Lock()
        self._closed: OrderedDict[str, tuple[str, int]] = OrderedDict()  # key -> (dataset, bytes), oldest first
        self._open: OrderedDict[str, CachedVersion] = OrderedDict()
        self._closing: dict[str, CachedVersion] = {}  # closed ones whose files the hand has not closed yet
        self._victim: CachedVersion | None = None  # one that nobody has open, and that goes hole by hole
        self._closed_bytes = self._reserved = self._going = 0
        self._served = self._missed = self._evicted = self._dropped = 0
        _drop_others(folder, self._top)
        self._index = self._open_index()
        for key, dataset, size in self._index.pick_up():
            self._closed[key] = (dataset, size)
            self._closed_bytes += size
        while self.used_bytes > self._quota and self._evict():
            pass

    @property
    def used_bytes(self) -> int:
        """What the cache takes of the disk, and what is promised to fetches on their way."""
        return self._closed_bytes + sum(one.file.held_bytes for one in self._open.values()) + self._reserved

    def bytes_of(self, dataset: str) -> int:
        """What lies here of one dataset."""
        closed = sum(size for name, size in self._closed.values() if name == dataset)
        return closed + sum(one.file.held_bytes for one in self._open.values() if one.dataset == dataset)

    def counts(self) -> Counts:
        """What happened since the start."""
        with self._lock:
            files = [one.file for one in (*self._open.values(), *self._closing.values())]
            served = self._served + sum(one.served for one in files)
            dropped = self._dropped + sum(one.dropped for one in files)
        return Counts(max(served - self._missed, 0), self._missed, self._evicted, dropped)

    def open(self, dataset: str, address: str, path: str, token: str, size: int) -> CachedVersion:
        """The version's blocks; the same object for everybody who has it open. `OSError` when the disk refuses."""
        named = "\0".join((address, path, token, str(size))).encode("utf-8", "surrogateescape")
        version = self._take(hashlib.sha256(named).hexdigest(), dataset, path, token, size)
        self._open.move_to_end(version.key)
        if version is self._victim:
            self._spare()
        return version

    def close(self, version: CachedVersion) -> None:
        """One user less; the last one closes the files."""
        version.users -= 1
        if version.users == 0 and self._open.get(version.key) is version:
            self._put_away(version)

    def touch(self, version: CachedVersion) -> None:
        """Note a read that must wait for the archive, and that the version is in use."""
        self._missed += 1
        if version.key in self._open:
            self._open.move_to_end(version.key)

    def reserve(self, size: int) -> bool:
        """Make room for `size` bytes, evicting; False when that cannot be: then pass through."""
        if size > self._quota:
            return False
        while self.used_bytes + size > self._quota or not self._fits(size):
            if not self._evict():
                return False
        self._reserved += size
        return True

    def release(self, size: int) -> None:
        """End a reservation for which nothing came."""
        self._reserved -= size

    async def store(
        self, version: CachedVersion, extent: Extent, got: bytes | bytearray | memoryview, reserved: int = 0
    ) -> bool:
        """Keep what came for `extent` and end a reservation of `reserved`; False when the disk would not take it.

        Whoever is cancelled here waits for a write that has begun, so that reservation and files end in order.
        """
        done = self._hand.submit(self._store, version, extent, got)
        waiting, taken = asyncio.wrap_future(done), None
        try:
            taken = await asyncio.shield(waiting)
        except asyncio.CancelledError:
            done.cancel()  # if it has not begun
            while not waiting.done():
                with contextlib.suppress(asyncio.CancelledError):
                    await asyncio.wait([waiting])
            taken = None if waiting.cancelled() else waiting.result()
            raise
        finally:
            self._reserved -= reserved
            version.file.settle(taken or 0)
        return taken is not None

    def make_room(self, size: int) -> None:
        """Evict until the disk has `size` bytes free for what cannot be fetched again; `OSError` if it cannot."""
        while self._free() < size:
            if not self._evict(now=True):
                raise OSError(errno.ENOSPC, "the disk is full")

    def stop(self) -> None:
        """Close everything; the index keeps the order of use."""
        for version in list(self._open.values()):
            version.users = 0
            self._put_away(version)
        self._hand.submit(self._index.close)
        self._hand.shutdown()

    def _take(self, key: str, dataset: str, path: str, token: str, size: int) -> CachedVersion:
        """The version with its files open, whatever it was before."""
        with self._lock:
            version = self._open.get(key) or self._closing.pop(key, None)
            if version is None:
                version = CachedVersion(key, dataset, path, token, BlockFile(self._stem(key), size))
            version.users += 1
        if key not in self._open:
            self._closed_bytes -= self._closed.pop(key, ("", 0))[1]
            self._open[key] = version
        return version

    def _put_away(self, version: CachedVersion) -> None:
        del self._open[version.key]
        version.parting += 1
        held = version.file.held_bytes
        if held <= beside(version.file.size):  # no block
            self._remove(version.key)
        else:
            self._closed[version.key] = (version.dataset, held)
            self._closed_bytes += held
            self._closing[version.key] = version
        self._later(lambda: self._part(version, held))

    def _part(self, version: CachedVersion, held: int) -> None:
        self._index.closed(version.key, held)
        version.noted = False
        with self._lock:
            version.parting -= 1
            if version.users or version.parting:  # opened again meanwhile
                return
            if self._closing.get(version.key) is version:
                del self._closing[version.key]
            self._served, version.file.served = self._served + version.file.served, 0
            self._dropped, version.file.dropped = self._dropped + version.file.dropped, 0
            version.file.close()

    def _store(self, version: CachedVersion, extent: Extent, got: bytes | bytearray | memoryview) -> int | None:
        try:
            if not version.noted:
                self._index.opened(version.key, version.dataset, version.path, version.token)
                version.noted = True
            return version.file.store(extent, got)
        except OSError as error:
            log.warning("The cache's disk refuses (%s); reading past it.", error.strerror)
            return None

    def _free(self) -> int:
        seen = os.statvfs(self._disk)
        return seen.f_bavail * seen.f_frsize

    def _fits(self, size: int) -> bool:
        keep = self._keep_free
        if keep is None:
            seen = os.statvfs(self._disk)
            keep = min(seen.f_blocks * seen.f_frsize // _OF_THE_DISK, _MOST_FREE)
        return self._free() + self._going >= size + self._reserved + keep

    def _evict(self, *, now: bool = False) -> bool:
        """Evict one hole, or one small file that nobody has open; False when nothing may go.

        The disk gives the space back in its turn, or before this returns (`now`).
        """
        while self._victim is not None or self._closed:
            if self._victim is None and self._evict_small():
                return True
            if self._victim is not None:
                done = self._evict_hole(self._victim, now=now)
                if self._victim.file.held_bytes <= beside(self._victim.file.size):
                    self._spare()
                if done:
                    return True
        for version in [*self._open.values()] * 2:
            if version.seen == version.file.served:
                if self._evict_hole(version, now=now):
                    return True
            else:  # it was read from lately: a second chance
                version.seen = version.file.served
                self._open.move_to_end(version.key)
        return False

    def _evict_small(self) -> bool:
        """Evict the closed version used longest ago, if it is small; else it is the next to go hole by hole."""
        key, (dataset, held) = next(iter(self._closed.items()))
        if held > _AT_ONCE:
            with contextlib.suppress(OSError):
                size = self._stem(key).with_suffix(".data").stat().st_size
                self._victim = self._take(key, dataset, "", "", size)
                return False
        del self._closed[key]
        self._closed_bytes -= held
        self._closing.pop(key, None)
        self._remove(key)
        self._evicted += 1
        return True

    def _spare(self) -> None:
        """Have no victim any more: it is in use again, or nothing of it is left."""
        version, self._victim = self._victim, None
        if version is not None:
            self.close(version)

    def _evict_hole(self, version: CachedVersion, *, now: bool) -> bool:
        gone = version.file.forget(version.busy)
        if gone and now:
            _told(lambda: version.file.punch(gone))
        elif gone:
            with self._lock:
                self._going += len(gone) * BLOCK
            self._later(lambda: self._punch(version, gone))
        self._evicted += bool(gone)
        return bool(gone)

    def _punch(self, version: CachedVersion, gone: list[int]) -> None:
        try:
            version.file.punch(gone)
        finally:
            with self._lock:
                self._going -= len(gone) * BLOCK

    def _later(self, work: Callable[[], None]) -> None:
        self._hand.submit(_told, work)

    def _stem(self, key: str) -> Path:
        return self._top / key[:2] / key

    def _remove(self, key: str) -> None:
        for end in (".side", ".data"):
            with contextlib.suppress(OSError):
                self._stem(key).with_suffix(end).unlink(missing_ok=True)
        self._later(lambda: self._index.removed(key))

    def _open_index(self) -> Index:
        """Open the index; one that is damaged or finds no room starts empty, at worst in memory."""
        for _ in range(2):
            try:
                self._top.mkdir(parents=True, exist_ok=True, mode=0o700)
                return Index(self._top)
            except (sqlite3.DatabaseError, OSError) as error:
                log.warning("The cache's index cannot be used (%s); the cache starts empty.", error)
                _throw_away(self._top)
        return Index(None)


def _told(work: Callable[[], None]) -> None:
    try:
        work()
    except (OSError, sqlite3.Error) as error:  # what is not done now costs room or a fetch, never a byte
        log.warning("The cache's disk refuses (%s).", error)


def _drop_others(folder: Path, top: Path) -> None:
    """Remove caches of other layouts: all that is in them is in the archives."""
    for old in folder.glob("v*"):
        if old != top:
            _throw_away(old)


def _throw_away(folder: Path) -> None:
    """Take `folder` out of the way at once, and remove it beside all else: that may take long."""
    aside = folder.with_name(f"v-gone-{random_id('cache')}")
    try:
        folder.rename(aside)
    except OSError:
        shutil.rmtree(folder, ignore_errors=True)
    else:
        threading.Thread(target=shutil.rmtree, args=(aside,), kwargs={"ignore_errors": True}, daemon=True).start()
