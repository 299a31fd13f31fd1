"""One open folder of a program, read through by position as the kernel asks."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from jupyter_alc.dms.engine.folders import Pages
    from jupyter_alc.dms.entry import Entry
    from jupyter_alc.dms.fuse.bridge import Bridge
    from jupyter_alc.dms.fuse.nodes import Node


class OpenFolder:
    """Where a reader of a folder is. Positions count names from 0; the page at hand may be read again."""

    def __init__(self, node: Node) -> None:
        self.node = node
        self._pages: Pages | None = None
        self._start = 0
        self._page: list[Entry] = []

    def rewind(self, pages: Pages) -> None:
        """Read from the first name on."""
        self._pages, self._start, self._page = pages, 0, []

    @property
    def begun(self) -> bool:
        """Whether it was read since it was opened."""
        return self._pages is not None

    def before(self, position: int) -> bool:
        """Whether a position lies before the page at hand, so that only a new listing leads there."""
        return position < self._start

    async def at(self, position: int, bridge: Bridge) -> list[Entry]:
        """The names from `position` on, some of them; [] behind the last."""
        assert self._pages is not None
        while position >= self._start + len(self._page):
            page = await bridge.ask(self._pages.more())
            if not page:
                return []
            self._start, self._page = self._start + len(self._page), page
        return self._page[position - self._start :] if position > self._start else self._page
