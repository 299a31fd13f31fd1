"""One mount of one process: attach (as whoever may), serve (under the final user), unmount."""

from __future__ import annotations

import contextlib
import ctypes
import logging
import os
import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Final

import pyfuse3
import trio

from jupyter_alc.core.errors import Missing
from jupyter_alc.dms.fuse.attributes import Attributes, Owner
from jupyter_alc.dms.fuse.bridge import Bridge
from jupyter_alc.dms.fuse.control import widen
from jupyter_alc.dms.fuse.files import Operations
from jupyter_alc.dms.fuse.stale import Forgetting
from jupyter_alc.dms.fuse.table import mount_at
from jupyter_alc.dms.fuse.wait import PollingWait, install

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable, Sequence

    from jupyter_alc.core.dataset import MountedDataset
    from jupyter_alc.dms.engine.interface import Engine

log = logging.getLogger(__name__)

SOURCE: Final = "dms"
_MNT_DETACH: Final = 2
_UMOUNT_NOFOLLOW: Final = 8


class Mount:
    """The folder `where`, served by an engine. Make one per process; pyfuse3 allows no second."""

    def __init__(self, where: Path, owner: Owner, datasets: Sequence[MountedDataset], volume: Path) -> None:
        self.where = where
        self._operations = Operations(Attributes(owner, datasets), volume)
        self._forgetting = Forgetting(self._operations.nodes)
        self._wait: PollingWait | None = None
        self._folder = -1

    def attach(self) -> None:
        """Mount; `Missing` says what is lacking. A dead mount of ours that is in the way is taken over."""
        _check_tools()
        unmount_stale(self.where)
        self._folder = _folder_to_cover(self.where)
        as_root = os.geteuid() == 0
        options = {"default_permissions", f"fsname={SOURCE}"} | ({"allow_other"} if as_root else set())
        # root mounts on the very folder it opened: a link put in its place meanwhile leads nowhere
        place = f"/proc/self/fd/{self._folder}" if as_root else str(self.where)
        try:
            pyfuse3.init(self._operations, place, options)
        except RuntimeError as refused:
            os.close(self._folder)
            raise Missing(
                f"The data folder could not be mounted at {self.where}.",
                next_step="Run as root, or install fuse3 so that fusermount3 mounts for you; dms:// works meanwhile.",
            ) from refused
        widen(self.where)
        self._wait = install()

    def run(
        self, engine: Engine, loop: asyncio.AbstractEventLoop, on_stop: Callable[[Callable[[], object]], object]
    ) -> None:
        """Answer the kernel until somebody unmounts or what was handed to `on_stop` is called; in the main thread."""
        trio.run(self._serve, engine, loop, on_stop)

    async def _serve(
        self, engine: Engine, loop: asyncio.AbstractEventLoop, on_stop: Callable[[Callable[[], object]], object]
    ) -> None:
        stop, token = trio.Event(), trio.lowlevel.current_trio_token()
        on_stop(lambda: _soon(token, stop))
        self._operations.bind(engine, Bridge(loop))
        loop.call_soon_threadsafe(engine.on_change, self._forgetting.told)
        self._forgetting.start()
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._end_when, stop)
                await pyfuse3.main()
                nursery.cancel_scope.cancel()
        finally:
            self._forgetting.stop()

    async def _end_when(self, stop: trio.Event) -> None:
        await stop.wait()
        if self._wait is not None:
            self._wait.closing = True  # without it a parked worker would wait for ever
        pyfuse3.terminate()

    def detach(self) -> None:
        """Let go of the device and unmount if this process may; else the mount stays for root to take away."""
        may = os.geteuid() == 0
        if may:
            _umount(self.where)
        pyfuse3.close(unmount=not may and not _roots(self.where))
        os.close(self._folder)


def _soon(token: trio.lowlevel.TrioToken, stop: trio.Event) -> None:
    with contextlib.suppress(trio.RunFinishedError):
        token.run_sync_soon(stop.set)


def _roots(where: Path) -> bool:
    """Whether root made this mount, or it is gone: then we may not unmount it, and asking prints an error."""
    row = mount_at(where)
    return row is None or f"user_id={os.getuid()}" not in row.options.split(",")


def _check_tools() -> None:
    if not Path("/dev/fuse").exists():
        raise Missing(
            "This computer has no /dev/fuse, so there is no data folder.",
            next_step="Ask the administrator to load the fuse module (modprobe fuse); dms:// works meanwhile.",
        )
    if os.geteuid() != 0 and shutil.which("fusermount3") is None:
        raise Missing(
            "fusermount3 is not installed, so there is no data folder.",
            next_step="Install the package fuse3; dms:// works meanwhile.",
        )


def _folder_to_cover(where: Path) -> int:
    """Open the folder to mount on, made if need be; a link in its place is refused."""
    try:
        if not where.exists():
            where.mkdir(mode=0o755, parents=True)
        return os.open(where, os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW)
    except OSError as error:
        raise Missing(
            f"The data folder cannot be mounted at {where}: {error.strerror}.",
            next_step="Move away what is there, so that a plain folder can be made.",
        ) from error


def is_stale(where: Path) -> bool:
    """Whether a mount is there whose daemon is gone."""
    if mount_at(where) is None:
        return False
    try:
        where.stat()
    except PermissionError:  # alive, and not ours
        return False
    except OSError:  # not connected
        return True
    return False


def unmount_stale(where: Path) -> bool:
    """Take away a mount at `where` whose daemon is gone; say whether there was one and it is gone now."""
    found = False
    while is_stale(where):
        row = mount_at(where)
        if row is None or not row.kind.startswith("fuse") or not _umount(where):
            return False
        found = True
    return found


def _umount(where: Path) -> bool:
    """Unmount lazily, as root or through fusermount3."""
    if os.geteuid() == 0:
        libc = ctypes.CDLL(None, use_errno=True)
        return bool(libc.umount2(os.fsencode(where), _MNT_DETACH | _UMOUNT_NOFOLLOW) == 0)
    tool = shutil.which("fusermount3")
    if tool is None:
        return False
    with contextlib.suppress(subprocess.TimeoutExpired):
        done = subprocess.run([tool, "-u", "-z", "-q", str(where)], check=False, timeout=10)
        return done.returncode == 0
    return False
