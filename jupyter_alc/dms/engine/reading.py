"""Read one version of one archive file: from the cache, else from the archive, each extent fetched once."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from jupyter_alc.core.errors import ArchiveUnreachable
from jupyter_alc.dms.engine.planner import Extent, Pattern, blocks_of, plan

if TYPE_CHECKING:
    from jupyter_alc.dms.engine.cache import Cache, CachedVersion
    from jupyter_alc.dms.engine.fetches import Fetches
    from jupyter_alc.dms.engine.link import Link
    from jupyter_alc.dms.entry import Entry

_TRIES: Final = 3


class ArchiveFile:
    """One version, as a handle reads it. `cached` is for every thread, the rest for the engine's loop."""

    def __init__(self, link: Link, path: str, entry: Entry, cache: Cache, fetches: Fetches) -> None:
        self.path, self.entry = path, entry
        self._link, self._cache, self._fetches = link, cache, fetches
        self._pattern = Pattern()
        self._version = _open_or_pass(cache, link, path, entry)

    def cached(self, start: int, stop: int) -> bytes | None:
        """The bytes if they are here and verified."""
        stop = min(stop, self.entry.size)
        if start >= stop:
            return b""
        version = self._version
        got = version.file.read(start, stop) if version is not None else None
        if got is not None:
            self._link.need(len(got))
        return got

    async def read(self, start: int, stop: int) -> bytes:
        """The bytes, from wherever they must come."""
        stop = min(stop, self.entry.size)
        if start >= stop:
            return b""
        wanted = Extent(start, stop)
        ahead = self._pattern.ahead(wanted)
        got = await self._through_cache(wanted, ahead) if self._version is not None else None
        if got is None:
            got = await self._link.read(self.path, start, stop, self.entry.token)
        self._link.need(len(got))
        return got

    def note(self, hit: Extent) -> None:
        """Let a hit count for the pattern of reading."""
        self._pattern.ahead(hit)

    def close(self) -> None:
        """Let the version go."""
        if self._version is not None:
            self._cache.close(self._version)
            self._version = None

    async def _through_cache(self, wanted: Extent, ahead: int) -> bytes | None:
        version = self._version
        assert version is not None
        self._cache.touch(version)
        version.users += 1
        try:
            for _ in range(_TRIES):
                got = version.file.read(wanted.start, wanted.stop)
                if got is not None:
                    return got
                if not await self._bring(version, wanted, ahead):
                    return None
            return version.file.read(wanted.start, wanted.stop)
        finally:
            self._cache.close(version)

    async def _bring(self, version: CachedVersion, wanted: Extent, ahead: int) -> bool:
        self._cache.recount(version)

        def have(number: int) -> bool:
            return version.file.has(number) or self._fetches.going(version, number) is not None

        needed = set(blocks_of(wanted))
        for extent in plan(wanted, self.entry.size, ahead, have):
            started = self._fetches.start(self._link, self.path, self.entry.token, version, extent)
            if not started and needed & set(blocks_of(extent)):
                return False
        waits = {task for number in needed if (task := self._fetches.going(version, number)) is not None}
        if not waits:
            return True
        done, late = await asyncio.wait(waits, timeout=self._link.deadline_seconds * 2)
        if late:
            raise ArchiveUnreachable("The archive does not answer in time.", next_step="Try again in a moment.")
        return all(task.result() for task in done)


def _open_or_pass(cache: Cache, link: Link, path: str, entry: Entry) -> CachedVersion | None:
    """The cache's version; None where the disk cannot even take an empty one."""
    address = f"{link.dataset.adapter}\0{link.dataset.url}"
    try:
        return cache.open(link.dataset.id, address, path, entry.token, entry.size)
    except OSError:
        return None
