"""Pushing bytes into the kernel's memory ahead of readers (R17): from a thread of its own, and never of a stale file.

The kernel may make who pushes wait for a page that only the mount's loop can bring, so no handler pushes, and none
waits for a push without letting the loop go on.
"""

from __future__ import annotations

import logging
import queue
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import pyfuse3
import trio

from jupyter_alc.core.switches import PUSH_AHEAD, is_on
from jupyter_alc.dms.engine.measures import PUSHED
from jupyter_alc.dms.fuse.ahead import WINDOW, Ahead
from jupyter_alc.dms.fuse.nodes import OWN

if TYPE_CHECKING:
    from collections.abc import Callable

    from jupyter_alc.dms.engine.planner import Extent
    from jupyter_alc.dms.fuse.nodes import Node
    from jupyter_alc.dms.fuse.shared import Opened

log = logging.getLogger(__name__)
MOST_BYTES: Final = 64 << 20
_LAST_SECONDS: Final = 5.0
_LOOK_SECONDS: Final = 0.001


def wanted() -> bool:
    """Whether it is switched on."""
    return is_on(PUSH_AHEAD)


@dataclass(frozen=True, slots=True)
class _Order:
    opened: Opened
    ahead: Ahead
    piece: Extent


class Pushing:
    """Takes orders from the mount's loop. `store` is what pyfuse3 does; `on` is the switch."""

    def __init__(
        self, *, on: bool | None = None, store: Callable[[int, int, bytes], object] = pyfuse3.notify_store
    ) -> None:
        self._on = wanted() if on is None else on
        self._store = store
        self._orders: queue.SimpleQueue[_Order | None] = queue.SimpleQueue()
        self._readers: set[Ahead] = set()
        self._now: Node | None = None
        self._ending = False
        self.errors = 0
        self._thread = threading.Thread(target=self._run, name="mount-pushes", daemon=True)

    def start(self) -> None:
        """Begin, if it is switched on."""
        if self._on:
            self._thread.start()

    def stop(self) -> None:
        """Push no more, not even what was ordered."""
        self._ending = True
        self._orders.put(None)
        if self._thread.is_alive():
            self._thread.join(timeout=_LAST_SECONDS)
            log.info("%d MiB were pushed ahead of readers, %d times in vain.", PUSHED.size_bytes >> 20, self.errors)

    def watched(self, opened: Opened, *, published: bool) -> Ahead | None:
        """What to tell the reads of a handle to; None for one that nothing will ever be pushed for."""
        node = opened.node
        if not self._on or not published or node.ino >= OWN or not _right(opened):
            return None
        ahead = Ahead(node.entry.size)
        return None if ahead.over else ahead

    def go_on(self, opened: Opened, ahead: Ahead) -> None:
        """Count what the reader has passed, and order what it will read next."""
        if ahead.passed.size:
            opened.handle.passed(ahead.passed.start, ahead.passed.stop)
        if ahead not in self._readers and (len(self._readers) + 1) * WINDOW > MOST_BYTES:
            return  # later, when others have ended
        pieces = ahead.push()
        if ahead.over or not pieces:
            self._readers.discard(ahead)
            return
        self._readers.add(ahead)
        for piece in pieces:
            self._orders.put(_Order(opened, ahead, piece))

    def end(self, ahead: Ahead | None) -> None:
        """Push nothing more for a handle: it is closed, or reads elsewhere."""
        if ahead is not None:
            ahead.over = True
            self._readers.discard(ahead)

    async def leave(self, node: Node) -> None:
        """Push nothing more of a file that is about to change, and wait until what is under way is over."""
        node.changed = True
        while self._now is node:  # noqa: ASYNC110  (a millisecond at most; an event would cost each push)
            await trio.sleep(_LOOK_SECONDS)

    def _run(self) -> None:
        while (order := self._orders.get()) is not None and not self._ending:
            self._now = order.opened.node  # before it is looked at: see `leave`
            try:
                self._push(order)
            except OSError as error:
                order.ahead.over = True
                self.errors += 1
                log.log(logging.INFO if self.errors == 1 else logging.DEBUG, "The kernel took nothing ahead: %s", error)
            finally:
                self._now = None

    def _push(self, order: _Order) -> None:
        piece, opened = order.piece, order.opened
        if order.ahead.over:
            return
        got = opened.handle.ahead(piece.start, piece.stop)
        if got is None or not _right(opened) or piece.stop > opened.node.entry.size:
            order.ahead.over = True
            return
        self._store(opened.node.ino, piece.start, got)
        PUSHED.size_bytes += len(got)


def _right(opened: Opened) -> bool:
    """Whether the kernel holds this handle's version, of a file that nobody changes or has changed through us."""
    node, handle = opened.node, opened.handle
    return (
        not (node.changed or node.gone or node.wrote or node.writers or handle.staged)
        and node.pages_token == handle.token == node.entry.token
    )
