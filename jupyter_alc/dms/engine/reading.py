"""Read one version of one archive file: from the cache, else from the archive, each extent fetched once."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

from jupyter_alc.core.errors import AlcError, ArchiveUnreachable
from jupyter_alc.dms.adapters.interface import Streams
from jupyter_alc.dms.engine.accounts import Share
from jupyter_alc.dms.engine.planner import (
    AHEAD_REQUEST,
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
from jupyter_alc.dms.formats.following import Formats

if TYPE_CHECKING:
    from collections.abc import Collection, Coroutine, Iterable

    from jupyter_alc.dms.engine.cache import Cache, CachedVersion
    from jupyter_alc.dms.engine.fetches import Fetches
    from jupyter_alc.dms.engine.link import Link
    from jupyter_alc.dms.entry import Entry

_TRIES: Final = 3


class Reading:
    """What all files are read through: the cache, what is on its way to it, and how much it may hold."""

    def __init__(self, cache: Cache, fetches: Fetches, quota_bytes: int) -> None:
        self.cache, self.fetches, self.quota_bytes = cache, fetches, quota_bytes
        self.streams, self.formats = FileStreams(cache, quota_bytes), Formats()
        self._tasks: set[asyncio.Task[None]] = set()

    def open(self, link: Link, path: str, entry: Entry) -> ArchiveFile:
        """One version, opened; close it once."""
        return ArchiveFile(self, link, path, entry)

    def ahead(self, link: Link, files: list[tuple[str, Entry]], share: Share) -> None:
        """Begin to fetch small files whole (R10), for the reader of `share`."""
        self.beside(self._ahead(link, files, share))

    def beside(self, work: Coroutine[Any, Any, None]) -> None:
        """Do `work` while readers go on."""
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def stop(self) -> None:
        """Begin nothing more."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self.streams.stop()
        self.formats.stop()

    async def _ahead(self, link: Link, files: list[tuple[str, Entry]], share: Share) -> None:
        for path, entry in files:
            if self.cache.has_whole(link.address, path, entry.token, entry.size):
                continue
            file = self.open(link, path, entry)
            file.share = share
            file.begin([Extent(0, entry.size)])
            file.close()
            await asyncio.sleep(0)  # opening many is work: others have their turn between


class ArchiveFile:
    """One version, as a handle reads it. `cached` is for every thread, the rest for the engine's loop.

    What is read counts on `share`, the reader's of this dataset, which whoever opens the file puts there.
    """

    def __init__(self, reading: Reading, link: Link, path: str, entry: Entry) -> None:
        self.path, self.entry, self.share = path, entry, Share()
        self._reading, self._link = reading, link
        self._loop = asyncio.get_running_loop()
        self._pattern = Pattern(entry.size)
        self._touched = False
        self._wants: list[Extent] = []
        self._waited: set[int] = set()
        self._planned: asyncio.Future[set[int]] | None = None
        self._version = _open_or_pass(reading.cache, link, path, entry)
        self._follow = reading.formats.follow(self._version.key if self._version is not None else "", entry.size)

    def cached(self, start: int, stop: int) -> bytes | None:
        """The bytes if they are here and verified."""
        stop = min(stop, self.entry.size)
        if start >= stop:
            return b""
        got = self.ahead(start, stop)
        if got is not None:
            self.passed(start, stop)
        return got

    def ahead(self, start: int, stop: int) -> bytes | None:
        """The bytes, within the file, if they are here and verified, for a reader who has not asked yet."""
        version = self._version
        return version.file.read(start, stop) if version is not None else None

    def passed(self, start: int, stop: int) -> None:
        """Count bytes that a reader got; one that brings a stream on has its window filled meanwhile."""
        self._link.need(stop - start)
        self.share.need(stop - start)
        if self._noted(start, stop):
            with suppress(RuntimeError):  # the loop has ended
                self._loop.call_soon_threadsafe(self._fill)

    async def read(self, start: int, stop: int) -> bytes:
        """The bytes, from wherever they must come."""
        stop = min(stop, self.entry.size)
        if start >= stop:
            return b""
        wanted = Extent(start, stop)
        got = await self._through_cache(wanted) if self._version is not None else None
        if got is None:
            got = bytes(await self._link.read(self.path, start, stop, self.entry.token))
            self.share.move(len(got))
        self._link.need(len(got))
        self.share.need(len(got))
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
            self._reading.streams.begin(self._link, self.path, self.entry.token, self._version, wants, share=self.share)
        else:
            self._start(self._version, wants)

    def _streamed(self) -> bool:
        adapter = self._link.adapter
        return adapter.capabilities.ranges != "full" and isinstance(adapter, Streams)

    def _noted(self, start: int, stop: int) -> bool:
        """Count a read; whether `_ahead` has something to do."""
        goes_on = self._follow.note(start, stop, streaming=self._pattern.window > 0)
        return goes_on if self._follow.inside else self._pattern.note(start, stop)

    def _fill(self) -> None:
        if self._version is not None:
            self.begin(self._ahead())

    def _ahead(self) -> list[Extent]:
        """What to fetch ahead of the last read: along the chunks of its format (F3), else of its stream (R8)."""
        return self._along() if self._follow.inside else [self._pattern.fill(self._most, self._link.line.reach)]

    def _along(self) -> list[Extent]:
        chunks, page = self._follow.fill(self._most)
        if page is not None and self._version is not None:
            self._reading.beside(self._turn(self._version, page))
        return chunks

    @property
    def _most(self) -> int:
        """The bytes to have ahead at most."""
        return min(int(self._link.line.bytes_per_second), self._reading.quota_bytes // 4)

    async def _turn(self, version: CachedVersion, page: Extent) -> None:
        """Bring a page of the index, and go on with the chunks that it tells."""
        version.users += 1
        try:
            with suppress(AlcError):
                if await self._bring(version, page, [page]):
                    await self._follow.learn(self._peek)
                    self.begin(self._along())
        finally:
            self._reading.cache.close(version)

    def _peek(self, start: int, stop: int) -> bytes | None:
        version = self._version
        return version.file.read(start, stop, counts=False) if version and stop <= self.entry.size else None

    async def _through_cache(self, wanted: Extent) -> bytes | None:
        version = self._version
        assert version is not None
        if len(blocks_of(wanted)) * BLOCK > self._reading.quota_bytes:
            return None
        cache = self._reading.cache
        cache.touch(version)
        version.users += 1
        try:
            await self._follow.learn(self._peek)
            goal = [self._first(wanted)]
            if self._noted(wanted.start, wanted.stop) or (not self._follow.inside and self._lost(version, wanted)):
                goal.extend(self._ahead())
            goal.extend(self._follow.whole(self._reading.quota_bytes // 4))
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
            return await streams.bring(
                self._link, self.path, self.entry.token, version, [wanted, *goal], share=self.share
            )
        needed = set(blocks_of(wanted))
        if needed & await self._together(version, goal, needed):
            return False
        waits = self._reading.fetches.waits(version, needed)
        if not waits:
            return True
        done, late = await asyncio.wait(waits, timeout=self._link.deadline_seconds * 2)
        if late:
            raise ArchiveUnreachable("The archive does not answer in time.", next_step="Try again in a moment.")
        return all(task.result() for task in done)

    async def _together(self, version: CachedVersion, goal: Iterable[Extent], needed: set[int]) -> set[int]:
        """Begin what is wanted at this moment by whomever, as one plan (R9); the blocks that found no room.

        Somebody waits for the blocks `needed`.
        """
        self._wants.extend(goal)
        self._waited |= needed
        if self._planned is None:
            self._planned = self._loop.create_future()
            self._loop.call_soon(self._begin_all, version, self._planned)
        return await asyncio.shield(self._planned)

    def _begin_all(self, version: CachedVersion, planned: asyncio.Future[set[int]]) -> None:
        wants, self._wants, self._planned = self._wants, [], None
        waited, self._waited = self._waited, set()
        refused = {number for one in wants for number in blocks_of(one)}
        try:
            refused = self._start(version, wants, waited)
        finally:
            planned.set_result(refused)  # whatever went wrong, nobody waits for it: they read past the cache

    def _start(self, version: CachedVersion, wants: list[Extent], waited: Collection[int] = ()) -> set[int]:
        """Begin the requests that bring `wants`, of which blocks are `waited` for; those that found no room."""
        fetches, refused = self._reading.fetches, set[int]()

        def coming(number: int) -> bool:
            return fetches.going(version, number) is not None

        longest = min(ONE_REQUEST if waited else AHEAD_REQUEST, self._reading.quota_bytes)
        hole = self._link.line.hole
        for extent in plan(wants, self.entry.size, version.file.has, coming, hole=hole, longest=longest):
            numbers, token = blocks_of(extent), self.entry.token
            now = any(number in waited for number in numbers)
            if not fetches.start(self._link, self.path, token, version, extent, share=self.share, waited=now):
                refused.update(numbers)
        return refused


def _open_or_pass(cache: Cache, link: Link, path: str, entry: Entry) -> CachedVersion | None:
    """The cache's version; None where the disk cannot even take an empty one."""
    try:
        return cache.open(link.dataset.id, link.address, path, entry.token, entry.size)
    except OSError:
        return None
