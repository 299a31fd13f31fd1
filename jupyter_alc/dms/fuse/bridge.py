"""From trio, where the mount lives, to asyncio, where the engine lives, and back without a thread per request."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from typing import TYPE_CHECKING, Any, Final, TypeVar

import trio

from jupyter_alc.core.errors import ArchiveUnreachable, TooLate

if TYPE_CHECKING:
    from collections.abc import Coroutine
    from concurrent.futures import Future

log = logging.getLogger(__name__)

T = TypeVar("T")

MOST_WAITING: Final = 256  # as many as the kernel lets wait in the background
WORKERS: Final = 300  # above `MOST_WAITING`, so that somebody always reads the device
READ_SECONDS: Final = 30.0
CHANGE_SECONDS: Final = 120.0


class Bridge:
    """Runs the engine's coroutines on its loop; a bounded number of requests wait, each with a deadline."""

    def __init__(self, loop: asyncio.AbstractEventLoop, *, most_waiting: int = MOST_WAITING) -> None:
        self._loop = loop
        self._most = most_waiting
        self.waiting = 0
        self._ending = False
        self._lookers: set[trio.Event] = set()
        self._begun: set[asyncio.Task[object]] = set()

    def end(self) -> None:
        """The mount ends: who only looks is answered at once from now on; what changes something is still done."""
        self._ending = True
        for one in self._lookers:
            one.set()

    async def ask(self, work: Coroutine[Any, Any, T], *, seconds: float = READ_SECONDS) -> T:
        """Run something that only looks. Past the deadline it is given up: `TooLate`."""
        return await self._run(work, seconds, give_up=True)

    async def change(self, work: Coroutine[Any, Any, T], *, seconds: float = CHANGE_SECONDS) -> T:
        """Run something that changes. It is never torn: past the deadline it goes on and the caller hears `TooLate`."""
        return await self._run(work, seconds, give_up=False)

    def begin(self, work: Coroutine[Any, Any, object]) -> None:
        """Run something that changes and that nobody waits for; what it fails with is in the log."""
        try:
            self._loop.call_soon_threadsafe(self._begin, work)
        except RuntimeError:  # the engine's loop has ended, and with it what was to be done
            work.close()

    def _begin(self, work: Coroutine[Any, Any, object]) -> None:
        task = self._loop.create_task(work)
        self._begun.add(task)
        task.add_done_callback(self._done)

    def _done(self, task: asyncio.Task[object]) -> None:
        self._begun.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.warning("What was begun for the mount failed.", exc_info=error)

    async def _run(self, work: Coroutine[Any, Any, T], seconds: float, *, give_up: bool) -> T:
        if self.waiting >= self._most:
            work.close()
            raise ArchiveUnreachable(
                f"{self._most} requests already wait for the archive.", next_step="Try again when it answers."
            )
        if self._ending and give_up:
            work.close()
            raise _is_ending()
        future = self._start(work)
        done = _event_of(future)
        self.waiting += 1
        if give_up:
            self._lookers.add(done)
        try:
            with trio.move_on_after(seconds):
                await done.wait()
            if not future.done() and self._ending and give_up:
                raise _is_ending()
            if not future.done():
                raise TooLate(f"No answer within {seconds:.0f} s.", next_step="Try again when the archive answers.")
            return future.result()
        finally:
            self.waiting -= 1
            self._lookers.discard(done)
            if give_up:
                future.cancel()  # past the deadline, or because the mount ends

    def _start(self, work: Coroutine[Any, Any, T]) -> Future[T]:
        try:
            return asyncio.run_coroutine_threadsafe(work, self._loop)
        except RuntimeError as closed:  # the engine's loop has ended
            work.close()
            raise _is_ending() from closed


def _is_ending() -> ArchiveUnreachable:
    return ArchiveUnreachable("The data service is ending.", next_step="Start it again.")


def _event_of(future: Future[Any]) -> trio.Event:
    """Return an event of the running trio loop that is set when `future` is done."""
    token = trio.lowlevel.current_trio_token()
    done = trio.Event()

    def wake(_: Future[Any]) -> None:
        with contextlib.suppress(trio.RunFinishedError):
            token.run_sync_soon(done.set)

    future.add_done_callback(wake)
    return done
