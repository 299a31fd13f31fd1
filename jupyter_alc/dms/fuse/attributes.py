"""What `stat` says of an entry, and for how long the kernel may believe it."""

from __future__ import annotations

import stat
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import pyfuse3

if TYPE_CHECKING:
    from collections.abc import Iterable

    from jupyter_alc.core.dataset import MountedDataset
    from jupyter_alc.dms.fuse.nodes import Node

PUBLISHED_SECONDS: Final = 60.0
LIVE_SECONDS: Final = 1.0
ABSENT_SECONDS: Final = 5.0
_BLOCK: Final = 512


@dataclass(frozen=True, slots=True)
class Owner:
    """Whose the files of the mount are."""

    uid: int
    gid: int


class Attributes:
    """Makes pyfuse3's attribute objects."""

    def __init__(self, owner: Owner, datasets: Iterable[MountedDataset], since: float = 0.0) -> None:
        """`since`: seconds since 1970 when the mount was made, the time of folders of whose time nobody knows."""
        self._owner = owner
        self._since = since
        self._published = frozenset(d.id for d in datasets if d.published)

    def seconds(self, dataset: str) -> float:
        """How long attributes and names of a dataset may be believed without asking."""
        return PUBLISHED_SECONDS if dataset == "" or dataset in self._published else LIVE_SECONDS

    def of(self, node: Node) -> pyfuse3.EntryAttributes:
        """The attributes of a node; those of one that left its path are not to be kept."""
        entry, told = node.entry, pyfuse3.EntryAttributes()
        seconds = 0.0 if node.gone else self.seconds(node.dataset)
        told.st_ino = node.ino
        told.st_mode = _mode(node)
        told.st_nlink = 2 if entry.is_folder else int(not node.gone)
        told.st_uid, told.st_gid = self._owner.uid, self._owner.gid
        told.st_size = 0 if entry.is_folder else entry.size
        told.st_blksize = 128 * 1024
        told.st_blocks = -(-told.st_size // _BLOCK)
        told.st_mtime_ns = told.st_ctime_ns = told.st_atime_ns = int(self._time(node) * 1e9)
        told.entry_timeout = told.attr_timeout = seconds
        return told

    def _time(self, node: Node) -> float:
        """When it last changed; the top and the datasets' own folders have no time in any archive."""
        return self._since if node.entry.is_folder and not node.entry.mtime else node.entry.mtime

    def absent(self, dataset: str, *, checked: bool = True) -> pyfuse3.EntryAttributes:
        """The answer "no such name" in the form that the kernel keeps, unless it could not be checked just now.

        An error would be asked again each time.
        """
        told = pyfuse3.EntryAttributes()
        told.st_ino = 0
        told.entry_timeout = min(ABSENT_SECONDS, self.seconds(dataset)) if checked else 0.0
        return told


def _mode(node: Node) -> int:
    writable = node.entry.writable and node.path != ""
    if node.entry.is_folder:
        return stat.S_IFDIR | (0o700 if writable else 0o500)
    return stat.S_IFREG | (0o600 if writable else 0o400)
