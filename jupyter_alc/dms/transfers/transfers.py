"""All transfers of one engine: begun, resumed, cancelled, picked up after a start; and what they share."""

from __future__ import annotations

import asyncio
import logging
import sqlite3
from typing import TYPE_CHECKING, Final

from jupyter_alc.core.clock import Clock, IdMaker, SystemClock, random_id
from jupyter_alc.core.dataset import Pattern
from jupyter_alc.core.errors import AlcError, BadInput, Denied, IllegalMove, NotFound, Unavailable
from jupyter_alc.core.states import TransferState
from jupyter_alc.dms.engine.supply import most_disk_bytes
from jupyter_alc.dms.transfers.course import Course, Means
from jupyter_alc.dms.transfers.estimate import Plan, Work
from jupyter_alc.dms.transfers.hand import Hand
from jupyter_alc.dms.transfers.history import History
from jupyter_alc.dms.transfers.pace import Ceilings
from jupyter_alc.dms.transfers.rows import open_rows
from jupyter_alc.dms.transfers.table import MOST_ENDED, Table
from jupyter_alc.dms.transfers.transfer import Transfer, Wish, roots

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from jupyter_alc.core.dataset import MountedDataset
    from jupyter_alc.dms.engine.interface import Engine

log = logging.getLogger(__name__)

MOST_PATHS: Final = 1000
MOST_CONNECTIONS: Final = 256
FILES_AT_ONCE: Final = 16
MIRROR: Final = "mirror"
_LOOKED_AT: Final = 20  # paths of a wish that are looked up before it is taken


class Transfers:
    """Begun after the engine, stopped before it. `tell` is called with the id of a transfer that went on."""

    def __init__(
        self,
        engine: Engine,
        volume: Path,
        *,
        tell: Callable[[str], None],
        clock: Clock | None = None,
        new_id: IdMaker = random_id,
    ) -> None:
        self._engine, self._place = engine, volume / "transfers.sqlite"
        self._tell, self._clock, self._new_id = tell, clock or SystemClock(), new_id
        self._hand = Hand()
        self._known: dict[str, Transfer] = {}
        self._courses: dict[str, Course] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._started = False

    async def start(self) -> None:
        """Go on with what was under way, and begin what the catalogue wants."""
        rows = await self._hand.do(self._open)
        self._rows, self._table, self.history = rows, Table(rows), History(rows)
        self._ceilings = Ceilings(self._clock.monotonic)
        self._moved: dict[str, int] = {}  # by dataset: what transfers moved
        self._work = Work()
        self._means = Means(
            supply=self._engine.supply,
            table=self._table,
            hand=self._hand,
            clock=self._clock,
            taken=self._taken,
            pace=self._pace,
            moved=self._count,
            worked=self._worked,
            stepped=self._stepped,
            changed=self._changed,
        )
        self._started = True
        for transfer in await self._hand.do(self._table.all):
            self._known[transfer.wish.id] = transfer
        for transfer in list(self._known.values()):
            if not transfer.over and transfer.wish.pattern != MIRROR:
                self._begin(transfer)
        self._mirrored: set[str] = set()
        await self.mirror()

    async def mirror(self) -> None:
        """Begin what the catalogue wants of datasets that are new."""
        for dataset in self._engine.datasets():
            if dataset.transfer.pattern is Pattern.MIRROR and dataset.id not in self._mirrored:
                self._mirrored.add(dataset.id)
                await self._begin_anew(dataset)

    async def stop(self) -> None:
        """Stop; what is under way goes on at the next start."""
        if not self._started:
            return
        for task in self._tasks.values():
            task.cancel()
        await asyncio.gather(*self._tasks.values(), return_exceptions=True)
        await self._hand.stop(self._rows.close)

    def all(self) -> list[Transfer]:
        """Every transfer, the newest first."""
        return sorted(self._known.values(), key=lambda one: -one.wish.number)

    def get(self, id: str) -> Transfer:
        """One of them; `NotFound`."""
        if id not in self._known:
            raise NotFound(f"There is no transfer {id[:60]!r}.", next_step="Look at the list of transfers.")
        return self._known[id]

    async def fetch(
        self, paths: Sequence[str], connections: int | None = None, bytes_per_second: int | None = None
    ) -> Transfer:
        """Begin a transfer that a person asks for."""
        wanted = roots(paths)
        if not wanted or len(paths) > MOST_PATHS or "" in wanted:
            raise BadInput(
                f"A transfer is of 1 to {MOST_PATHS} files or folders.",
                next_step="Name them as dataset/folder.",
                field="paths",
            )
        for path in wanted:
            dataset = self._engine.supply.dataset(path)
            if not dataset.transfer.fetch_by_list:
                raise Denied(
                    f"{dataset.id} is not fetched by list: its facility wants it read as it is needed.",
                    next_step="Open the files you need; ask the facility's support if that is too slow.",
                )
        for path in wanted[:_LOOKED_AT]:
            try:
                await self._engine.supply.info(path)
            except Unavailable:
                break  # it will be looked at when the archive is there
        return await self._wish(wanted, connections, bytes_per_second, "")

    async def cancel(self, id: str) -> Transfer:
        """End one; one that ended before stays as it is."""
        transfer = self.get(id)
        if not transfer.over:
            await self._halt(id)
            if not transfer.over:
                transfer.become(TransferState.CANCELLED, ended=self._clock.now().timestamp())
                await self._hand.do(self._table.save, transfer)
                await self._over(transfer)
        return transfer

    async def resume(self, id: str) -> Transfer:
        """Go on with one that failed or was cancelled, and at once with one that waits."""
        transfer = self.get(id)
        if transfer.state is TransferState.WAITING:
            self._courses[id].hurry()
            return transfer
        if not transfer.over or transfer.state is TransferState.DONE:
            raise IllegalMove(f"The transfer is {transfer.state}.", next_step="Only what ended early is resumed.")
        await self._hand.do(self._table.again, transfer.wish.number)
        transfer.failed, transfer.failed_files = [], 0
        transfer.become(TransferState.LISTING)
        await self._hand.do(self._table.save, transfer)
        self._begin(transfer)
        return transfer

    async def plan(self, path: str) -> dict[str, object]:
        """What a transfer of `path` would move now, and how long it would take (T8)."""
        supply, plan = self._engine.supply, Plan()
        dataset = supply.dataset(path)
        folders = [path]
        entry = await supply.info(path)
        if not entry.is_folder:
            real = entry.target or path
            plan.add(entry.size, supply.held(real, entry), supply.requests(real, entry))
            folders = []
        while folders:
            folder = folders.pop()
            async for page in supply.pages(folder):
                for number, one in enumerate(page):
                    name = one.target or f"{folder}/{one.name}"
                    if one.is_folder:
                        folders.append(name)
                        continue
                    plan.add(one.size, supply.held(name, one), supply.requests(name, one))
                    if number % 100 == 99:
                        await asyncio.sleep(0)  # others have their turn
        connections = self._connections(dataset)
        line, ceiling = supply.line(dataset.id), dataset.transfer.bytes_per_second
        seconds = plan.seconds(line, self._work, connections, ceiling)
        return plan.as_json(path, seconds)

    async def note(
        self,
        what: str,
        path: str,
        *,
        size: int | None = None,
        seconds: float | None = None,
        problem: dict[str, str] | None = None,
    ) -> None:
        """Write down in the history that something happened now."""
        at = self._clock.now().timestamp()
        await self._hand.do(self.history.note, at, what, path, size=size, seconds=seconds, problem=problem)

    async def happened(self, path: str, limit: int) -> list[dict[str, object]]:
        """What happened at and below `path`, the newest first."""
        return await self._hand.do(self.history.read, path, limit)

    def told(self, transfer: Transfer) -> dict[str, object]:
        """A transfer as REST tells it."""
        return transfer.as_json(self._clock.monotonic())

    async def _wish(
        self, paths: tuple[str, ...], connections: int | None, bytes_per_second: int | None, pattern: str
    ) -> Transfer:
        dataset = self._engine.supply.dataset(paths[0])
        wish = Wish(
            id=self._new_id("transfer"),
            number=0,
            paths=paths,
            connections=min(connections or self._connections(dataset), MOST_CONNECTIONS),
            files_at_once=dataset.transfer.files or FILES_AT_ONCE,
            bytes_per_second=bytes_per_second,
            pattern=pattern,
            begun=self._clock.now().timestamp(),
        )
        transfer = Transfer(await self._hand.do(self._table.add, wish))
        self._known[wish.id] = transfer
        self._begin(transfer)
        return transfer

    def _connections(self, dataset: MountedDataset) -> int:
        welcome = self._engine.supply.welcome(dataset.id)
        ahead = max(welcome * 3 // 4, 1)  # more would wait: the rest of the turns is kept for readers (R14)
        return min(dataset.transfer.connections or ahead, welcome)

    async def _begin_anew(self, dataset: MountedDataset) -> None:
        """Walk the whole dataset anew: what is here of it is not fetched again."""
        for old in [one for one in self._known.values() if one.wish.pattern == MIRROR]:
            if old.wish.paths == (dataset.id,):
                await self._forget(old)
        await self._wish((dataset.id,), None, None, MIRROR)

    def _begin(self, transfer: Transfer) -> None:
        id = transfer.wish.id
        self._courses[id] = course = Course(transfer, self._means)
        self._tasks[id] = asyncio.create_task(self._run(course))

    async def _run(self, course: Course) -> None:
        transfer = course.transfer
        try:
            await course.run()
            await self._over(transfer)
        except AlcError:
            log.exception("Transfer %s could not be written down as ended.", transfer.wish.id)
        except Exception:  # the top of a task: one transfer must not end the others unseen
            log.exception("Transfer %s failed.", transfer.wish.id)
            broken = AlcError("The data service failed at this.", next_step="Resume it; the service's log says more.")
            if not transfer.over:
                transfer.become(TransferState.FAILED, broken.as_json(), self._clock.now().timestamp())

    async def _over(self, transfer: Transfer) -> None:
        self._ceilings.forget(transfer.wish.id)
        words = {TransferState.DONE: "fetched", TransferState.FAILED: "failed", TransferState.CANCELLED: "cancelled"}
        seconds = round((transfer.ended or transfer.wish.begun) - transfer.wish.begun, 3)
        for path in transfer.wish.paths[:_LOOKED_AT]:
            await self.note(
                words[transfer.state], path, size=transfer.moved_bytes, seconds=seconds, problem=transfer.problem
            )
        ended = [one for one in self.all() if one.over]
        for old in ended[MOST_ENDED:]:
            await self._forget(old)
        self._changed(transfer)

    async def _halt(self, id: str) -> None:
        task = self._tasks.pop(id, None)
        self._courses.pop(id, None)
        if task is not None:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def _forget(self, transfer: Transfer) -> None:
        await self._halt(transfer.wish.id)
        del self._known[transfer.wish.id]
        await self._hand.do(self._table.remove, transfer.wish.number)

    def _taken(self, mine: Transfer) -> int:
        """What the other transfers under way may take of the cache."""
        others = [one for one in self._known.values() if one is not mine and not one.over]
        return sum(most_disk_bytes(one.files, one.size_bytes) for one in others)

    def _pace(self, transfer: Transfer, dataset: str, size: int) -> float:
        supply = self._engine.supply
        own = self._ceilings.wait(transfer.wish.id, transfer.wish.bytes_per_second, size)
        ceiling = supply.dataset(dataset).transfer.bytes_per_second
        others = supply.moved_bytes(dataset) - self._moved.get(dataset, 0)
        return max(own, self._ceilings.wait_beside(dataset, ceiling, size, others))

    def _count(self, dataset: str, size: int) -> None:
        self._moved[dataset] = self._moved.get(dataset, 0) + size

    def _worked(self, files: int, moved_bytes: int, seconds: float, worked: float) -> None:
        self._work = self._work.seen(files, moved_bytes, seconds, worked)

    def _stepped(self, files: int, seconds: float) -> None:
        self._work = self._work.stepped(files, seconds)

    def _changed(self, transfer: Transfer) -> None:
        self._tell(transfer.wish.id)

    def _open(self) -> sqlite3.Connection:
        try:
            return open_rows(self._place)
        except (sqlite3.DatabaseError, OSError) as error:
            log.warning("The list of transfers cannot be kept (%s); it is in memory alone.", error)
            return open_rows(None)
