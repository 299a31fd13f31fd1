"""What is on its way from the archives into the cache: each extent fetched once."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from jupyter_alc.dms.engine.planner import Extent, blocks_of

if TYPE_CHECKING:
    from jupyter_alc.dms.engine.cache import Cache, CachedVersion
    from jupyter_alc.dms.engine.link import Link


class Fetches:
    """The extents on their way, for every version: a block is asked for once, however many wait for it."""

    def __init__(self, cache: Cache) -> None:
        self._cache = cache
        self._going: dict[tuple[str, int], asyncio.Task[bool]] = {}

    def going(self, version: CachedVersion, number: int) -> asyncio.Task[bool] | None:
        """The fetch that will bring block `number`, if there is one."""
        return self._going.get((version.key, number))

    def start(self, link: Link, path: str, token: str, version: CachedVersion, extent: Extent) -> bool:
        """Begin to fetch `extent`; False when there is no room to keep it."""
        room = version.needs(extent)
        if not self._cache.reserve(room):
            return False
        numbers = blocks_of(extent)
        version.users += 1
        version.busy.update(numbers)
        reserved = [room]  # until the cache has it

        async def fetch() -> bool:
            got = await link.read(path, extent.start, extent.stop, token)
            return await self._cache.store(version, extent, got, reserved.pop())

        task = asyncio.create_task(fetch())
        for number in numbers:
            self._going[version.key, number] = task
        task.add_done_callback(lambda done: self._landed(version, numbers, sum(reserved), done))
        return True

    async def stop(self) -> None:
        """End what is on its way."""
        going = list(set(self._going.values()))
        for task in going:
            task.cancel()
        await asyncio.gather(*going, return_exceptions=True)
        await asyncio.sleep(0)

    def _landed(self, version: CachedVersion, numbers: range, room: int, task: asyncio.Task[bool]) -> None:
        for number in numbers:
            self._going.pop((version.key, number), None)
        version.busy.difference_update(numbers)
        self._cache.release(room)
        self._cache.close(version)
        if not task.cancelled():
            task.exception()
