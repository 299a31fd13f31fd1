"""Files that stay open between the reads of one reader: over a socket, too, its reads are one stream."""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from jupyter_alc.dms.engine.interface import Engine, Handle

IDLE_SECONDS: Final = 30.0
MOST_KEPT: Final = 256

Key = tuple[str, str, str]
"""Reader, path and version token."""


@dataclass
class _Kept:
    handle: Handle
    users: int = 0
    end: asyncio.TimerHandle | None = None


class Readers:
    """Open handles by reader. A reader need not say goodbye: what it has not used for half a minute is closed."""

    def __init__(self, engine: Engine, idle_seconds: float = IDLE_SECONDS) -> None:
        self._engine = engine
        self._idle_seconds = idle_seconds
        self._kept: dict[Key, _Kept] = {}
        self._closing: set[asyncio.Task[None]] = set()

    @property
    def kept(self) -> int:
        """How many files are open for readers that may come back."""
        return len(self._kept)

    @contextlib.asynccontextmanager
    async def handle(self, key: Key, opening: Callable[[], Awaitable[Handle]]) -> AsyncIterator[Handle]:
        """Lend the reader's handle, opened by `opening` if it has none; what reads unsent data is not kept."""
        kept = self._kept.get(key)
        if kept is None:
            kept = _Kept(await opening())
            if key not in self._kept and not kept.handle.staged:
                self._keep(key, kept)
        kept.users += 1
        if kept.end is not None:
            kept.end.cancel()
        try:
            yield kept.handle
        finally:
            kept.users -= 1
            if self._kept.get(key) is not kept:
                await self._engine.close(kept.handle)
            elif not kept.users:
                kept.end = asyncio.get_running_loop().call_later(self._idle_seconds, self._drop, key)

    def _keep(self, key: Key, made: _Kept) -> None:
        idle = [known for known, one in self._kept.items() if not one.users]
        for known in idle[: max(0, len(self._kept) + 1 - MOST_KEPT)]:
            self._drop(known)
        self._kept[key] = made

    def _drop(self, key: Key) -> None:
        kept = self._kept.pop(key)
        if kept.end is not None:
            kept.end.cancel()
        task = asyncio.get_running_loop().create_task(self._engine.close(kept.handle))
        self._closing.add(task)
        task.add_done_callback(self._closing.discard)
