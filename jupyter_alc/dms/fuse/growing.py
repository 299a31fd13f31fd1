"""Open files of live datasets follow their growth (N16), if what was read of them is still the same."""

from __future__ import annotations

from typing import TYPE_CHECKING

from jupyter_alc.core.errors import AlcError
from jupyter_alc.dms.fuse.shared import Shared
from jupyter_alc.dms.tokens import same_version

if TYPE_CHECKING:
    from jupyter_alc.dms.engine.interface import Handle
    from jupyter_alc.dms.entry import Entry
    from jupyter_alc.dms.fuse.nodes import Node


class Growing(Shared):
    """Whether an open file may become one of a newer version, and how."""

    def may_have_grown(self, node: Node, entry: Entry) -> bool:
        """Whether `entry` may be what the open file `node` has grown to."""
        settled = entry.size == node.entry.size and same_version(entry.token, node.entry.token)
        return (
            node.handles > 0
            and node.writers == 0
            and not node.wrote
            and node.seen is not None
            and not node.seen.too_much
            and entry.kind == node.entry.kind == "file"
            and (entry.size > node.entry.size or settled)
            and entry.token != node.entry.token
        )

    async def follow(self, node: Node, entry: Entry) -> bool:
        """Let the handles of `node` read the version `entry`, if all that they read is the same in it.

        Whoever has read the bytes has then read those of one version, the new one, and of no other (R4).
        """
        if not self.may_have_grown(node, entry) or node.following:
            return False
        opened = [one for one in self._opened.values() if one.node is node]
        if not opened:  # the last one is just being closed
            return False
        node.following = True
        news: list[Handle] = []
        try:
            news.extend([await self._bridge.ask(self._engine.open(node.path)) for _ in opened])
            right = all(new.token == entry.token for new in news) and await self._same(node, opened[0].handle, news[0])
            if right and [one for one in self._opened.values() if one.node is node] == opened:
                old = [one.handle for one in opened]
                for one, new in zip(opened, news, strict=True):
                    one.handle = new
                news, node.entry = old, entry
                node.pages_token = ""
                return True
        except AlcError:
            return False
        finally:
            node.following = False
            for each in news:
                await self._bridge.change(self._engine.close(each))
        return False

    async def _same(self, node: Node, old: Handle, new: Handle) -> bool:
        """Whether what was given out is the same; no wait lies between the last comparison and the answer."""
        assert node.seen is not None
        compared: set[tuple[int, int]] = set()
        while not node.seen.too_much:
            left = [one for one in node.seen.extents() if one not in compared]
            if not left:
                return True
            for start, stop in left:
                was = await self._bridge.ask(self._engine.read(old, start, stop))
                now = await self._bridge.ask(self._engine.read(new, start, stop))
                if was != now:
                    node.seen.too_much = True  # it never will be
                    return False
                compared.add((start, stop))
        return False
