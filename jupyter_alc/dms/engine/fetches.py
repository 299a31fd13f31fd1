"""What is on its way from the archives into the cache: each extent fetched once."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING

from jupyter_alc.dms.engine.landing import Landing, NotKept
from jupyter_alc.dms.engine.planner import Extent, blocks_of
from jupyter_alc.dms.engine.turns import Ticket

if TYPE_CHECKING:
    from collections.abc import Iterable

    from jupyter_alc.dms.engine.accounts import Share
    from jupyter_alc.dms.engine.cache import Cache, CachedVersion
    from jupyter_alc.dms.engine.link import Link


@dataclass(frozen=True, slots=True)
class _Going:
    """A request under way; `landing` where its blocks come one after the other."""

    task: asyncio.Task[bool]
    link: Link
    ticket: Ticket
    landing: Landing | None


class Fetches:
    """The extents on their way, for every version: a block is asked for once, however many wait for it."""

    def __init__(self, cache: Cache) -> None:
        self._cache = cache
        self._going: dict[tuple[str, int], _Going] = {}

    @property
    def under_way(self) -> int:
        """How many blocks are on their way."""
        return len(self._going)

    def going(self, version: CachedVersion, number: int) -> asyncio.Task[bool] | None:
        """The fetch that will bring block `number`, if there is one."""
        one = self._going.get((version.key, number))
        return None if one is None else one.task

    def waits(self, version: CachedVersion, numbers: Iterable[int]) -> list[asyncio.Future[bool]]:
        """Wait for those of the blocks that are on their way (R14): done with True as each is here (R15)."""
        found = defaultdict[_Going, list[int]](list)
        for number in numbers:
            if (one := self._going.get((version.key, number))) is not None:
                found[one].append(number)
        for one in found:
            one.link.hurry(one.ticket)
        return [one.task if one.landing is None else one.landing.wait(wanted) for one, wanted in found.items()]

    def start(
        self,
        link: Link,
        path: str,
        token: str,
        version: CachedVersion,
        extent: Extent,
        *,
        share: Share | None = None,
        owner: str = "",
        waited: bool = False,
    ) -> bool:
        """Begin to fetch `extent`, which moves for `share`; False when there is no room to keep it.

        `waited`: somebody waits for it already. For an `owner` nothing makes room that it brought itself.
        """
        room = version.needs(extent)
        if not self._cache.reserve(room, owner):
            return False
        numbers, ticket = blocks_of(extent), Ticket(waited, path)
        version.users += 1
        version.busy.update(numbers)
        landing = Landing(version, extent, ticket, self._cache.ready(version)) if link.fills is not None else None

        async def fetch() -> bool:
            reserved = room  # until the cache has it
            try:
                if landing is not None:
                    return await self._landed(link, path, token, landing, ticket)
                got = await link.read(path, extent.start, extent.stop, token, ticket)
                if share is not None:
                    share.move(len(got))
                reserved = 0
                return await self._cache.store(version, extent, got, room)
            finally:
                if landing is not None and share is not None:
                    share.move(landing.at - extent.start)
                self._cache.landed(version, 0 if landing is None else landing.taken, reserved)

        task = asyncio.create_task(fetch())
        one = _Going(task, link, ticket, landing)
        for number in numbers:
            self._going[version.key, number] = one
        task.add_done_callback(lambda _: self._ended(version, numbers, one))
        return True

    async def stop(self) -> None:
        """End what is on its way."""
        going = list({one.task for one in self._going.values()})
        for task in going:
            task.cancel()
        await asyncio.gather(*going, return_exceptions=True)
        await asyncio.sleep(0)

    async def _landed(self, link: Link, path: str, token: str, landing: Landing, ticket: Ticket) -> bool:
        try:
            await link.fill(path, token, landing, ticket)
        except NotKept:
            return False
        return True

    def _ended(self, version: CachedVersion, numbers: range, one: _Going) -> None:
        for number in numbers:
            self._going.pop((version.key, number), None)
        version.busy.difference_update(numbers)
        self._cache.close(version)
        error = asyncio.CancelledError() if one.task.cancelled() else one.task.exception()
        if one.landing is not None:
            one.landing.end(kept=error is None and one.task.result(), error=error)
