"""Which inode stands for which path **and version**. Pure: knows no kernel.

The kernel keeps pages by inode. A file whose version changed in the archive therefore gets a new inode: whoever holds
the old one open keeps the old bytes or hears ESTALE, and no page of one version is ever served for the other. A file
written through this mount keeps its inode while its token moves on, because its pages are our own.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

from jupyter_alc.dms.entry import Entry

ROOT: Final = 1


@dataclass(slots=True, eq=False)
class Node:
    """What one inode stands for. `gone`: its path leads elsewhere or nowhere now; open handles live on."""

    ino: int
    path: str
    entry: Entry
    lookups: int = 0
    handles: int = 0
    writers: int = 0
    wrote: bool = False
    gone: bool = False
    pages_token: str = ""  # the version whose pages the kernel may hold

    @property
    def dataset(self) -> str:
        """The dataset it belongs to; "" for the top."""
        return self.path.partition("/")[0]

    def grown_to(self, size: int) -> None:
        """Note that the file is at least `size` bytes long now."""
        if size > self.entry.size:
            self.entry = replace(self.entry, size=size)


class Nodes:
    """The table of inodes. Only the mount's own loop changes it; other threads may ask `at`."""

    def __init__(self) -> None:
        top = Node(ROOT, "", Entry("", "directory", 0, 0.0, ""), lookups=1)
        self._by_ino: dict[int, Node] = {ROOT: top}
        self._by_path: dict[str, Node] = {"": top}
        self._last = ROOT

    def __len__(self) -> int:
        return len(self._by_ino)

    def get(self, ino: int) -> Node | None:
        """The node of an inode number the kernel knows."""
        return self._by_ino.get(ino)

    def at(self, path: str) -> Node | None:
        """The node a path leads to, if the kernel has asked for it."""
        return self._by_path.get(path)

    def see(self, path: str, entry: Entry, *, settled: bool = True) -> Node:
        """Return the node for what is at `path` now: the known one, or a new one for a new version.

        `settled` says that nothing of ours waits to be sent for this path.
        """
        node = self._by_path.get(path)
        if node is not None and _same(node, entry):
            node.entry = entry
            node.wrote = node.wrote and not (settled and node.writers == 0)
            return node
        if node is not None:
            self.leave(node)
        return self._new(path, entry)

    def leave(self, node: Node) -> None:
        """Part a node from its path: removed, replaced, or of a version that is no more."""
        node.gone = True
        if self._by_path.get(node.path) is node:
            del self._by_path[node.path]
        self.tidy(node)

    def move(self, old: str, new: str) -> None:
        """Follow a rename, for a folder with everything below; what was at `new` is parted from it."""
        replaced = self._by_path.get(new)
        if replaced is not None and old != new:
            self.leave(replaced)
        below = f"{old}/"
        for path in [p for p in self._by_path if p == old or p.startswith(below)]:
            node = self._by_path.pop(path)
            node.path = new + path[len(old) :]
            node.entry = replace(node.entry, name=node.path.rpartition("/")[2])
            self._by_path[node.path] = node

    def forget(self, ino: int, lookups: int) -> None:
        """The kernel gives back `lookups` of its references."""
        node = self._by_ino.get(ino)
        if node is not None and ino != ROOT:
            node.lookups -= lookups
            self.tidy(node)

    def tidy(self, node: Node) -> None:
        """Drop a node that neither the kernel nor a handle refers to."""
        if node.lookups > 0 or node.handles > 0 or node.ino == ROOT:
            return
        self._by_ino.pop(node.ino, None)
        if self._by_path.get(node.path) is node:
            del self._by_path[node.path]

    def _new(self, path: str, entry: Entry) -> Node:
        self._last += 1  # numbers are never used twice, so a late question about an old one cannot meet a new file
        node = Node(self._last, path, entry)
        self._by_ino[node.ino] = node
        self._by_path[path] = node
        return node


def _same(node: Node, entry: Entry) -> bool:
    """Whether what is there now is what the node stands for."""
    same_kind = node.entry.kind == entry.kind
    return same_kind and (entry.is_folder or node.wrote or node.entry.token == entry.token)
