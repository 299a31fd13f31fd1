"""What the kernel lets us say about a mount after it is made, because pyfuse3 cannot say it before.

How many requests may wait: 12 are too few, one slow archive would freeze every other read. How far the kernel reads
ahead on its own: 128 KiB would fetch, between the chunks of a detector frame, more than the chunks. Reads of a program
stay as large as it asks, up to 128 KiB; reading ahead is the engine's business, which knows the archive.
"""

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
READ_AHEAD_KIB: Final = 16
_MNT_DETACH: Final = 2
_SAFE_FLAGS: Final = 2 | 4 | 8  # nosuid, nodev, noexec


def tune(mount: Path) -> None:
    """Let 256 requests wait and read 16 KiB ahead; what this kernel or this user may not is said once in the log."""
    found = mount_at(mount)
    if found is None:
        return
    minor = found.device.partition(":")[2]
    _write(
        "fusectl",
        Path("/sys/fs/fuse/connections"),
        {f"{minor}/max_background": MAX_BACKGROUND, f"{minor}/congestion_threshold": CONGESTION_THRESHOLD},
        "At most 12 reads can wait at once on this mount",
    )
    _write(
        "sysfs",
        Path("/sys"),
        {f"class/bdi/{found.device}/read_ahead_kb": READ_AHEAD_KIB},
        "The kernel reads ahead 128 KiB on this mount",
    )


def _write(kind: str, usual: Path, values: dict[str, int], otherwise: str) -> None:
    try:
        with _files_of(kind, usual, next(iter(values))) as folder:
            for name, value in values.items():
                (folder / name).write_text(str(value))
    except OSError as error:
        log.info("%s (%s).", otherwise, error.strerror)


@contextlib.contextmanager
def _files_of(kind: str, usual: Path, wanted: str) -> Iterator[Path]:
    """Give the folder of a kernel's file system; root mounts it for a moment where it is not mounted."""
    if (usual / wanted).exists() or os.geteuid() != 0:
        yield usual
        return
    libc = ctypes.CDLL(None, use_errno=True)
    with tempfile.TemporaryDirectory(prefix="alc-kernel-") as folder:
        if libc.mount(kind.encode(), folder.encode(), kind.encode(), _SAFE_FLAGS, None) != 0:
            raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
        try:
            yield Path(folder)
        finally:
            libc.umount2(folder.encode(), _MNT_DETACH)
