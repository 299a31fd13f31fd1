"""Read one version of one archive file: from the cache, else from the archive, each extent fetched once."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from jupyter_alc.core.errors import ArchiveUnreachable
from jupyter_alc.dms.adapters.interface import Streams
from jupyter_alc.dms.engine.planner import (
    BLOCK,
    ONE_REQUEST,
    SMALL_FILE,
    Extent,
    Pattern,
    also_wanted,
    blocks_of,
    first_touch,
    plan,
)
from jupyter_alc.dms.engine.streams import FileStreams

if TYPE_CHECKING:
    from collections.abc import Iterable

    from jupyter_alc.dms.engine.cache import Cache, CachedVersion
    from jupyter_alc.dms.engine.fetches import Fetches
    from jupyter_alc.dms.engine.link import Link
    from jupyter_alc.dms.entry import Entry

_TRIES: Final = 3


class Reading:
    """What all files are read through: the cache, what is on its way to it, and how much it may hold."""

    def __init__(self, cache: Cache, fetches: Fetches, quota_bytes: int) -> None:
        self.cache, self.fetches, self.quota_bytes = cache, fetches, quota_bytes
        self.streams = FileStreams(cache, quota_bytes)
        self._tasks: set[asyncio.Task[None]] = set()

    def open(self, link: Link, path: str, entry: Entry) -> ArchiveFile:
        """One version, opened; close it once."""
        return ArchiveFile(self, link, path, entry)

    def ahead(self, link: Link, files: list[tuple[str, Entry]]) -> None:
        """Begin to fetch small files whole (R10)."""
        task = asyncio.create_task(self._ahead(link, files))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def stop(self) -> None:
        """Begin nothing more."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self.streams.stop()

    async def _ahead(self, link: Link, files: list[tuple[str, Entry]]) -> None:
        for path, entry in files:
            file = self.open(link, path, entry)
            file.begin([Extent(0, entry.size)])
            file.close()
            await asyncio.sleep(0)  # opening many is work: others have their turn between


class ArchiveFile:
    """One version, as a handle reads it. `cached` is for every thread, the rest for the engine's loop."""

    def __init__(self, reading: Reading, link: Link, path: str, entry: Entry) -> None:
        self.path, self.entry = path, entry
        self._reading, self._link = reading, link
        self._loop = asyncio.get_running_loop()
        self._pattern = Pattern(entry.size)
        self._touched = False
        self._wants: list[Extent] = []
        self._planned: asyncio.Future[set[int]] | None = None
        self._version = _open_or_pass(reading.cache, link, path, entry)

    def cached(self, start: int, stop: int) -> bytes | None:
        """The bytes if they are here and verified; one that brings a stream on has its window filled meanwhile."""
        stop = min(stop, self.entry.size)
        if start >= stop:
            return b""
        version = self._version
        got = version.file.read(start, stop) if version is not None else None
        if got is not None:
            self._link.need(len(got))
            if self._pattern.note(start, stop):
                with suppress(RuntimeError):  # the loop has ended
                    self._loop.call_soon_threadsafe(self._fill)
        return got

    async def read(self, start: int, stop: int) -> bytes:
        """The bytes, from wherever they must come."""
        stop = min(stop, self.entry.size)
        if start >= stop:
            return b""
        wanted = Extent(start, stop)
        got = await self._through_cache(wanted) if self._version is not None else None
        if got is None:
            got = bytes(await self._link.read(self.path, start, stop, self.entry.token))
        self._link.need(len(got))
        if start == 0 and not self._streamed():
            self.begin(also_wanted(got, self.entry.size))
        return got

    def close(self) -> None:
        """Let the version go."""
        if self._version is not None:
            self._reading.cache.close(self._version)
            self._version = None

    def begin(self, wants: list[Extent]) -> None:
        """Begin to fetch what nobody waits for yet; what finds no room is left out."""
        if self._version is None or not wants:
            return
        if self._streamed():
            self._reading.streams.begin(self._link, self.path, self.entry.token, self._version, wants)
        else:
            self._start(self._version, wants)

    def _streamed(self) -> bool:
        adapter = self._link.adapter
        return adapter.capabilities.ranges != "full" and isinstance(adapter, Streams)

    def _fill(self) -> None:
        if self._version is not None:
            self.begin([self._window()])

    def _window(self) -> Extent:
        return self._pattern.fill(min(int(self._link.line.bytes_per_second), self._reading.quota_bytes // 4))

    async def _through_cache(self, wanted: Extent) -> bytes | None:
        version = self._version
        assert version is not None
        if len(blocks_of(wanted)) * BLOCK > self._reading.quota_bytes:
            return None
        cache = self._reading.cache
        cache.touch(version)
        version.users += 1
        try:
            goal = [self._first(wanted)]
            if self._pattern.note(wanted.start, wanted.stop) or self._lost(version, wanted):
                goal.append(self._window())
            for _ in range(_TRIES):
                got = version.file.read(wanted.start, wanted.stop)
                if got is not None:
                    return got
                if not await self._bring(version, wanted, goal):
                    return None
            return version.file.read(wanted.start, wanted.stop)
        finally:
            cache.close(version)

    def _lost(self, version: CachedVersion, wanted: Extent) -> bool:
        going, has = self._reading.fetches.going, version.file.has
        gone = any(not has(number) and going(version, number) is None for number in blocks_of(wanted))
        return gone and not self._streamed() and self._pattern.lost(wanted.start)

    def _first(self, wanted: Extent) -> Extent:
        first, self._touched = not self._touched, True
        return first_touch(wanted, self.entry.size) if first or self.entry.size <= SMALL_FILE else wanted

    async def _bring(self, version: CachedVersion, wanted: Extent, goal: list[Extent]) -> bool:
        """Wait for the fetches that bring `wanted`, begun with the rest of `goal`; False when there is no room."""
        if self._streamed():
            streams = self._reading.streams
            return await streams.bring(self._link, self.path, self.entry.token, version, [wanted, *goal])
        needed = set(blocks_of(wanted))
        if needed & await self._together(version, goal):
            return False
        going = self._reading.fetches.going
        waits = {task for number in needed if (task := going(version, number)) is not None}
        if not waits:
            return True
        done, late = await asyncio.wait(waits, timeout=self._link.deadline_seconds * 2)
        if late:
            raise ArchiveUnreachable("The archive does not answer in time.", next_step="Try again in a moment.")
        return all(task.result() for task in done)

    async def _together(self, version: CachedVersion, goal: Iterable[Extent]) -> set[int]:
        """Begin what is wanted at this moment by whomever, as one plan (R9); the blocks that found no room."""
        self._wants.extend(goal)
        if self._planned is None:
            self._planned = self._loop.create_future()
            self._loop.call_soon(self._begin_all, version, self._planned)
        return await asyncio.shield(self._planned)

    def _begin_all(self, version: CachedVersion, planned: asyncio.Future[set[int]]) -> None:
        wants, self._wants, self._planned = self._wants, [], None
        refused = {number for one in wants for number in blocks_of(one)}
        try:
            refused = self._start(version, wants)
        finally:
            planned.set_result(refused)  # whatever went wrong, nobody waits for it: they read past the cache

    def _start(self, version: CachedVersion, wants: list[Extent]) -> set[int]:
        """Begin the requests that bring `wants`; the blocks that found no room."""
        fetches, refused = self._reading.fetches, set[int]()

        def coming(number: int) -> bool:
            return fetches.going(version, number) is not None

        hole, longest = self._link.line.hole, min(ONE_REQUEST, self._reading.quota_bytes)
        for extent in plan(wants, self.entry.size, version.file.has, coming, hole=hole, longest=longest):
            if not fetches.start(self._link, self.path, self.entry.token, version, extent):
                refused.update(blocks_of(extent))
        return refused


def _open_or_pass(cache: Cache, link: Link, path: str, entry: Entry) -> CachedVersion | None:
    """The cache's version; None where the disk cannot even take an empty one."""
    address = f"{link.dataset.adapter}\0{link.dataset.url}"
    try:
        return cache.open(link.dataset.id, address, path, entry.token, entry.size)
    except OSError:
        return None
