"""One dataset's line to its archive: a deadline on each call, counters, and what is known about its being reachable."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Final, TypeVar

from jupyter_alc.core.errors import AlcError, ArchiveUnreachable, ReadOnly
from jupyter_alc.dms.adapters.interface import Adapter, AnsweredBadly, Fills, Folders, Pages, Streams, Uploads
from jupyter_alc.dms.engine.gate import Gate
from jupyter_alc.dms.engine.latency import Latency
from jupyter_alc.dms.engine.line import Busy, Line
from jupyter_alc.dms.engine.turns import Ticket

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Coroutine
    from contextlib import AbstractAsyncContextManager
    from typing import Any

    from jupyter_alc.core.clock import Clock
    from jupyter_alc.core.dataset import MountedDataset
    from jupyter_alc.dms.adapters.interface import Bytes
    from jupyter_alc.dms.engine.landing import Landing
    from jupyter_alc.dms.entry import Entry

T = TypeVar("T")
REST_SECONDS: Final = 2.0


class _BrokeOff(Exception):
    """A listing is to be begun again."""


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
        parallel = dataset.transfer.parallel or adapter.capabilities.parallel
        self._gate = Gate(parallel)
        self.line = Line(parallel=parallel)
        self.latency = Latency()
        self.fills = adapter if isinstance(adapter, Fills) else None
        self._busy = Busy()
        self._rests_until = self.heard_at = 0.0
        self.problem: AlcError | None = None
        self.requests = 0
        self.moved_bytes = 0
        self._lock = threading.Lock()
        self._needed = 0

    @property
    def address(self) -> str:
        """What is one archive for the cache, whatever the dataset is called."""
        return f"{self.dataset.adapter}\0{self.dataset.url}"

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
        self,
        call: Callable[[], Coroutine[Any, Any, T]],
        *,
        deadline_seconds: float | None = None,
        again: bool = True,
        ticket: Ticket | None = None,
    ) -> T:
        """Await `call()`; no answer in time is `ArchiveUnreachable`. `again`: what broke off is asked for once more.

        With a `ticket`, what moves while it is under way is in time.
        """
        finds_out = self._refuse_while_away()
        ticket = ticket or Ticket()
        async with self._turn(ticket):
            if not finds_out:
                self._refuse_while_away()
            return await self._asked(
                lambda: self._once_or_twice(call, again=again and self.reachable),
                deadline_seconds or self.deadline_seconds,
                ticket,
            )

    def hurry(self, ticket: Ticket) -> None:
        """Somebody waits for this request now (R14)."""
        self._gate.hurry(ticket)

    def _turn(self, ticket: Ticket) -> AbstractAsyncContextManager[None]:
        """Wait for one of the requests at once; a busy line is not an archive that is away."""
        return self._gate.turn(ticket, 2 * self.deadline_seconds)

    async def _asked(self, call: Callable[[], Coroutine[Any, Any, T]], seconds: float, ticket: Ticket) -> T:
        try:
            async with _moving(seconds, ticket):
                answer = await call()
        except TimeoutError as error:
            raise self._late(ticket) from error
        except AlcError as error:
            if isinstance(error, ArchiveUnreachable) and not isinstance(error, AnsweredBadly):
                self._lost(error)
            else:
                self._heard()
            raise
        self._heard()
        return answer

    def _late(self, ticket: Ticket) -> ArchiveUnreachable:
        """What to say of a request that was not answered in time; while others are, the archive is not away."""
        words = "The archive does not answer in time.", "Try again in a moment."
        if self.heard_at > ticket.moved:
            return AnsweredBadly(words[0], next_step=words[1])
        return self._lost(ArchiveUnreachable(words[0], next_step=words[1]))

    def _refuse_while_away(self) -> bool:
        """Whether the caller is the one that finds out, for all, if the archive is back."""
        if self.problem is None:
            return False
        now = self._clock.monotonic()
        if now < self._rests_until:
            raise ArchiveUnreachable(self.problem.sentence, next_step=self.problem.next_step)
        self._rests_until = now + REST_SECONDS  # the next one asks even if this one's question hangs
        return True

    async def _once_or_twice(self, call: Callable[[], Coroutine[Any, Any, T]], *, again: bool) -> T:
        self.requests += 1
        try:
            return await call()
        except ArchiveUnreachable:
            if not again:
                raise
        self.requests += 1
        return await call()

    async def read(self, path: str, start: int, stop: int, token: str, ticket: Ticket | None = None) -> Bytes:
        """One ranged read, its bytes counted as moved, its time as a sample of the line."""
        read = self.adapter.read_range
        got = await self.ask(lambda: self._timed(lambda: read(path, start, stop, token), stop - start), ticket=ticket)
        self.moved_bytes += len(got)
        return got

    async def fill(self, path: str, token: str, landing: Landing, ticket: Ticket) -> None:
        """One ranged read that lands as it comes; asked for again, it goes on where it broke off."""
        fills, began = self.fills, landing.at
        assert fills is not None

        def rest() -> Coroutine[Any, Any, None]:
            left = landing.stop - landing.at
            return self._timed(lambda: fills.fill(path, landing.at, landing.stop, token, landing.take), left)

        try:
            await self.ask(rest, ticket=ticket)
        finally:
            self.moved_bytes += landing.at - began

    async def pieces(self, path: str, start: int, token: str) -> AsyncGenerator[bytes]:
        """The bytes from `start` to the end as they come, each piece in time; one request for as long as it lasts."""
        assert isinstance(self.adapter, Streams)
        self._refuse_while_away()
        ticket = Ticket(of=path)
        async with self._turn(ticket):
            self.requests += 1
            stream = self.adapter.open_stream(path, start, token)

            async def following() -> bytes:
                return await anext(stream, b"")

            try:
                while piece := await self._asked(following, self.deadline_seconds, ticket):
                    ticket.moved = time.monotonic()
                    self.moved_bytes += len(piece)
                    yield piece
            finally:
                if isinstance(stream, AsyncGenerator):
                    await stream.aclose()

    async def pages(self, path: str) -> AsyncGenerator[list[Entry]]:
        """What is in a folder, page by page, each in time. What broke off is begun again twice, from its first page.

        An adapter that knows no pages tells all in one.
        """
        if not isinstance(self.adapter, Pages):
            yield await self.ask(lambda: self.adapter.listing(path))
            return
        self._refuse_while_away()
        ticket = Ticket()
        async with self._turn(ticket):
            for last in (False, False, True):
                coming = self.adapter.listing_pages(path)
                try:
                    while (page := await self._page(coming, ticket, again=not last and self.reachable)) is not None:
                        ticket.moved = time.monotonic()
                        yield page
                    return
                except _BrokeOff:
                    continue
                finally:
                    if isinstance(coming, AsyncGenerator):
                        await coming.aclose()

    async def _page(self, coming: AsyncIterator[list[Entry]], ticket: Ticket, *, again: bool) -> list[Entry] | None:
        """The next page, None behind the last; `_BrokeOff` where the listing is to be begun `again`."""

        async def following() -> list[Entry] | None:
            try:
                return await anext(coming, None)
            except ArchiveUnreachable as error:
                if again:
                    raise _BrokeOff from error
                raise

        page = await self._asked(following, self.deadline_seconds, ticket)
        self.requests += page is not None
        return page

    async def _timed(self, call: Callable[[], Coroutine[Any, Any, T]], size: int) -> T:
        begun = self._clock.monotonic()
        before = self._busy.change(begun, 1)
        try:
            got = await call()
        finally:
            ended = self._clock.monotonic()
            after = self._busy.change(ended, -1)
        seconds = ended - begun
        self.latency.seen(seconds)
        self.line = self.line.seen(size, seconds, (after - before) / seconds if seconds > 0 else 1.0)
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
        was, self.problem, self.heard_at = self.problem, None, time.monotonic()
        if was is not None:
            self._changed()


@asynccontextmanager
async def _moving(seconds: float, ticket: Ticket) -> AsyncIterator[None]:
    """`TimeoutError` when nothing has moved on a request for so long."""
    loop = asyncio.get_running_loop()
    async with asyncio.timeout(seconds) as limit:
        watch: asyncio.TimerHandle

        def look(after: float) -> None:
            nonlocal watch
            if limit.expired():
                return
            limit.reschedule(max(loop.time(), ticket.moved + seconds))
            watch = loop.call_later(after, look, after)

        watch = loop.call_later(seconds / 2, look, seconds / 2)
        try:
            yield
        finally:
            watch.cancel()
