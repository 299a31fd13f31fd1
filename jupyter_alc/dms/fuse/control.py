"""What the kernel lets us say about a mount after it is made, because pyfuse3 cannot say it before.

How many requests may wait: 12 are too few, one slow archive would freeze every other read. How far the kernel reads
ahead on its own: 128 KiB would fetch, between the chunks of a detector frame, more than the chunks. Reads of a program
stay as large as it asks, up to 128 KiB; reading ahead is the engine's business, which knows the archive. In a file that
is here whole the kernel may as well ask for much at once.
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
NEAR_KIB: Final = 16
FAR_KIB: Final = 1024
_MNT_DETACH: Final = 2
_SAFE_FLAGS: Final = 2 | 4 | 8  # nosuid, nodev, noexec


class ReadAhead:
    """How far the kernel reads ahead on its own in a file, which is what `kib` is for the mount while it is opened.

    `file` is the kernel's for that, opened by whoever mounts, since who serves may not; -1: nothing can be said.
    """

    def __init__(self, file: int = -1) -> None:
        self._file, self._kib = file, -1

    def next_is(self, kib: int) -> None:
        """Let it be `kib` for the file that is opened now. Two that are opened at once may get each other's."""
        if kib != self._kib and self._file >= 0:
            with contextlib.suppress(OSError):
                os.pwrite(self._file, str(kib).encode(), 0)
                self._kib = kib

    def close(self) -> None:
        """Say nothing any more."""
        if self._file >= 0:
            os.close(self._file)
            self._file = -1


def tune(mount: Path) -> ReadAhead:
    """Let 256 requests wait and read 16 KiB ahead; what this kernel or this user may not is said once in the log."""
    found = mount_at(mount)
    if found is None:
        return ReadAhead()
    minor = found.device.partition(":")[2]
    connection, ahead = f"{minor}/max_background", f"class/bdi/{found.device}/read_ahead_kb"
    with (
        _told("At most 12 reads can wait at once on this mount"),
        _files_of("fusectl", Path("/sys/fs/fuse/connections"), connection) as folder,
    ):
        (folder / connection).write_text(str(MAX_BACKGROUND))
        (folder / f"{minor}/congestion_threshold").write_text(str(CONGESTION_THRESHOLD))
    told = ReadAhead()
    with _told("The kernel reads ahead 128 KiB on this mount"), _files_of("sysfs", Path("/sys"), ahead) as folder:
        told = ReadAhead(os.open(folder / ahead, os.O_WRONLY | os.O_CLOEXEC))
        told.next_is(NEAR_KIB)
    return told


@contextlib.contextmanager
def _told(otherwise: str) -> Iterator[None]:
    try:
        yield
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
