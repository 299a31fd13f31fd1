"""One dataset's line to its archive: a deadline on each call, counters, and what is known about its being reachable."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncGenerator
from typing import TYPE_CHECKING, Final, TypeVar

from jupyter_alc.core.errors import AlcError, ArchiveUnreachable, ReadOnly
from jupyter_alc.dms.adapters.interface import Adapter, AnsweredBadly, Folders, Streams, Uploads
from jupyter_alc.dms.engine.line import Line

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine
    from typing import Any

    from jupyter_alc.core.clock import Clock
    from jupyter_alc.core.dataset import MountedDataset
    from jupyter_alc.dms.adapters.interface import Bytes

T = TypeVar("T")
REST_SECONDS: Final = 2.0


class Link:
    """Calls of one adapter. After one that found the archive unreachable, calls fail at once for two seconds."""

    def __init__(
        self,
        dataset: MountedDataset,
        adapter: Adapter,
        clock: Clock,
        deadline_seconds: float,
        changed: Callable[[], None],
    ) -> None:
        self.dataset, self.adapter = dataset, adapter
        self._clock, self.deadline_seconds, self._changed = clock, deadline_seconds, changed
        self._slots = asyncio.Semaphore(adapter.capabilities.parallel)
        self.line = Line(parallel=adapter.capabilities.parallel)
        self._reading = 0
        self._rests_until = 0.0
        self.problem: AlcError | None = None
        self.requests = 0
        self.moved_bytes = 0
        self._lock = threading.Lock()
        self._needed = 0

    @property
    def needed_bytes(self) -> int:
        """What readers asked for."""
        return self._needed

    def need(self, size: int) -> None:
        """Count bytes that a reader got; any thread."""
        with self._lock:
            self._needed += size

    @property
    def reachable(self) -> bool:
        """Whether the last that was heard of the archive is good."""
        return self.problem is None

    def forget_rest(self) -> None:
        """Ask again at the next call."""
        self._rests_until = 0.0

    async def ask(
        self, call: Callable[[], Coroutine[Any, Any, T]], *, deadline_seconds: float | None = None, again: bool = True
    ) -> T:
        """Await `call()`; no answer in time is `ArchiveUnreachable`. `again`: what broke off is asked for once more."""
        self._refuse_while_away()
        await self._turn()
        try:
            self._refuse_while_away()
            return await self._asked(
                lambda: self._once_or_twice(call, again=again and self.reachable),
                deadline_seconds or self.deadline_seconds,
            )
        finally:
            self._slots.release()

    async def _asked(self, call: Callable[[], Coroutine[Any, Any, T]], seconds: float) -> T:
        try:
            async with asyncio.timeout(seconds):
                answer = await call()
        except TimeoutError as error:
            late = ArchiveUnreachable("The archive does not answer in time.", next_step="Try again in a moment.")
            raise self._lost(late) from error
        except AlcError as error:
            if isinstance(error, ArchiveUnreachable) and not isinstance(error, AnsweredBadly):
                self._lost(error)
            else:
                self._heard()
            raise
        self._heard()
        return answer

    def _refuse_while_away(self) -> None:
        if self._clock.monotonic() < self._rests_until and self.problem is not None:
            raise ArchiveUnreachable(self.problem.sentence, next_step=self.problem.next_step)

    async def _turn(self) -> None:
        """Wait for one of the requests at once; a busy line is not an archive that is away."""
        try:
            async with asyncio.timeout(2 * self.deadline_seconds):
                await self._slots.acquire()
        except TimeoutError as error:
            raise ArchiveUnreachable("Too much is asked of the archive at once.", next_step="Try again.") from error

    async def _once_or_twice(self, call: Callable[[], Coroutine[Any, Any, T]], *, again: bool) -> T:
        self.requests += 1
        try:
            return await call()
        except ArchiveUnreachable:
            if not again:
                raise
        self.requests += 1
        return await call()

    async def read(self, path: str, start: int, stop: int, token: str) -> Bytes:
        """One ranged read, its bytes counted as moved, its time as a sample of the line."""
        got = await self.ask(lambda: self._timed(path, start, stop, token))
        self.moved_bytes += len(got)
        return got

    async def pieces(self, path: str, start: int, token: str) -> AsyncGenerator[bytes]:
        """The bytes from `start` to the end as they come, each piece in time; one request for as long as it lasts."""
        assert isinstance(self.adapter, Streams)
        self._refuse_while_away()
        await self._turn()
        try:
            self.requests += 1
            stream = self.adapter.open_stream(path, start, token)

            async def following() -> bytes:
                return await anext(stream, b"")

            try:
                while piece := await self._asked(following, self.deadline_seconds):
                    self.moved_bytes += len(piece)
                    yield piece
            finally:
                if isinstance(stream, AsyncGenerator):
                    await stream.aclose()
        finally:
            self._slots.release()

    async def _timed(self, path: str, start: int, stop: int, token: str) -> Bytes:
        begun = self._clock.monotonic()
        self._reading += 1
        beside = self._reading
        try:
            got = await self.adapter.read_range(path, start, stop, token)
            beside += self._reading
        finally:
            self._reading -= 1
        self.line = self.line.seen(len(got), self._clock.monotonic() - begun, beside / 2)
        return got

    def uploads(self) -> Uploads:
        """The adapter as one that takes files; `ReadOnly` if it takes none."""
        if not isinstance(self.adapter, Uploads):
            raise self._takes_nothing()
        return self.adapter

    def folders(self) -> Folders:
        """The adapter as one that changes names; `ReadOnly` if it does not."""
        if not isinstance(self.adapter, Folders):
            raise self._takes_nothing()
        return self.adapter

    def _takes_nothing(self) -> ReadOnly:
        return ReadOnly(f"{self.dataset.id} is on an archive that we can only read.", next_step="Write elsewhere.")

    def _lost(self, error: ArchiveUnreachable) -> ArchiveUnreachable:
        self._rests_until = self._clock.monotonic() + REST_SECONDS
        first, self.problem = self.problem is None, error
        if first:
            self._changed()
        return error

    def _heard(self) -> None:
        was, self.problem = self.problem, None
        if was is not None:
            self._changed()
