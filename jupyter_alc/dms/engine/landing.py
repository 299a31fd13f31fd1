"""One extent on its way into the cache: each piece is stored by the thread that brought it, and is here then (R15)."""

from __future__ import annotations

import asyncio
import logging
import time
from typing import TYPE_CHECKING

from jupyter_alc.dms.engine.planner import Extent

if TYPE_CHECKING:
    from collections.abc import Collection
    from concurrent.futures import Future

    from jupyter_alc.dms.engine.cache import CachedVersion
    from jupyter_alc.dms.engine.turns import Ticket

log = logging.getLogger(__name__)


class NotKept(Exception):
    """The cache's disk takes no more: the bytes are read past it."""


class Landing:
    """How far an extent has come, `at`, and what that took of the disk, `taken`; nothing is stored before `ready`.

    `take` is for one thread at a time, the rest for the loop.
    """

    def __init__(self, version: CachedVersion, extent: Extent, ticket: Ticket, ready: Future[None]) -> None:
        self.at, self.stop, self.taken = extent.start, extent.stop, 0
        self._version, self._ticket = version, ticket
        self._ready: Future[None] | None = ready
        self._loop = asyncio.get_running_loop()
        self._waits: list[tuple[Collection[int], asyncio.Future[bool]]] = []

    def take(self, at: int, piece: memoryview) -> None:
        """Store a piece; `NotKept` when that cannot be."""
        stop = at + len(piece)
        try:
            if self._ready is not None:
                self._ready.result()
                self._ready = None
            self.taken += self._version.file.store(Extent(at, stop), piece)
        except OSError as error:
            log.warning("The cache's disk refuses (%s); reading past it.", error.strerror)
            raise NotKept from error
        self.at, self._ticket.moved = stop, time.monotonic()
        if self._waits and stop < self.stop:  # at its end `end` tells them, when all is counted
            self._loop.call_soon_threadsafe(self._look)

    def wait(self, numbers: Collection[int]) -> asyncio.Future[bool]:
        """A future that is done when blocks `numbers` are here, or when this has ended: False if it was not kept."""
        waiting: asyncio.Future[bool] = self._loop.create_future()
        self._waits.append((numbers, waiting))
        self._look()
        return waiting

    def end(self, *, kept: bool, error: BaseException | None = None) -> None:
        """Tell everybody who waits how it ended."""
        for _, waiting in self._waits:
            if waiting.done():
                continue
            if error is None:
                waiting.set_result(kept)
            else:
                waiting.set_exception(error)
                waiting.exception()  # looked at: whoever waited may have gone
        self._waits.clear()

    def _look(self) -> None:
        has, left = self._version.file.has, []
        for numbers, waiting in self._waits:
            if waiting.done():
                continue
            if all(map(has, numbers)):
                waiting.set_result(True)
            else:
                left.append((numbers, waiting))
        self._waits = left
