"""One mount of one process: attach (as whoever may), serve (under the final user), unmount."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import shutil
from typing import TYPE_CHECKING, Final

import pyfuse3
import trio

from jupyter_alc.core.clock import SystemClock
from jupyter_alc.core.errors import AlcError, Conflict
from jupyter_alc.dms.fuse.attributes import Attributes, Owner
from jupyter_alc.dms.fuse.bridge import WORKERS, Bridge
from jupyter_alc.dms.fuse.control import tune
from jupyter_alc.dms.fuse.device import DEVICE, lacking, no_folder
from jupyter_alc.dms.fuse.files import Operations
from jupyter_alc.dms.fuse.stale import Forgetting
from jupyter_alc.dms.fuse.table import mount_at
from jupyter_alc.dms.fuse.unmounting import unmount, unmount_stale
from jupyter_alc.dms.fuse.wait import PollingWait, install

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from jupyter_alc.core.dataset import MountedDataset
    from jupyter_alc.dms.engine.interface import Engine
    from jupyter_alc.dms.entry import Entry

log = logging.getLogger(__name__)

SOURCE: Final = "dms"
_KNOWN_SECONDS: Final = 5.0


class Mount:
    """The folder `where`, served by an engine. Make one per process; pyfuse3 allows no second."""

    def __init__(self, where: Path, owner: Owner, datasets: Sequence[MountedDataset], volume: Path) -> None:
        self.where = where
        self._operations = Operations(Attributes(owner, datasets, since=SystemClock().now().timestamp()), volume)
        self._forgetting = Forgetting(self._operations.nodes)
        self._wait: PollingWait | None = None
        self._folder = -1

    def attach(self) -> None:
        """Mount; `Missing` says what is lacking. A dead mount is taken away, a living one is `Conflict`."""
        _check_tools()
        unmount_stale(self.where)
        if mount_at(self.where) is not None:
            raise Conflict(
                f"Another data service shows its datasets at {self.where} already.",
                next_step="Use that one; to start anew, end it first.",
            )
        self._folder = _folder_to_cover(self.where)
        options = {"default_permissions", f"fsname={SOURCE}"}
        place = str(self.where)
        if os.geteuid() == 0:
            # on the very folder that was opened: a link put in its place meanwhile leads nowhere
            place = f"/proc/self/fd/{self._folder}"
            options.add("allow_other")
        try:
            pyfuse3.init(self._operations, place, options)
        except RuntimeError as refused:
            os.close(self._folder)
            why, cure = f"the kernel refused the mount at {self.where}", "look for its reason in the machine's log"
            raise no_folder(why, cure) from refused
        tune(self.where)
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
        bridge = Bridge(loop)
        self._operations.bind(engine, bridge)
        if self._wait is not None:
            self._wait.quiet = lambda: not bridge.waiting
        loop.call_soon_threadsafe(engine.on_change, self._forgetting.told)
        self._forgetting.start(_known_to(engine, loop))
        self._operations.pushing.start()
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._end_when, stop, bridge)
                await pyfuse3.main(max_tasks=WORKERS)
                nursery.cancel_scope.cancel()
        finally:
            self._end_tellers()

    async def _end_when(self, stop: trio.Event, bridge: Bridge) -> None:
        await stop.wait()
        # The kernel lets the teller wait for requests in the same folder: these are answered, and it goes, before us.
        # A thread that waits there for ever would keep the process, and the device, for ever as well.
        bridge.end()
        await trio.to_thread.run_sync(self._end_tellers)
        if self._wait is not None:
            self._wait.closing = True  # without it a parked worker would wait for ever
        pyfuse3.terminate()

    def _end_tellers(self) -> None:
        self._operations.pushing.stop()
        self._forgetting.stop()

    def detach(self) -> None:
        """Let go of the device and unmount if this process may; else the mount stays for root to take away."""
        pyfuse3.close(unmount=False)
        os.close(self._folder)
        row = mount_at(self.where)
        if row is not None and (os.geteuid() == 0 or f"user_id={os.getuid()}" in row.options.split(",")):
            unmount(self.where)


def _known_to(engine: Engine, loop: asyncio.AbstractEventLoop) -> Callable[[str], Entry | None]:
    """What the engine knows of a path, for threads that may wait; no archive is asked."""

    def known(path: str) -> Entry | None:
        try:
            asked = asyncio.run_coroutine_threadsafe(engine.last_seen(path), loop)
            return asked.result(_KNOWN_SECONDS)[1]
        except (AlcError, RuntimeError, TimeoutError):  # not a dataset, or the engine is ending
            return None

    return known


def _soon(token: trio.lowlevel.TrioToken, stop: trio.Event) -> None:
    with contextlib.suppress(trio.RunFinishedError):
        token.run_sync_soon(stop.set)


def _check_tools() -> None:
    lack = lacking()
    if lack is not None:
        raise no_folder(f"{DEVICE} {lack.found}", f"the administrator can {lack.cure}")
    if os.geteuid() != 0 and shutil.which("fusermount3") is None:
        raise no_folder("fusermount3 is not installed", "the administrator can install the package fuse3")


def _folder_to_cover(where: Path) -> int:
    """Open the folder to mount on, made if need be; a link in its place is refused."""
    try:
        if not where.exists():
            where.mkdir(mode=0o755, parents=True)
        return os.open(where, os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW)
    except OSError as error:
        cure = "move away what is there and start your server again"
        raise no_folder(f"nothing can be mounted at {where} ({error.strerror})", cure) from error
