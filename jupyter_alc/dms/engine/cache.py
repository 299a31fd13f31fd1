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
import threading
from collections import OrderedDict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, NamedTuple

from jupyter_alc.dms.engine.blocks import LAYOUT, BlockFile, beside, size_at
from jupyter_alc.dms.engine.cache_hand import Hand, told
from jupyter_alc.dms.engine.index import place_of
from jupyter_alc.dms.engine.layouts import drop_others, make_folders, open_index
from jupyter_alc.dms.engine.looked import Looked
from jupyter_alc.dms.engine.planner import BLOCK

if TYPE_CHECKING:
    from concurrent.futures import Future
    from pathlib import Path

    from jupyter_alc.dms.engine.cache_hand import Noted
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
        self.owner = ""  # the transfer that brought it: it may not evict it again
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


class _Closed(NamedTuple):
    dataset: str
    held: int  # bytes of the disk
    owner: str = ""


class Cache:
    """The folder `cache/v<layout>` and its index. One event loop; only `BlockFile.read` is for every thread.

    `keep_free_bytes` of the disk are left free: by default a twentieth of it, at most 1 GiB.
    """

    def __init__(self, folder: Path, quota_bytes: int, keep_free_bytes: int | None = None) -> None:
        self._top, self._disk = folder / f"v{LAYOUT}", folder.parent
        self._quota, self._keep_free = quota_bytes, keep_free_bytes
        self._lock = threading.Lock()
        self._closed: OrderedDict[str, _Closed] = OrderedDict()  # by key, oldest first
        self._open: OrderedDict[str, CachedVersion] = OrderedDict()
        self._looked = Looked()
        self._closing: dict[str, CachedVersion] = {}  # closed ones whose file the hand has not closed yet
        self._victim: CachedVersion | None = None  # one that nobody has open, and that goes hole by hole
        self._closed_bytes = self._reserved = self._going = 0
        self._served = self._missed = self._evicted = self._dropped = 0
        drop_others(folder, self._top)
        self._index = open_index(self._top)
        self._hand = Hand(self._index, self._part)
        self._hand.later(lambda: make_folders(self._top))
        for key, dataset, size in self._index.pick_up():
            self._closed[key] = _Closed(dataset, size)
            self._closed_bytes += size
        while self.used_bytes > self._quota and self._evict():
            pass

    @property
    def used_bytes(self) -> int:
        """What the cache takes of the disk, and what is promised to fetches on their way."""
        return self._closed_bytes + sum(one.file.held_bytes for one in self._open.values()) + self._reserved

    def bytes_of(self, dataset: str) -> int:
        """What lies here of one dataset."""
        closed = sum(one.held for one in self._closed.values() if one.dataset == dataset)
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
        version = self._take(key_of(address, path, token, size), dataset, path, token, size)
        self._open.move_to_end(version.key)
        if version is self._victim:
            self._spare()
        return version

    def held(self, key: str, size: int) -> int:
        """How many bytes of a version of `size` bytes are here, by the index alone: no file is opened."""
        version, closed = self._open.get(key), self._closed.get(key)
        held = version.file.held_bytes if version is not None else 0
        if closed is not None:
            held = closed.held
        return min(max(held - beside(size), 0), size)

    def has_whole(self, address: str, path: str, token: str, size: int) -> bool:
        """Whether all of a version that nobody has open is here, by the index alone; it counts as used last then."""
        key = key_of(address, path, token, size)
        if key not in self._closed or self.held(key, size) < size:
            return False
        self._closed.move_to_end(key)
        return True

    def claim(self, key: str, owner: str) -> None:
        """Let what is here of a version count as used last, and as brought by `owner`."""
        if key in self._open:
            self._open[key].owner = owner
        elif key in self._closed:
            self._closed[key] = self._closed[key]._replace(owner=owner)
            self._closed.move_to_end(key)

    @property
    def most_bytes(self) -> int:
        """What can be here at most, by quota and disk, if all that is here now may go."""
        return max(min(self._quota, self.used_bytes + self._free() - self._kept_free()), 0)

    def close(self, version: CachedVersion) -> None:
        """One user less; the last one closes the file."""
        version.users -= 1
        if version.users == 0 and self._open.get(version.key) is version:
            self._put_away(version)

    def touch(self, version: CachedVersion) -> None:
        """Note a read that must wait for the archive, and that the version is in use."""
        self._missed += 1
        if version.key in self._open:
            self._open.move_to_end(version.key)

    def reserve(self, size: int, owner: str = "") -> bool:
        """Make room for `size` bytes, evicting; False when that cannot be: then pass through.

        For an `owner` nothing is evicted that it brought itself.
        """
        if size > self._quota:
            return False
        while self.used_bytes + size > self._quota or not self._fits(size):
            if not self._evict(owner=owner):
                return False
        self._reserved += size
        return True

    def release(self, size: int) -> None:
        """End a reservation for which nothing came."""
        self._reserved -= size

    def ready(self, version: CachedVersion) -> Future[None]:
        """Done when the disk has done all that was decided before, and the index knows that `version` changes.

        Then any thread may store what is reserved for it; `OSError` where the index takes no more.
        """
        return self._hand.note(version)

    def landed(self, version: CachedVersion, taken: int, reserved: int) -> None:
        """End a reservation of which `taken` bytes are on the disk now."""
        self.release(reserved)
        version.file.settle(taken)

    async def store(
        self, version: CachedVersion, extent: Extent, got: bytes | bytearray | memoryview, reserved: int = 0
    ) -> bool:
        """Keep what came for `extent` and end a reservation of `reserved`; False when the disk would not take it.

        Whoever is cancelled here waits for a write that has begun, so that reservation and files end in order.
        """
        done = self._hand.do(lambda: self._store(version, extent, got))
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
            self.landed(version, taken or 0, reserved)
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
        self._hand.stop()

    def _take(self, key: str, dataset: str, path: str, token: str, size: int) -> CachedVersion:
        """The version with its file open, whatever it was before."""
        with self._lock:
            version = self._open.get(key) or self._closing.pop(key, None)
            if version is None:
                looked = self._looked.take(key)
                file = BlockFile(place_of(self._top, key), size, new=key not in self._closed, looked=looked)
                version = CachedVersion(key, dataset, path, token, file)
            version.users += 1
        if key not in self._open:
            closed = self._closed.pop(key, _Closed("", 0))
            self._closed_bytes -= closed.held
            version.owner = closed.owner
            self._open[key] = version
        return version

    def _put_away(self, version: CachedVersion) -> None:
        del self._open[version.key]
        version.parting += 1
        held = version.file.held_bytes
        if held <= beside(version.file.size):  # no block
            self._remove(version.key, 0)
        else:
            self._closed[version.key] = _Closed(version.dataset, held, version.owner)
            self._closed_bytes += held
            self._closing[version.key] = version
        self._hand.note(version, held)

    def _part(self, version: Noted) -> None:
        assert isinstance(version, CachedVersion)
        with self._lock:
            version.parting -= 1
            if version.users or version.parting:  # opened again meanwhile
                return
            if self._closing.get(version.key) is version:
                del self._closing[version.key]
            self._served, version.file.served = self._served + version.file.served, 0
            self._dropped, version.file.dropped = self._dropped + version.file.dropped, 0
            self._looked.keep(version.key, version.file.looked)
            version.file.close()

    def _store(self, version: CachedVersion, extent: Extent, got: bytes | bytearray | memoryview) -> int | None:
        try:
            self._hand.note_now(version)
            return version.file.store(extent, got)
        except OSError as error:
            log.warning("The cache's disk refuses (%s); reading past it.", error.strerror)
            return None

    def _free(self, seen: os.statvfs_result | None = None) -> int:
        seen = seen or os.statvfs(self._disk)
        return seen.f_bavail * seen.f_frsize

    def _fits(self, size: int) -> bool:
        seen = os.statvfs(self._disk)
        return self._free(seen) + self._going >= size + self._reserved + self._kept_free(seen)

    def _kept_free(self, seen: os.statvfs_result | None = None) -> int:
        if self._keep_free is not None:
            return self._keep_free
        seen = seen or os.statvfs(self._disk)
        return min(seen.f_blocks * seen.f_frsize // _OF_THE_DISK, _MOST_FREE)

    def _evict(self, *, now: bool = False, owner: str = "") -> bool:
        """Evict one hole, or one small file that nobody has open; False when nothing may go.

        The disk gives the space back in its turn, or before this returns (`now`).
        """
        if self._victim is not None and _of(self._victim, owner):
            self._spare()
        while self._victim is not None or self._pass_over(owner):
            if self._victim is None and self._evict_small(now=now):
                return True
            if self._victim is not None:
                done = self._evict_hole(self._victim, now=now)
                if self._victim.file.held_bytes <= beside(self._victim.file.size):
                    self._spare()
                if done:
                    return True
        for last in (False, True):
            for version in [*self._open.values()]:
                if _of(version, owner):
                    continue
                if last or version.seen == version.file.served:
                    if self._evict_hole(version, now=now):
                        return True
                else:  # it was read from lately: a second chance
                    version.seen = version.file.served
                    self._open.move_to_end(version.key)
        return False

    def _pass_over(self, owner: str) -> bool:
        """Bring a closed version that `owner` may evict to the front; False when there is none."""
        for _ in range(len(self._closed)):
            key, closed = next(iter(self._closed.items()))
            if not owner or closed.owner != owner:
                return True
            self._closed.move_to_end(key)
        return False

    def _evict_small(self, *, now: bool) -> bool:
        """Evict the closed version used longest ago, if it is small; else it is the next to go hole by hole."""
        key, (dataset, held, _) = next(iter(self._closed.items()))
        if held > _AT_ONCE:
            with contextlib.suppress(OSError):
                self._victim = self._take(key, dataset, "", "", size_at(place_of(self._top, key)))
                return False
        del self._closed[key]
        self._closed_bytes -= held
        self._closing.pop(key, None)
        self._remove(key, held, now=now)
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
            told(lambda: version.file.punch(gone))
        elif gone:
            with self._lock:
                self._going += len(gone) * BLOCK
            self._hand.later(lambda: self._punch(version, gone))
        self._evicted += bool(gone)
        return bool(gone)

    def _punch(self, version: CachedVersion, gone: list[int]) -> None:
        try:
            version.file.punch(gone)
        finally:
            with self._lock:
                self._going -= len(gone) * BLOCK

    def _remove(self, key: str, held: int, *, now: bool = False) -> None:
        """Remove the file of a version that is closed; one of its key that comes again is stored after that."""
        with self._lock:
            self._looked.take(key)
            self._going += held
        if now:
            self._unlink(key, held)
        else:
            self._hand.later(lambda: self._unlink(key, held))
        self._hand.later(lambda: self._index.removed(key))

    def _unlink(self, key: str, held: int) -> None:
        with contextlib.suppress(OSError):
            os.unlink(place_of(self._top, key))  # noqa: PTH108
        with self._lock:
            self._going -= held


def key_of(address: str, path: str, token: str, size: int) -> str:
    """What one version of one file is called in the cache."""
    named = "\0".join((address, path, token, str(size))).encode("utf-8", "surrogateescape")
    return hashlib.sha256(named).hexdigest()


def _of(version: CachedVersion, owner: str) -> bool:
    return bool(owner) and version.owner == owner
