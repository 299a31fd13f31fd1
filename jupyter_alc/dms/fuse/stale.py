"""Telling the kernel to forget: from a thread of its own, because the kernel may make the teller wait."""

from __future__ import annotations

import logging
import os
import queue
import threading
from typing import TYPE_CHECKING, Final

import pyfuse3

if TYPE_CHECKING:
    from collections.abc import Callable

    from jupyter_alc.dms.entry import Entry
    from jupyter_alc.dms.fuse.nodes import Nodes

log = logging.getLogger(__name__)
_LAST_SECONDS: Final = 5.0


class Forgetting:
    """Passes the engine's changes on to the kernel; `told` may be called from any thread."""

    def __init__(self, nodes: Nodes) -> None:
        self._nodes = nodes
        self._known: Callable[[str], Entry | None] = lambda _: None
        self._ending = False
        self._paths: queue.SimpleQueue[tuple[str, str] | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="mount-forgets", daemon=True)

    def start(self, known: Callable[[str], Entry | None]) -> None:
        """Begin to pass on what `told` says; `known` tells from this thread what the engine knows of a path."""
        self._known = known
        self._thread.start()

    def stop(self) -> None:
        """Pass on no more, not even what waits to be."""
        self._ending = True
        self._paths.put(None)
        if self._thread.is_alive():
            self._thread.join(timeout=_LAST_SECONDS)

    def told(self, what: str, path: str) -> None:
        """The engine says that `path` is "stale" or "gone"."""
        if what in {"stale", "gone"} and path:
            self._paths.put((what, path))

    def _run(self) -> None:
        while (told := self._paths.get()) is not None and not self._ending:
            try:
                self._forget(told[1])
            except OSError as error:  # most often: the kernel did not know it anyway
                log.debug("The kernel had nothing to forget for a changed path: %s", error)

    def _forget(self, path: str) -> None:
        node = self._nodes.at(path)
        if node is not None:
            node.changed = True
        entry = node.entry if node is not None else self._known(path)
        if entry is not None and (entry.is_folder or (node is not None and node.wrote)):
            ino = node.ino if node is not None else entry.number
            if ino:
                pyfuse3.invalidate_inode(ino, attr_only=True)
            return
        parent, _, name = path.rpartition("/")
        folder = self._number(parent)
        if folder:
            pyfuse3.invalidate_entry(folder, os.fsencode(name))

    def _number(self, path: str) -> int:
        """The inode of a folder; 0 for one that the kernel cannot know."""
        node = self._nodes.at(path)
        if node is not None:
            return node.ino
        entry = self._known(path)
        return entry.number if entry is not None else 0
