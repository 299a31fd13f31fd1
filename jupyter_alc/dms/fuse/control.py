"""How many requests the kernel lets wait: raised after mounting, because pyfuse3 cannot say it and 12 is too few."""

from __future__ import annotations

import contextlib
import ctypes
import logging
import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Final

from jupyter_alc.dms.fuse.table import mount_at

if TYPE_CHECKING:
    from collections.abc import Iterator

log = logging.getLogger(__name__)

MAX_BACKGROUND: Final = 256
CONGESTION_THRESHOLD: Final = 192
_CONNECTIONS: Final = Path("/sys/fs/fuse/connections")
_MNT_DETACH: Final = 2
_SAFE_FLAGS: Final = 2 | 4 | 8  # nosuid, nodev, noexec


def widen(mount: Path) -> bool:
    """Let 256 requests wait. False, said once in the log, where this kernel or this user may not."""
    found = mount_at(mount)
    if found is None:
        return False
    minor = found.device.partition(":")[2]
    try:
        with _control_files() as folder:
            (folder / minor / "max_background").write_text(str(MAX_BACKGROUND))
            (folder / minor / "congestion_threshold").write_text(str(CONGESTION_THRESHOLD))
    except OSError as error:
        log.info("At most 12 reads can wait at once on this mount (%s).", error.strerror)
        return False
    return True


@contextlib.contextmanager
def _control_files() -> Iterator[Path]:
    """Give the folder of FUSE connections; root mounts it for a moment where it is not mounted."""
    if any(_CONNECTIONS.glob("*/waiting")) or os.geteuid() != 0:
        yield _CONNECTIONS
        return
    libc = ctypes.CDLL(None, use_errno=True)
    with tempfile.TemporaryDirectory(prefix="alc-fusectl-") as folder:
        if libc.mount(b"fusectl", folder.encode(), b"fusectl", _SAFE_FLAGS, None) != 0:
            raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
        try:
            yield Path(folder)
        finally:
            libc.umount2(folder.encode(), _MNT_DETACH)
