"""A mount that does nothing but pass reads of a folder on: pyfuse3 as it is shipped, the bar for ours from below.

python passthrough.py SOURCE MOUNTPOINT
"""

from __future__ import annotations

import errno
import os
import stat
import sys
from pathlib import Path
from typing import Any

import pyfuse3
import trio


class Passthrough(pyfuse3.Operations):  # type: ignore[misc]  # pyfuse3 is used without types
    """The files of one folder, to be read; inodes are numbers of the folder's names, from 2 on."""

    def __init__(self, source: Path) -> None:
        super().__init__()
        self._files = sorted(one for one in source.iterdir() if one.is_file())

    async def lookup(self, parent_inode: int, name: bytes, ctx: Any = None) -> Any:
        """Find a name."""
        for number, file in enumerate(self._files, 2):
            if os.fsencode(file.name) == name:
                return self._attributes(number)
        raise pyfuse3.FUSEError(errno.ENOENT)

    async def getattr(self, inode: int, ctx: Any = None) -> Any:
        """Tell size and mode."""
        return self._attributes(inode)

    async def open(self, inode: int, flags: int, ctx: Any) -> Any:
        """Open the file behind."""
        return pyfuse3.FileInfo(fh=os.open(self._files[inode - 2], os.O_RDONLY))

    async def read(self, fh: int, off: int, size: int) -> bytes:
        """Read at once, on the loop."""
        return os.pread(fh, size, off)

    async def release(self, fh: int) -> None:
        """Close it."""
        os.close(fh)

    def _attributes(self, inode: int) -> Any:
        told = pyfuse3.EntryAttributes()
        told.st_ino = inode
        told.st_mode = stat.S_IFDIR | 0o755 if inode == pyfuse3.ROOT_INODE else stat.S_IFREG | 0o444
        told.st_size = 0 if inode == pyfuse3.ROOT_INODE else self._files[inode - 2].stat().st_size
        told.st_nlink = 1
        told.entry_timeout = told.attr_timeout = 60
        return told


def main() -> None:
    """Serve until somebody unmounts."""
    source, where = sys.argv[1:]
    pyfuse3.init(Passthrough(Path(source)), where, {*pyfuse3.default_options, "fsname=passthrough"})
    try:
        trio.run(pyfuse3.main)
    finally:
        pyfuse3.close(unmount=False)


if __name__ == "__main__":
    main()
