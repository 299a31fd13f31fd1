"""Archives that take no ranges (R12): one stream a file, whose blocks are kept as they pass."""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from typing import TYPE_CHECKING, Final

from jupyter_alc.core.errors import AlcError, ArchiveUnreachable
from jupyter_alc.dms.engine.planner import BLOCK, Extent, blocks_of

if TYPE_CHECKING:
    from jupyter_alc.dms.engine.accounts import Share
    from jupyter_alc.dms.engine.cache import Cache, CachedVersion
    from jupyter_alc.dms.engine.link import Link

_AT_ONCE: Final = 1024 * 1024
_REACH: Final = 4 * 1024 * 1024  # so far ahead a block is waited for rather than asked for anew
_TURN: Final = 16 * 1024 * 1024  # who waits for a block that has passed has a turn after so much
_PAUSE_SECONDS: Final = 1.0


class FileStreams:
    """The streams on their way, one for each version that is read so."""

    def __init__(self, cache: Cache, quota_bytes: int) -> None:
        self.cache, self.quota_bytes = cache, quota_bytes
        self._going: dict[str, _Stream] = {}

    @property
    def under_way(self) -> int:
        """How many streams are on their way."""
        return len(self._going)

    def begin(
        self,
        link: Link,
        path: str,
        token: str,
        version: CachedVersion,
        wants: list[Extent],
        *,
        share: Share | None = None,
    ) -> _Stream:
        """See to it that the blocks of `wants` pass, one after the other; what passes moves for who asked last."""
        stream = self._going.get(version.key)
        if stream is None:
            stream = self._going[version.key] = _Stream(self, link, path, token, version)
        stream.share = share
        for number in (number for extent in wants for number in blocks_of(extent)):
            stream.want(number)
        if stream.task is None and stream.wants:
            version.users += 1
            stream.task = asyncio.create_task(stream.run())
            stream.task.add_done_callback(lambda _: self._ended(version))
        elif stream.task is None:
            del self._going[version.key]
        return stream

    async def bring(
        self,
        link: Link,
        path: str,
        token: str,
        version: CachedVersion,
        wants: list[Extent],
        *,
        share: Share | None = None,
    ) -> bool:
        """Wait until the first of `wants` has passed, the others may follow; False where it could not be kept."""
        stream = self.begin(link, path, token, version, wants, share=share)
        waits = [stream.wants[number] for number in blocks_of(wants[0]) if number in stream.wants]
        if not waits:
            return True
        done, late = await asyncio.wait(waits, timeout=2 * link.deadline_seconds)
        if late:
            raise ArchiveUnreachable("The archive does not answer in time.", next_step="Try again in a moment.")
        return all(one.result() for one in done)

    async def stop(self) -> None:
        """Hang up."""
        tasks = [stream.task for stream in self._going.values() if stream.task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await asyncio.sleep(0)

    def _ended(self, version: CachedVersion) -> None:
        self._going.pop(version.key, None)
        self.cache.close(version)


class _Stream:
    """One file's: `wants` are the blocks that somebody needs, or soon will."""

    def __init__(self, streams: FileStreams, link: Link, path: str, token: str, version: CachedVersion) -> None:
        self._cache, self._link, self._path, self._token, self._version = streams.cache, link, path, token, version
        self._whole = link.adapter.capabilities.ranges == "none" and version.file.size <= streams.quota_bytes // 2
        self.wants: dict[int, asyncio.Future[bool]] = {}
        self.task: asyncio.Task[None] | None = None
        self.share: Share | None = None
        self._more = asyncio.Event()

    def want(self, number: int) -> None:
        """Let block `number` pass, if it is not here."""
        if not self._version.file.has(number) and number not in self.wants:
            self.wants[number] = asyncio.get_running_loop().create_future()
            self._more.set()

    async def run(self) -> None:
        """Stream until nothing is wanted; what goes wrong is told to all who wait."""
        try:
            while self.wants:
                await self._pass(0 if self._link.adapter.capabilities.ranges == "none" else min(self.wants) * BLOCK)
        except AlcError as error:
            for waiting in self.wants.values():
                waiting.set_exception(error)
                waiting.exception()  # looked at: mostly nobody waits
        finally:
            for waiting in self.wants.values():
                if not waiting.done():
                    waiting.set_result(False)
            self.wants.clear()

    async def _pass(self, at: int) -> None:
        began, size, gathered = at, self._version.file.size, bytearray()
        async with aclosing(self._link.pieces(self._path, at, self._token)) as pieces:
            async for piece in pieces:
                gathered += piece
                if self.share is not None:
                    self.share.move(len(piece))
                ends = at + len(gathered) >= size
                whole = len(gathered) if ends else len(gathered) // BLOCK * BLOCK
                here = Extent(at, at + whole)
                if not whole or not (ends or whole >= _AT_ONCE or self._waited_for(here)):
                    continue
                await self._keep(here, bytes(memoryview(gathered)[:whole]))
                del gathered[:whole]
                at += whole
                if not await self._goes_on(began, at):
                    return
        raise ArchiveUnreachable("The archive broke off in the middle of a file.", next_step="Try again.")

    async def _keep(self, extent: Extent, got: bytes) -> None:
        numbers, version = blocks_of(extent), self._version
        kept = all(version.file.has(number) for number in numbers)
        if not kept and self._cache.reserve(room := version.needs(extent)):
            version.busy.update(numbers)
            try:
                kept = await self._cache.store(version, extent, got, room)
            finally:
                version.busy.difference_update(numbers)
        for number in numbers:
            waiting = self.wants.pop(number, None)
            if waiting is not None:
                waiting.set_result(kept)

    def _waited_for(self, extent: Extent) -> bool:
        return any(number in self.wants for number in blocks_of(extent))

    async def _goes_on(self, began: int, at: int) -> bool:
        """Whether what comes after `at` is worth its way; waits a moment for somebody who reads on."""
        if at >= self._version.file.size:
            return False
        if self._whole:
            return True
        if not self.wants:
            self._more.clear()
            try:
                async with asyncio.timeout(_PAUSE_SECONDS):
                    await self._more.wait()
            except TimeoutError:
                return False
        ahead = [number * BLOCK for number in self.wants if number * BLOCK >= at]
        if not ahead or (len(ahead) < len(self.wants) and at - began >= _TURN):
            return False
        return self._link.adapter.capabilities.ranges == "none" or min(ahead) - at <= _REACH
