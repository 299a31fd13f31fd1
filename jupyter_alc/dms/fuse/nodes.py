"""Which inode stands for which path **and version**. Pure: knows no kernel.

The kernel keeps pages by inode. A file whose version changed in the archive therefore gets a new inode: whoever holds
the old one open keeps the old bytes or hears ESTALE, and no page of one version is ever served for the other. A file
written through this mount keeps its inode while its token moves on, because its pages are our own.

An inode is the number of the engine's entry, so a name that the kernel was told of costs nothing here. Nodes are for
what is open, written, or was used lately. What the engine has no number for, unsent files above all, gets one of our
own, and a node for as long as the kernel refers to it.
"""

from __future__ import annotations

from collections import Counter, OrderedDict
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from jupyter_alc.dms.entry import Entry

if TYPE_CHECKING:
    from jupyter_alc.dms.fuse.seen import Seen

ROOT: Final = 1
OWN: Final = 1 << 62  # above all numbers of the engine
MOST_IDLE: Final = 20_000


@dataclass(slots=True, eq=False)
class Node:
    """What one inode stands for. `gone`: its path leads elsewhere or nowhere now; open handles live on."""

    ino: int
    path: str
    entry: Entry
    lookups: int = 0  # how often the kernel was told; kept for numbers of our own
    handles: int = 0
    writers: int = 0
    wrote: bool = False
    gone: bool = False
    pages_token: str = ""  # the version whose pages the kernel may hold
    seen: Seen | None = None  # what was read of it, where it may grow
    following: bool = False
    changed: bool = False  # it was open for writing, cut, or told as changed: nothing is pushed for it (R17)

    @property
    def dataset(self) -> str:
        """The dataset it belongs to; "" for the top."""
        return self.path.partition("/")[0]

    @property
    def idle(self) -> bool:
        """Whether it can be made again from its number alone."""
        return self.handles == 0 and not self.wrote and self.ino < OWN and self.ino != ROOT

    def grown_to(self, size: int) -> None:
        """Note that the file is at least `size` bytes long now."""
        if size > self.entry.size:
            self.entry = replace(self.entry, size=size)


class Nodes:
    """The table of inodes. Only the mount's own loop changes it; other threads may ask `at`."""

    def __init__(self) -> None:
        self._by_ino: OrderedDict[int, Node] = OrderedDict()
        self._by_path: dict[str, Node] = {}
        self._in_folder: Counter[str] = Counter()
        self._last = OWN
        self._add(Node(ROOT, "", Entry("", "directory", 0, 0.0, "")))

    def __len__(self) -> int:
        return len(self._by_ino)

    def get(self, ino: int) -> Node | None:
        """The node of an inode number; None for one whose name the engine must be asked for."""
        node = self._by_ino.get(ino)
        if node is not None:
            self._by_ino.move_to_end(ino)
        return node

    def at(self, path: str) -> Node | None:
        """The node a path leads to, if there is one."""
        return self._by_path.get(path)

    def any_in(self, folder: str) -> bool:
        """Whether there are nodes in a folder, so that its names have to be looked at one by one."""
        return self._in_folder[folder] > 0

    def see(self, path: str, entry: Entry, *, settled: bool = True) -> Node:
        """Return the node for what is at `path` now: the known one, or a new one for a new version.

        `settled` says that nothing of ours waits to be sent for this path.
        """
        node = self._standing(path, entry)
        if node is None:
            return self._new(path, entry)
        node.entry = entry
        node.wrote = node.wrote and not (settled and node.writers == 0)
        return node

    def told(self, path: str, entry: Entry) -> Node | None:
        """Return the node for a name of a listing, where its number alone will not do."""
        node = self._standing(path, entry)
        if node is not None:
            node.entry = entry
        return self._new(path, entry) if node is None and not entry.number else node

    def recall(self, ino: int, path: str, entry: Entry) -> Node | None:
        """Return a node for a number that the engine knows; None if another one stands for the path now."""
        if path in self._by_path:
            return self._by_ino.get(ino)
        return self._by_ino.get(ino) or self._add(Node(ino, path, entry, pages_token=entry.token))

    def keep(self, node: Node) -> Node:
        """Return the node as it is in the table, where it may have made room for others meanwhile."""
        return self._by_ino.get(node.ino) or self._add(node)

    def leave(self, node: Node) -> None:
        """Part a node from its path: removed, replaced, or of a version that is no more."""
        node.gone = True
        self._part(node)
        self.tidy(node)

    def move(self, old: str, new: str) -> None:
        """Follow a rename, for a folder with everything below; what was at `new` is parted from it."""
        replaced = self._by_path.get(new)
        if replaced is not None and old != new:
            self.leave(replaced)
        below = f"{old}/"
        for path in [p for p in self._by_path if p == old or p.startswith(below)]:
            node = self._by_path[path]
            self._part(node)
            node.path = new + path[len(old) :]
            node.entry = replace(node.entry, name=node.path.rpartition("/")[2])
            self._place(node)

    def forget(self, ino: int, lookups: int) -> None:
        """The kernel gives back `lookups` of its references: for a number of the engine's the last ones, as a rule."""
        node = self._by_ino.get(ino)
        if node is None or ino == ROOT:
            return
        node.lookups -= lookups
        if node.ino < OWN and node.handles == 0:
            self._drop(node)
        self.tidy(node)

    def tidy(self, node: Node) -> None:
        """Drop a node that neither the kernel nor a handle refers to, or whose number leads nowhere any more."""
        needless = node.gone if node.ino < OWN else node.lookups <= 0
        if needless and node.handles == 0 and node.ino != ROOT:
            self._drop(node)

    def _standing(self, path: str, entry: Entry) -> Node | None:
        """The node at `path`, if it stands for `entry`; one that does not is parted from it."""
        node = self._by_path.get(path)
        if node is None or _same(node, entry):
            return node
        self.leave(node)
        return None

    def _new(self, path: str, entry: Entry) -> Node:
        if entry.number:
            left = self._by_ino.get(entry.number)  # under another path, or left by mistake
            if left is not None:
                self._part(left)
                left.path, left.entry, left.gone = path, entry, False
                self._place(left)
                return left
            return self._add(Node(entry.number, path, entry, pages_token=entry.token))
        self._last += 1  # numbers are never used twice, so a late question about an old one cannot meet a new file
        return self._add(Node(self._last, path, entry))

    def _add(self, node: Node) -> Node:
        self._by_ino[node.ino] = node
        if not node.gone:
            self._place(node)
        for _ in range(2 if len(self._by_ino) > MOST_IDLE else 0):  # one more goes than comes, while there are any
            oldest = next(iter(self._by_ino.values()))
            if oldest.idle and oldest is not node:
                self._drop(oldest)
            else:
                self._by_ino.move_to_end(oldest.ino)
        return node

    def _drop(self, node: Node) -> None:
        if self._by_ino.get(node.ino) is node:
            del self._by_ino[node.ino]
        self._part(node)

    def _place(self, node: Node) -> None:
        self._by_path[node.path] = node
        self._in_folder[node.path.rpartition("/")[0]] += 1

    def _part(self, node: Node) -> None:
        if self._by_path.get(node.path) is not node:
            return
        del self._by_path[node.path]
        folder = node.path.rpartition("/")[0]
        self._in_folder[folder] -= 1
        if not self._in_folder[folder]:
            del self._in_folder[folder]


def _same(node: Node, entry: Entry) -> bool:
    """Whether what is there now is what the node stands for."""
    same_kind = node.entry.kind == entry.kind
    return same_kind and (entry.is_folder or node.wrote or node.entry.token == entry.token)
