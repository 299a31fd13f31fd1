"""Who listens to changes hears of them, each at its own speed (T14)."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

MOST_KEPT: Final = 256
ANYTHING: Final = ("names", "")


class Hearing:
    """Passes (what, path) on to all who listen. One event loop."""

    def __init__(self) -> None:
        self._listeners: set[_Listener] = set()

    def tell(self, what: str, path: str) -> None:
        """Say that something changed."""
        for listener in self._listeners:
            listener.note(what, path)

    async def listen(self) -> AsyncGenerator[tuple[str, str]]:
        """Each change from now on; the same twice before it was heard is told once."""
        listener = _Listener()
        self._listeners.add(listener)
        try:
            while True:
                yield await listener.next()
        finally:
            self._listeners.discard(listener)


class _Listener:
    def __init__(self) -> None:
        self._kept: dict[tuple[str, str], None] = {}
        self._there = asyncio.Event()

    def note(self, what: str, path: str) -> None:
        told = (what, path)
        if len(self._kept) >= MOST_KEPT and told not in self._kept:
            names = [one for one in self._kept if one[0] == "names"]
            for one in names:
                del self._kept[one]
            self._kept[ANYTHING] = None
            told = ANYTHING if what == "names" else told
        self._kept[told] = None
        self._there.set()

    async def next(self) -> tuple[str, str]:
        while not self._kept:
            self._there.clear()
            await self._there.wait()
        told = next(iter(self._kept))
        del self._kept[told]
        return told
