"""What `stat` says of an entry, and for how long the kernel may believe it."""

from __future__ import annotations

import stat
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import pyfuse3

if TYPE_CHECKING:
    from collections.abc import Iterable

    from jupyter_alc.core.dataset import MountedDataset
    from jupyter_alc.dms.entry import Entry
    from jupyter_alc.dms.fuse.nodes import Node

PUBLISHED_SECONDS: Final = 60.0
LIVE_SECONDS: Final = 1.0
ABSENT_SECONDS: Final = 5.0
_BLOCK: Final = 512
_READ_BYTES: Final = 128 * 1024


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

    def is_live(self, dataset: str) -> bool:
        """Whether files of a dataset may change while they are looked at."""
        return dataset not in self._published

    def of(self, node: Node) -> pyfuse3.EntryAttributes:
        """The attributes of a node; those of one that left its path are not to be kept."""
        told = self.row(node.dataset).of(node.ino, node.entry)
        if node.gone:
            told.entry_timeout = told.attr_timeout = 0.0
            if not node.entry.is_folder:
                told.st_nlink = 0
        return told

    def row(self, dataset: str) -> Row:
        """What a listing tells of each of its names, one after the other."""
        told = pyfuse3.EntryAttributes()
        told.st_uid, told.st_gid = self._owner.uid, self._owner.gid
        told.entry_timeout = told.attr_timeout = self.seconds(dataset)
        return Row(told, self._since)

    def absent(self, dataset: str, *, checked: bool = True) -> pyfuse3.EntryAttributes:
        """The answer "no such name" in the form that the kernel keeps, unless it could not be checked just now.

        An error would be asked again each time.
        """
        told = pyfuse3.EntryAttributes()
        told.st_ino = 0
        told.entry_timeout = min(ABSENT_SECONDS, self.seconds(dataset)) if checked else 0.0
        return told


class Row:
    """One attributes object for all names of a listing. What is as it was with the name before is not set again.

    Setting all of it for each name took most of the time of a listing.
    """

    def __init__(self, blank: pyfuse3.EntryAttributes, since: float) -> None:
        self._told, self._since = blank, since
        self._kind, self._writable = "", False
        self._size, self._mtime = 0, 0.0

    def of(self, ino: int, entry: Entry) -> pyfuse3.EntryAttributes:
        """Those of `entry`, until the next are asked for."""
        told = self._told
        told.st_ino = ino
        if entry.kind != self._kind or entry.writable is not self._writable:
            self._become(entry)
        size, mtime = entry.size, entry.mtime
        if self._kind == "directory":  # the top and the datasets' own folders have no time in any archive
            size, mtime = 0, mtime or self._since
        if size != self._size:
            self._size = told.st_size = size
            told.st_blocks = (size + _BLOCK - 1) // _BLOCK
        if mtime != self._mtime:
            self._mtime = mtime
            told.st_mtime_ns = told.st_ctime_ns = told.st_atime_ns = int(mtime * 1e9)
        return told

    def _become(self, entry: Entry) -> None:
        """Another kind of file than the one before, or with other rights."""
        self._kind, self._writable = entry.kind, entry.writable
        told, rights = self._told, 0o600 if entry.writable else 0o400
        told.st_mode = stat.S_IFDIR | rights | 0o100 if entry.is_folder else stat.S_IFREG | rights
        if entry.kind == "link":
            told.st_mode = stat.S_IFLNK | 0o777
        told.st_nlink = 2 if entry.is_folder else 1
        told.st_blksize = _READ_BYTES
