"""One transfer on its way: walk, look whether it fits, move, and wait while the archive is out of reach (T1 to T7)."""

from __future__ import annotations

import asyncio
import contextlib
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from jupyter_alc.core.errors import AlcError, Conflict, FileNotThere, NoSpace, Unavailable, VersionChanged
from jupyter_alc.core.sizes import size
from jupyter_alc.core.states import TransferState
from jupyter_alc.dms.adapters.interface import AnsweredBadly
from jupyter_alc.dms.engine.supply import most_disk_bytes, together
from jupyter_alc.dms.tokens import is_unsettled
from jupyter_alc.dms.transfers.table import DONE, FAILED, TO_DO

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from jupyter_alc.core.clock import Clock
    from jupyter_alc.dms.engine.supply import Supply
    from jupyter_alc.dms.entry import Entry
    from jupyter_alc.dms.transfers.hand import Hand
    from jupyter_alc.dms.transfers.table import Table
    from jupyter_alc.dms.transfers.transfer import Transfer

_TRIES: Final = 5
_SETTLE_SECONDS: Final = 5.0
_LOOK_SECONDS: Final = 0.5
_FIRST_WAIT_SECONDS: Final = 1.0
_LONGEST_WAIT_SECONDS: Final = 60.0
_AT_ONCE: Final = 1000  # names written down in one go


@dataclass(frozen=True, slots=True)
class Means:
    """What every course works with. `taken` are the bytes of the cache that other transfers under way may take.

    `pace` says how long to wait before so many bytes of a dataset may move for a transfer, `moved` hears of those that
    did, `worked` of the files and bytes that were moved in so many seconds, in some of which the processor worked,
    `stepped` of the files of one and the seconds of its own steps; `changed` hears of each step of one.
    """

    supply: Supply
    table: Table
    hand: Hand
    clock: Clock
    taken: Callable[[Transfer], int]
    pace: Callable[[Transfer, str, int], float]
    moved: Callable[[str, int], None]
    worked: Callable[[int, int, float, float], None]
    stepped: Callable[[int, float], None]
    changed: Callable[[Transfer], None]


class Course:
    """The way of one transfer; `run` ends with it. Whoever cancels the task says what has become of it."""

    def __init__(self, transfer: Transfer, means: Means) -> None:
        self.transfer, self._means = transfer, means
        self._slots = asyncio.Semaphore(transfer.wish.connections)
        self._hurry = asyncio.Event()
        self._wait = _FIRST_WAIT_SECONDS
        self._brought = 0
        self._steps = _Steps(means.clock, means.supply, transfer)
        self._settled: list[tuple[str, dict[str, str] | None]] = []  # not written down yet

    def hurry(self) -> None:
        """Look at once whether the archive is there again."""
        self._hurry.set()

    async def run(self) -> None:
        """Go on until the transfer is over."""
        while True:
            try:
                await self._walk()
                await self._look_whether_it_fits()
                await self._move()
                await self._end()
            except Unavailable as away:
                self._steps.told = False
                await self._become(TransferState.WAITING, away)
                await self._pause()
            except AlcError as error:
                await self._become(TransferState.FAILED, error)
            if self.transfer.over:
                return

    async def _become(self, state: TransferState, problem: AlcError | None = None) -> None:
        transfer, means = self.transfer, self._means
        ended = means.clock.now().timestamp() if state in {TransferState.DONE, TransferState.FAILED} else None
        transfer.become(state, None if problem is None else problem.as_json(), ended)
        with contextlib.suppress(NoSpace):  # the next start does it again
            await means.hand.do(means.table.save, transfer)
        means.changed(transfer)

    async def _pause(self) -> None:
        self._hurry.clear()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self._wait):
                await self._hurry.wait()
        self._wait = min(2 * self._wait, _LONGEST_WAIT_SECONDS)

    def _must_be_here(self, path: str) -> None:
        """Raise `Unavailable` where the dataset of `path` is none of this session, or not in the folder."""
        try:
            self._means.supply.dataset(path)
        except FileNotThere as gone:
            dataset = path.partition("/")[0]
            raise Unavailable(
                f"{dataset} is not in the folder now.", next_step=f"The transfer goes on when {dataset} is mounted."
            ) from gone

    # listing

    async def _walk(self) -> None:
        transfer, table, do = self.transfer, self._means.table, self._means.hand.do
        number = transfer.wish.number
        while (path := await do(table.folder, number)) is not None:
            if transfer.state is not TransferState.LISTING:
                await self._become(TransferState.LISTING)
            self._must_be_here(path)
            try:
                await self._list(path)
            except (Unavailable, NoSpace):
                raise
            except AlcError as error:
                self._must_be_here(path)
                await do(table.settled, number, [(path, error.as_json())])
            await do(table.walked, number, path)
            self._wait = _FIRST_WAIT_SECONDS
        to_do, done, failed = [await do(table.sums, number, state) for state in (TO_DO, DONE, FAILED)]
        transfer.files = to_do.files + done.files + failed.files
        transfer.size_bytes = to_do.size_bytes + done.size_bytes + failed.size_bytes
        transfer.files_done, transfer.settled_bytes = done
        transfer.failed_files = failed.files

    async def _list(self, path: str) -> None:
        transfer, means = self.transfer, self._means
        number = transfer.wish.number
        entry = await means.supply.info(path)
        if not entry.is_folder:
            await means.hand.do(means.table.listed, number, [(entry.target or path, entry)], [])
            return
        async for page in means.supply.pages(path):
            for at in range(0, len(page), _AT_ONCE):
                some = [(one.target or f"{path}/{one.name}", one) for one in page[at : at + _AT_ONCE]]
                files = [(name, one) for name, one in some if not one.is_folder]
                folders = [name for name, one in some if one.is_folder]
                await means.hand.do(means.table.listed, number, files, folders)
                transfer.files += len(files)
                transfer.size_bytes += sum(one.size for _, one in files)
            means.changed(transfer)

    async def _look_whether_it_fits(self) -> None:
        """Raise `NoSpace` where the cache cannot hold all files at once; let what is here count as ours."""
        transfer, means = self.transfer, self._means
        needed, most = most_disk_bytes(transfer.files, transfer.size_bytes), means.supply.most_bytes
        taken = means.taken(transfer)
        if needed > most - taken:
            others = f", of which other transfers take {size(taken)}" if taken else ""
            raise NoSpace(
                f"{size(transfer.size_bytes)} do not fit: the cache can hold {size(most)}{others}.",
                next_step="Fetch a part of them, or read them without fetching; the facility can give you more room.",
            )
        for state in (DONE, TO_DO):
            after = ""
            while some := await means.hand.do(means.table.files, transfer.wish.number, state, after):
                for path, entry in some:
                    self._must_be_here(path)
                    means.supply.claim(path, entry, transfer.wish.id)
                after = some[-1][0]

    # moving

    async def _move(self) -> None:
        if self.transfer.state is not TransferState.MOVING:
            await self._become(TransferState.MOVING)
        self.transfer.going.clear()  # as of the last time
        files = self._to_do()

        async def work() -> None:
            async for path, entry in files:
                await self._settle(path, entry)

        teller = asyncio.create_task(self._tell())
        brought, moved, began, worked = self._so_far()
        try:
            await together(work() for _ in range(self.transfer.wish.files_at_once))
            now = self._so_far()
            self._means.worked(now[0] - brought, now[1] - moved, now[2] - began, now[3] - worked)
        finally:
            teller.cancel()
            await self._write_down()

    def _so_far(self) -> tuple[int, int, float, float]:
        """Files and bytes that were moved, the time, and that of the processor."""
        return self._brought, self.transfer.moved_bytes, self._means.clock.monotonic(), time.process_time()

    def _to_do(self) -> AsyncIterator[tuple[str, Entry]]:
        return _Feed(self._means, self.transfer.wish.number)

    async def _tell(self) -> None:
        """Say how far it is, and write it down, now and then."""
        while True:
            await asyncio.sleep(_LOOK_SECONDS)
            self.transfer.speed.at(self._means.clock.monotonic(), self.transfer.moved_bytes)
            self._means.changed(self.transfer)
            with contextlib.suppress(NoSpace):
                await self._write_down()
                await self._means.hand.do(self._means.table.save, self.transfer)

    async def _write_down(self) -> None:
        """Write down what was settled; what a kill forgets is looked at again, and is here."""
        settled, self._settled = self._settled, []
        try:
            await self._means.hand.do(self._means.table.settled, self.transfer.wish.number, settled)
        except NoSpace:
            self._settled[:0] = settled
            raise

    async def _settle(self, path: str, entry: Entry) -> None:
        """Bring one file, in whatever version it has by now, or note why that cannot be."""
        transfer = self.transfer
        problem: dict[str, str] | None = None
        try:
            entry = await self._bring(path, entry)
        except NoSpace:
            raise
        except AlcError as error:
            if isinstance(error, Unavailable) and not isinstance(error, AnsweredBadly):
                raise
            self._must_be_here(path)
            problem = error.as_json()
        transfer.going.pop(path, None)
        self._settled.append((path, problem))
        if problem is None:
            transfer.files_done += 1
            transfer.settled_bytes += entry.size
            self._wait = _FIRST_WAIT_SECONDS
        else:
            transfer.failed_files += 1
            transfer.failed.append({"path": path, "problem": problem})

    async def _bring(self, path: str, entry: Entry) -> Entry:
        """The file's entry, once all of that version is here."""
        transfer, supply = self.transfer, self._means.supply
        if not entry.token:  # it failed before
            entry = await self._relisted(path, entry, await supply.info(path, anew=True))
        failed = AlcError("nothing was tried")
        for _ in range(_TRIES):
            self._must_be_here(path)
            entry = await self._settled_version(path, entry)
            transfer.going[path] = held = supply.held(path, entry)
            try:
                await supply.bring(path, entry, transfer.wish.id, self._turn(path), self._came(path))
            except (VersionChanged, FileNotThere) as error:
                failed = error
                entry = await self._relisted(path, entry, await supply.info(path, anew=True))
            except AnsweredBadly as error:
                failed = error
                await asyncio.sleep(_LOOK_SECONDS)
            else:
                self._brought += held < entry.size
                return entry
        raise failed

    async def _settled_version(self, path: str, entry: Entry) -> Entry:
        """Wait a little for a version that may still change under the same token (T4)."""
        end = self._means.clock.monotonic() + _SETTLE_SECONDS
        while is_unsettled(entry.token) and self._means.clock.monotonic() < end:
            await asyncio.sleep(_LOOK_SECONDS)
            entry = await self._relisted(path, entry, await self._means.supply.info(path, anew=True))
        return entry

    async def _relisted(self, path: str, old: Entry, new: Entry) -> Entry:
        if new.is_folder:
            raise Conflict(f"{path} is a folder now.", next_step="Fetch it anew.")
        self.transfer.size_bytes += new.size - old.size
        await self._means.hand.do(self._means.table.relisted, self.transfer.wish.number, path, new)
        return new

    def _turn(self, path: str) -> Callable[[int], contextlib.AbstractAsyncContextManager[None]]:
        dataset = path.partition("/")[0]

        @contextlib.asynccontextmanager
        async def turn(bytes_: int) -> AsyncIterator[None]:
            async with self._slots:
                self._steps.first()
                wait = self._means.pace(self.transfer, dataset, bytes_)
                if wait > 0:
                    await asyncio.sleep(wait)
                yield

        return turn

    def _came(self, path: str) -> Callable[[int], None]:
        def came(bytes_: int) -> None:
            self._steps.last()
            self.transfer.moved_bytes += bytes_
            self._means.moved(path.partition("/")[0], bytes_)
            if path in self.transfer.going:
                self.transfer.going[path] += bytes_

        return came

    async def _end(self) -> None:
        transfer, means = self.transfer, self._means
        failures = await means.hand.do(means.table.failures, transfer.wish.number)
        if failures:
            transfer.failed = failures
            raise Conflict(
                f"{transfer.failed_files} of {transfer.files} files could not be brought; the others are here.",
                next_step="Look at the reasons below it; a resume tries these again.",
            )
        await self._become(TransferState.DONE)
        if (seconds := self._steps.seconds()) is not None:
            means.stepped(transfer.files, seconds)
        await means.hand.do(means.table.forget_files, transfer.wish.number)


class _Steps:
    """How long a transfer takes for its own steps: all but the time from its first request until its last byte.

    None is `told` where names had to be asked for, or the archive was away.
    """

    def __init__(self, clock: Clock, supply: Supply, transfer: Transfer) -> None:
        self._clock, self._supply, self._datasets = clock, supply, transfer.wish.datasets
        self._began, self._asked = clock.monotonic(), self._requests()
        self._moved: tuple[float, float] | None = None
        self.told = True

    def first(self) -> None:
        """The first request is made now, if there was none yet."""
        if self._moved is None:
            now = self._clock.monotonic()
            self._moved = now, now
            self.told = self.told and self._requests() == self._asked

    def last(self) -> None:
        """This may have been the last byte."""
        if self._moved is not None:
            self._moved = self._moved[0], self._clock.monotonic()

    def seconds(self) -> float | None:
        """The seconds, when all is done."""
        if self._moved is None or not self.told:
            return None
        return self._moved[0] - self._began + self._clock.monotonic() - self._moved[1]

    def _requests(self) -> int:
        return sum(self._supply.asked(one) for one in self._datasets)


class _Feed:
    """The files to bring, page by page, for several askers."""

    def __init__(self, means: Means, number: int) -> None:
        self._means, self._number = means, number
        self._page: list[tuple[str, Entry]] = []
        self._after = ""
        self._lock = asyncio.Lock()

    def __aiter__(self) -> _Feed:
        return self

    async def __anext__(self) -> tuple[str, Entry]:
        async with self._lock:
            if not self._page:
                table = self._means.table
                self._page = (await self._means.hand.do(table.files, self._number, TO_DO, self._after))[::-1]
            if not self._page:
                raise StopAsyncIteration
            found = self._page.pop()
            self._after = found[0]
            return found
