"""Folders of live datasets that are in use are listed again without being asked, so that a new run shows (N14)."""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from jupyter_alc.core.errors import AlcError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from jupyter_alc.core.clock import Clock
    from jupyter_alc.dms.engine.link import Link
    from jupyter_alc.dms.engine.names import Names

STEP_SECONDS: Final = 1.0
PERIOD_SECONDS: Final = 5.0
LONGEST_SECONDS: Final = 60.0
IN_USE_SECONDS: Final = 300.0
FORGOTTEN_SECONDS: Final = 1800.0
MOST_FOLDERS: Final = 16
SHARE: Final = 10  # a listing that takes a second is made every ten


@dataclass(slots=True)
class _Watched:
    listed: float
    took: float = 0.0


def period(idle_seconds: float, took_seconds: float) -> float | None:
    """How long to wait between two listings of a folder nobody looked at for so long; None: it is watched no more."""
    if idle_seconds > FORGOTTEN_SECONDS:
        return None
    usual = min(LONGEST_SECONDS, PERIOD_SECONDS * max(1.0, idle_seconds / IN_USE_SECONDS) ** 2)
    return max(usual, SHARE * took_seconds)


class Watch:
    """Watches the live datasets of an engine, one listing at a time for each."""

    def __init__(self, live: Sequence[tuple[Names, Link]], clock: Clock) -> None:
        self._live, self._clock = live, clock
        self._tasks: list[asyncio.Task[None]] = []

    def start(self) -> None:
        """Begin to watch."""
        self._tasks = [asyncio.create_task(self._run(names, link)) for names, link in self._live]

    def also(self, names: Names, link: Link) -> None:
        """Watch one more."""
        self._tasks.append(asyncio.create_task(self._run(names, link)))

    async def stop(self) -> None:
        """Watch no more."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _run(self, names: Names, link: Link) -> None:
        watched: dict[str, _Watched] = {}
        while True:
            await asyncio.sleep(STEP_SECONDS)
            if link.reachable:
                await self._round(names, watched)

    async def _round(self, names: Names, watched: dict[str, _Watched]) -> None:
        now = self._clock.monotonic()
        used = list(names.looked.items())[-MOST_FOLDERS:]
        for path in watched.keys() - dict(used).keys():
            del watched[path]
        for path, looked in used:
            one = watched.setdefault(path, _Watched(now))
            wait = period(now - looked, one.took)
            if wait is None:
                names.looked.pop(path, None)
            elif now >= one.listed + wait:
                begun = self._clock.monotonic()
                with contextlib.suppress(AlcError):
                    await names.relist(path)
                one.listed = self._clock.monotonic()
                one.took = one.listed - begun
