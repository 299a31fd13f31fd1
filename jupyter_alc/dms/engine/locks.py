"""One change at a time for each path."""

from __future__ import annotations

import asyncio
import weakref
from contextlib import AsyncExitStack


class PathLocks:
    """A lock for each path that somebody changes or waits to change."""

    def __init__(self) -> None:
        self._locks: weakref.WeakValueDictionary[tuple[str, str], asyncio.Lock] = weakref.WeakValueDictionary()

    def held(self, *places: tuple[str, str]) -> AsyncExitStack:
        """Hold the locks of all `places`, taken in order, so that no two wait for each other."""
        return _Locks([self._locks.setdefault(place, asyncio.Lock()) for place in sorted(set(places))])


class _Locks(AsyncExitStack):
    """Some locks, taken in order; it keeps them alive while it waits."""

    def __init__(self, locks: list[asyncio.Lock]) -> None:
        super().__init__()
        self._wanted = locks

    async def __aenter__(self) -> _Locks:
        await super().__aenter__()
        for lock in self._wanted:
            await self.enter_async_context(lock)
        return self
