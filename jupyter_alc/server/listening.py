"""Hears from the data service that something changed, so that the panel need not wait for the next look."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from jupyter_alc.core.errors import AlcError

if TYPE_CHECKING:
    import logging
    from collections.abc import Callable

    from jupyter_alc.server.parts import Data

BETWEEN_SECONDS: Final = 0.5  # what changes more often is told once
FIRST_PAUSE, LONGEST_PAUSE = 1.0, 60.0
OF_STATUS: Final = frozenset({"data", "transfer"})


class Listening:
    """Calls `changed` when the status or a transfer did. A service that is silent is asked again, ever more rarely."""

    def __init__(self, data: Data, changed: Callable[[], None], log: logging.Logger) -> None:
        self._data, self._changed, self._log = data, changed, log
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin; once."""
        self._task = asyncio.ensure_future(self._forever())

    async def stop(self) -> None:
        """End."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _forever(self) -> None:
        pause = FIRST_PAUSE
        while True:
            try:
                async for told in self._data.events():
                    pause = FIRST_PAUSE
                    if told.get("what") in OF_STATUS:
                        self._changed()
                        await asyncio.sleep(BETWEEN_SECONDS)
            except AlcError as error:
                self._log.debug("nothing is heard of the data: %s", error.code)
            except Exception:  # noqa: BLE001  (the top of a loop that must go on)
                self._log.exception("listening to the data service failed")
            await asyncio.sleep(pause)
            pause = min(2 * pause, LONGEST_PAUSE)
