"""A daemon's life: lock, mount, give up root, serve, stop."""

from __future__ import annotations

import gc
import json
import logging
import os
import signal
import threading
from typing import TYPE_CHECKING, Any, Final, TextIO

from jupyter_alc import __version__
from jupyter_alc.core.errors import AlcError, Missing
from jupyter_alc.dms.daemon.lock import AnotherDaemon, VolumeLock
from jupyter_alc.dms.daemon.rights import become, prepare_folder
from jupyter_alc.dms.daemon.serving import Serving
from jupyter_alc.dms.fuse.device import no_folder
from jupyter_alc.dms.making import make_engine
from jupyter_alc.dms.transfers.access import EngineTransfers

if TYPE_CHECKING:
    from collections.abc import Callable

    from jupyter_alc.dms.daemon.order import Order
    from jupyter_alc.dms.fuse.mount import Mount

log = logging.getLogger(__name__)

ENDED: Final = 0
FAILED: Final = 1
BAD_ORDER: Final = 2
SERVED_ALREADY: Final = 3


class Stop:
    """The wish to end, from a signal; heard by a thread that waits or by the mount's loop."""

    def __init__(self) -> None:
        self.wished = threading.Event()
        self._wake: Callable[[], object] = lambda: None

    def listen(self) -> None:
        """Hear SIGTERM and SIGINT from now on; in the main thread."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: self.wish())

    def wish(self) -> None:
        """Ask for the end; safe in a signal handler."""
        self.wished.set()
        self._wake()

    def also(self, wake: Callable[[], object]) -> None:
        """Call `wake` as well; at once if the wish is already there."""
        self._wake = wake
        if self.wished.is_set():
            wake()


class Daemon:
    """One order, carried out."""

    def __init__(self, order: Order, tell: TextIO) -> None:
        self._order = order
        self._tell = tell
        self._mounted = False
        self._problem: AlcError | None = None

    def run(self) -> int:
        """Serve until SIGTERM; the answer is the exit code, and one JSON line on `tell` says how it began."""
        stop = Stop()
        stop.listen()
        mount: Mount | None = None
        try:
            order = self._order
            prepare_folder(order.volume, 0o700, order)
            _lock = VolumeLock.take(order.volume, order.user, _owner(order))
            prepare_folder(order.socket.parent, 0o755, order)
            mount, self._problem = self._attach()
            become(order)
            engine = make_engine(order.datasets, order.volume, order.user, order.quota_bytes)
            transfers = EngineTransfers(engine, order.volume)
            serving = Serving(
                engine,
                transfers,
                place=order.socket,
                admit_uids=order.admit_uids,
                about=self._about,
                keepers=order.keepers,
            )
            serving.start()
        except AlcError as error:
            return self._give_up(error, mount)
        except Exception:  # the top of the start: whoever started us must hear a word
            log.exception("The data service could not start.")
            return self._give_up(AlcError("The data service could not start.", next_step="Its log says why."), mount)
        self._mounted = mount is not None
        gc.freeze()  # what stands now stays: to walk it again and again kept both loops waiting for 40 ms (R16)
        try:
            self._say(ready=True, problem=self._problem)
            self._serve(mount, serving, stop)
        finally:
            serving.stop(order.flush_seconds)
        return ENDED

    def _give_up(self, error: AlcError, mount: Mount | None) -> int:
        self._say(ready=False, problem=error)
        if mount is not None:
            mount.detach()
        return SERVED_ALREADY if isinstance(error, AnotherDaemon) else FAILED

    def _attach(self) -> tuple[Mount | None, AlcError | None]:
        """Mount if that is wanted and possible; without a mount the socket still serves, and says why."""
        order = self._order
        if order.mount is None:
            return None, None
        try:
            from jupyter_alc.dms.fuse.attributes import Owner  # noqa: PLC0415  (only where FUSE is installed)
            from jupyter_alc.dms.fuse.mount import Mount  # noqa: PLC0415
        except ImportError:
            return None, no_folder("pyfuse3 is not installed", "the administrator can install jupyter-alc[machine]")
        mount = Mount(order.mount, Owner(order.files_uid, order.files_gid), order.datasets, order.volume)
        try:
            mount.attach()
        except Missing as problem:
            return None, problem
        return mount, None

    def _serve(self, mount: Mount | None, serving: Serving, stop: Stop) -> None:
        if mount is not None:
            mount.run(serving.engine, serving.loop, stop.also)
            self._mounted = False
            mount.detach()
        stop.wished.wait()  # without a mount, or after somebody unmounted it, the socket goes on

    def _about(self) -> dict[str, Any]:
        mount = self._order.mount
        return {
            "pid": os.getpid(),
            "uid": os.getuid(),
            "user": self._order.user,
            "mount": None if mount is None else str(mount),
            "mounted": self._mounted,
            "problem": None if self._problem is None else self._problem.as_json(),
            "version": __version__,
        }

    def _say(self, *, ready: bool, problem: AlcError | None) -> None:
        told = {"ready": ready, "mounted": self._mounted, "problem": None if problem is None else problem.as_json()}
        try:
            self._tell.write(json.dumps(told) + "\n")
            self._tell.flush()
        except BrokenPipeError:  # who started us no longer listens; those who ask the socket still do
            log.info("Nobody listens to the first word.")


def _owner(order: Order) -> tuple[int, int] | None:
    if order.run_as_uid is None or os.geteuid() != 0:
        return None
    return order.run_as_uid, order.run_as_uid if order.run_as_gid is None else order.run_as_gid
