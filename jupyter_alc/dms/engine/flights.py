"""One call for many askers."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Hashable


T = TypeVar("T")


class Flights(Generic[T]):
    """Calls on their way, by key: who asks for the same waits for the same answer. One that gives up stops nothing."""

    def __init__(self) -> None:
        self._going: dict[Hashable, asyncio.Task[T]] = {}

    async def one(self, key: Hashable, call: Callable[[], Coroutine[Any, Any, T]]) -> T:
        """The answer of the call under `key`, started if there is none."""
        return await asyncio.shield(self.start(key, call))

    def start(self, key: Hashable, call: Callable[[], Coroutine[Any, Any, T]]) -> asyncio.Task[T]:
        """The call under `key` itself, started if there is none."""
        task = self._going.get(key)
        if task is None:
            task = asyncio.create_task(call())
            self._going[key] = task
            task.add_done_callback(lambda done: self._landed(key, done))
        return task

    async def stop(self) -> None:
        """End what is on its way."""
        going = list(self._going.values())
        for task in going:
            task.cancel()
        await asyncio.gather(*going, return_exceptions=True)

    def _landed(self, key: Hashable, task: asyncio.Task[T]) -> None:
        self._going.pop(key, None)
        if not task.cancelled():
            task.exception()  # looked at, so that an answer nobody waits for any more is no noise
