"""Where the requests to one archive wait for their turn; who goes next is decided by `turns`."""

from __future__ import annotations

import asyncio
import time
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Final

from jupyter_alc.core.errors import ArchiveUnreachable
from jupyter_alc.dms.engine.turns import Ticket, Turns

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

_LOOK_SECONDS: Final = 0.25  # so often it is looked for quiet requests while somebody is held up by them


class Gate:
    """For one event loop."""

    def __init__(self, parallel: int) -> None:
        self._turns = Turns(parallel)
        self._standing: dict[Ticket, asyncio.Future[None]] = {}
        self._look: asyncio.TimerHandle | None = None

    @asynccontextmanager
    async def turn(self, ticket: Ticket, seconds: float) -> AsyncIterator[None]:
        """Wait for a turn, `ArchiveUnreachable` after so many seconds, and have it until the block ends."""
        mine = self._standing[ticket] = asyncio.get_running_loop().create_future()
        self._turns.ask(ticket)
        try:
            self._go()
            try:
                async with asyncio.timeout(seconds):
                    await mine
            except TimeoutError as error:
                raise ArchiveUnreachable("Too much is asked of the archive at once.", next_step="Try again.") from error
            yield
        finally:
            del self._standing[ticket]
            self._turns.leave(ticket)
            self._go()

    def hurry(self, ticket: Ticket) -> None:
        """Somebody waits for this request now."""
        self._turns.hurry(ticket)
        self._go()

    def _go(self) -> None:
        for ticket in self._turns.go(time.monotonic()):
            if not self._standing[ticket].done():  # else it was given up a moment ago, and leaves
                self._standing[ticket].set_result(None)
        if self._turns.held_up and self._look is None:
            self._look = asyncio.get_running_loop().call_later(_LOOK_SECONDS, self._look_again)

    def _look_again(self) -> None:
        self._look = None
        self._go()
