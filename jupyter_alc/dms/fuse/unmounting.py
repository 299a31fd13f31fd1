"""Taking a mount away: by the kernel's own call for root, through fusermount3 for an ordinary user."""

from __future__ import annotations

import ctypes
import os
import shutil
import subprocess
from typing import TYPE_CHECKING, Final

from jupyter_alc.dms.fuse.table import mount_at

if TYPE_CHECKING:
    from pathlib import Path

_TOOL: Final = "fusermount3"
_SECONDS: Final = 10.0
_MNT_FORCE: Final = 1
_MNT_DETACH: Final = 2
_UMOUNT_NOFOLLOW: Final = 8


def is_stale(where: Path) -> bool:
    """Whether a mount is there whose daemon is gone."""
    if mount_at(where) is None:
        return False
    try:
        os.statvfs(where)  # goes to the daemon each time; the attributes may still be remembered
    except PermissionError:  # not ours
        return False
    except OSError:  # not connected
        return True
    return False


def unmount_stale(where: Path) -> bool:
    """Take away a mount at `where` whose daemon is gone; say whether there was one and it is gone now."""
    found = False
    while is_stale(where):
        row = mount_at(where)
        if row is None or not row.kind.startswith("fuse") or not unmount(where):
            return False
        found = True
    return found


def unmount(where: Path) -> bool:
    """Unmount lazily, as root or through fusermount3; say whether it worked. Root lets go whoever waits there still."""
    if os.geteuid() == 0:
        libc = ctypes.CDLL(None, use_errno=True)
        return bool(libc.umount2(os.fsencode(where), _MNT_FORCE | _MNT_DETACH | _UMOUNT_NOFOLLOW) == 0)
    tool = shutil.which(_TOOL)
    if tool is None:
        return False
    try:
        done = subprocess.run([tool, "-u", "-z", "-q", str(where)], check=False, timeout=_SECONDS)
    except subprocess.TimeoutExpired:
        return False
    return done.returncode == 0
