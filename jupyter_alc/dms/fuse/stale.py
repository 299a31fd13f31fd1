"""Telling the kernel to forget: from a thread of its own, because the kernel may make the teller wait."""

from __future__ import annotations

import logging
import os
import queue
import threading

import pyfuse3

from jupyter_alc.dms.fuse.nodes import ROOT, Nodes

log = logging.getLogger(__name__)


class Forgetting:
    """Passes the engine's changes on to the kernel; `told` may be called from any thread."""

    def __init__(self, nodes: Nodes) -> None:
        self._nodes = nodes
        self._paths: queue.SimpleQueue[tuple[str, str] | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="mount-forgets", daemon=True)

    def start(self) -> None:
        """Begin to pass on what `told` says."""
        self._thread.start()

    def stop(self) -> None:
        """Pass on no more."""
        self._paths.put(None)
        if self._thread.is_alive():
            self._thread.join(timeout=2)

    def told(self, what: str, path: str) -> None:
        """The engine says that `path` is "stale" or "gone"."""
        if what in {"stale", "gone"} and path:
            self._paths.put((what, path))

    def _run(self) -> None:
        while (told := self._paths.get()) is not None:
            try:
                self._forget(told[1])
            except OSError as error:  # most often: the kernel did not know it anyway
                log.debug("The kernel had nothing to forget for a changed path: %s", error)

    def _forget(self, path: str) -> None:
        node = self._nodes.at(path)
        if node is not None and (node.entry.is_folder or node.wrote):
            pyfuse3.invalidate_inode(node.ino, attr_only=True)
            return
        parent, _, name = path.rpartition("/")
        folder = self._nodes.at(parent)
        if folder is not None and (parent or folder.ino == ROOT):
            pyfuse3.invalidate_entry(folder.ino, os.fsencode(name))
