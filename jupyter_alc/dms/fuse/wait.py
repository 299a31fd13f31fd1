"""A readiness wait that polls before it parks: four times the small reads per second of the one pyfuse3 ships.

pyfuse3's workers await the module-level coroutine `_wait_fuse_readable` before every request and look it up by name,
so replacing the name replaces the wait. As shipped, most of a small read's time is spent parking in the scheduler.
"""

from __future__ import annotations

import inspect
import logging
import select
from pathlib import Path
from typing import TYPE_CHECKING, Final

import pyfuse3
import trio

from jupyter_alc.core.switches import POLLING_WAIT, is_on

if TYPE_CHECKING:
    from collections.abc import Callable

log = logging.getLogger(__name__)

TESTED: Final = frozenset({"3.5.0"})
_NAME: Final = "_wait_fuse_readable"  # what pyfuse3's workers look up
_LINGER_MILLISECONDS: Final = 1  # who asks one thing after the other has asked again by then
_LINGERED: Final = 7  # calls that it counts for
_FAIR_EVERY: Final = 32  # calls after which other tasks get their turn under a storm of hits


def device_of_session() -> int | None:
    """Return the one descriptor of this process that is a FUSE device; None when there is not exactly one."""
    found = []
    for entry in Path("/proc/self/fd").iterdir():
        try:
            if entry.readlink() == Path("/dev/fuse"):
                found.append(int(entry.name))
        except OSError:  # closed while we looked
            continue
    return found[0] if len(found) == 1 else None


class PollingWait:
    """The replacement for `_wait_fuse_readable`. True means "receive now", False means "this worker ends".

    While `quiet()` nothing but the device can wake this loop: it is then waited for without the loop, for a moment.
    """

    def __init__(self, device: int, quiet: Callable[[], bool] = lambda: False) -> None:
        self._device = device
        poll = select.poll()
        poll.register(device, select.POLLIN)
        self._ready = poll.poll
        self._lock = trio.Lock()
        self._calls = 0
        self.quiet = quiet
        self.closing = False

    async def wait(self) -> bool:
        """Wait until the device has a request (True) or the mount is closing (False)."""
        self._calls += 1
        if self._calls >= _FAIR_EVERY:
            self._calls = 0
            await trio.lowlevel.checkpoint()
        if self.closing:
            return False
        if self._ready(0):
            return True  # no await between this answer and the receive: the device blocks
        if self.quiet():
            self._calls += _LINGERED
            if self._ready(_LINGER_MILLISECONDS):
                return True
        return await self._park()

    async def _park(self) -> bool:
        try:
            async with self._lock:
                while not self.closing:
                    if self._ready(0):
                        return True
                    await trio.lowlevel.wait_readable(self._device)
        except trio.ClosedResourceError:
            self.closing = True
        return False


def install(*, wanted: bool = True) -> PollingWait | None:
    """Put the polling wait in place after `pyfuse3.init`; None, said in the log, where that is not known to be safe."""
    reason = _why_not(wanted)
    device = device_of_session()
    if reason is None and device is None:
        reason = "there is not exactly one FUSE device open"
    if reason is not None or device is None:
        log.info("The mount waits as pyfuse3 ships it: %s.", reason)
        return None
    waiting = PollingWait(device)
    setattr(pyfuse3, _NAME, waiting.wait)
    return waiting


def _why_not(wanted: bool) -> str | None:
    if not wanted or not is_on(POLLING_WAIT):
        return "it was switched off"
    if pyfuse3.__version__ not in TESTED:
        return f"pyfuse3 {pyfuse3.__version__} was not tested with the other one"
    if getattr(pyfuse3, "trio", None) is not trio:
        return "pyfuse3 does not run on trio"
    shipped = getattr(pyfuse3, _NAME, None)
    return None if inspect.iscoroutinefunction(shipped) else "its wait is not a coroutine"
