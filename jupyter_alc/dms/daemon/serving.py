"""The engine and its socket on an asyncio loop in a thread of their own; the main thread belongs to the mount."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
import threading
from concurrent.futures import TimeoutError as NotInTime
from typing import TYPE_CHECKING, Any, Final, TypeVar

from aiohttp import web

from jupyter_alc.core.errors import Conflict, TooLate
from jupyter_alc.dms.access import EngineAccess
from jupyter_alc.dms.daemon.routes import application

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine
    from pathlib import Path

    from jupyter_alc.dms.engine.interface import Engine
    from jupyter_alc.dms.transfers.access import EngineTransfers

log = logging.getLogger(__name__)

T = TypeVar("T")

_START_SECONDS: Final = 60.0
_STOP_SECONDS: Final = 10.0
_LONGEST_SOCKET: Final = 107


class Serving:
    """Runs one engine and answers for it on `place`."""

    def __init__(
        self,
        engine: Engine,
        transfers: EngineTransfers,
        *,
        place: Path,
        admit_uids: frozenset[int],
        about: Callable[[], dict[str, Any]],
        keepers: frozenset[int] = frozenset(),
    ) -> None:
        self.engine = engine
        self._transfers = transfers
        self.loop = asyncio.new_event_loop()
        self._place = place
        self._admit, self._keepers = admit_uids, keepers
        self._about = about
        self._runner: web.AppRunner | None = None
        self._thread = threading.Thread(target=self._run, name="engine", daemon=True)

    def start(self) -> None:
        """Return when the engine runs and the socket answers; raises what kept them from it."""
        self._thread.start()
        self._call(self._start(), _START_SECONDS)

    def stop(self, flush_seconds: float) -> None:
        """Send what goes in `flush_seconds`, close the socket, stop the engine; what is unsent stays staged."""
        for step, seconds in (
            (self._flush(flush_seconds), flush_seconds),
            (self._close(), 0.0),
            (self._transfers.stop(), 0.0),
            (self.engine.stop(), 0.0),
        ):
            try:
                self._call(step, seconds + _STOP_SECONDS)
            except TooLate:
                log.warning("The data service ends before it has finished its work.")
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join(timeout=_STOP_SECONDS)

    def _call(self, work: Coroutine[Any, Any, T], seconds: float) -> T:
        future = asyncio.run_coroutine_threadsafe(work, self.loop)
        try:
            return future.result(seconds)
        except NotInTime as late:
            future.cancel()
            raise TooLate(f"The data service did not finish within {seconds:.0f} s.", next_step="Try again.") from late

    def _run(self) -> None:
        asyncio.set_event_loop(self.loop)
        self.loop.run_forever()

    async def _start(self) -> None:
        await self.engine.start()
        await self._transfers.start()
        made = application(EngineAccess(self.engine, self._about), self._transfers, self._admit, self._keepers)
        self._runner = web.AppRunner(made, access_log=None, shutdown_timeout=2.0)
        await self._runner.setup()
        site = web.SockSite(self._runner, _listen(self._place))
        await site.start()

    async def _flush(self, seconds: float) -> None:
        left = await self.engine.flush(seconds) if seconds > 0 else self.engine.unsent()
        if left:
            log.warning(
                "%d written files stay here until the next start; the archive does not have them yet.", len(left)
            )

    async def _close(self) -> None:
        if self._runner is not None:
            await self._runner.cleanup()
        with contextlib.suppress(FileNotFoundError):
            self._place.unlink()


def _listen(place: Path) -> socket.socket:
    """Bind the Unix socket; one that a dead daemon left is replaced, one that answers is `Conflict`."""
    if len(str(place).encode()) > _LONGEST_SOCKET:
        raise Conflict(
            f"The path of the socket {place} is too long.", next_step="Choose a run folder with a short path."
        )
    _refuse_if_answered(place)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        place.unlink(missing_ok=True)
        listener.bind(str(place))
        place.chmod(0o666)  # who may ask is decided by the peer's uid
        listener.listen(128)
        listener.setblocking(False)
    except OSError as error:
        listener.close()
        raise Conflict(
            f"The socket {place} cannot be made: {error.strerror}.",
            next_step="Give the daemon a run folder of its own.",
        ) from error
    return listener


def _refuse_if_answered(place: Path) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        try:
            probe.connect(str(place))
        except OSError:  # nobody
            return
    raise Conflict(f"Something answers at {place} already.", next_step="End it, or choose another socket.")
