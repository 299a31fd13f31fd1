"""What every door offers beside reading and writing, in the values of the REST interface."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from typing import TYPE_CHECKING, Any, Final, Protocol

from jupyter_alc.core.errors import AlcError, BadInput
from jupyter_alc.dms.paths import clean_path
from jupyter_alc.dms.transfers.hearing import Hearing
from jupyter_alc.dms.transfers.transfers import Transfers

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Coroutine, Sequence
    from pathlib import Path

    from jupyter_alc.core.dataset import MountedDataset
    from jupyter_alc.dms.engine.interface import Engine

log = logging.getLogger(__name__)
_NOTED: Final = frozenset({"sent", "conflict", "refused", "changed"})
_MOST_NOTES: Final = 1000  # on their way to the disk


class Transferring(Protocol):
    """Plans, transfers, history and mounts, from the daemon or an engine of this process. Raises `AlcError` alone.

    A transfer is told as `{"id", "state", "paths", "files", "files_done", "size_bytes", "done_bytes", "moved_bytes",
    "bytes_per_second", "seconds_left", "begun", "ended", "connections", "cap_bytes_per_second", "pattern", "failed",
    "failed_files", "problem"}`: `state` of `jupyter_alc.core.states.TransferState`, times in seconds since 1970,
    `seconds_left`, `ended`, `cap_bytes_per_second` and `problem` null where there is none, `failed` the first 20 of
    `{"path", "problem"}`.
    """

    async def plan(self, path: str) -> dict[str, Any]:
        """What fetching a file or folder would mean now.

        `{"path", "files", "size_bytes", "cached_bytes", "move_bytes", "requests", "seconds"}`; seconds is null while
        the line was never measured.
        """
        ...

    async def fetch(
        self, paths: Sequence[str], *, connections: int | None = None, bytes_per_second: int | None = None
    ) -> dict[str, Any]:
        """Begin to bring files and folders into the cache; `Denied` where the catalogue forbids it."""
        ...

    async def transfers(self) -> list[dict[str, Any]]:
        """All transfers that are remembered, the newest first."""
        ...

    async def transfer(self, id: str) -> dict[str, Any]:
        """One of them; `NotFound`."""
        ...

    async def resume(self, id: str) -> dict[str, Any]:
        """Go on with one that was cancelled or failed, at once with one that waits; `IllegalMove` for others."""
        ...

    async def cancel(self, id: str) -> dict[str, Any]:
        """End one; what has come stays. One that ended before is told as it is."""
        ...

    async def history(self, path: str = "", limit: int = 100) -> list[dict[str, Any]]:
        """`{"at", "what", "path", "bytes", "seconds", "problem"}` of what happened at and below `path`, newest first.

        `what`: fetched, sent, conflict, refused, cancelled, failed, mounted, unmounted or changed.
        """
        ...

    async def mount(self, dataset: str) -> dict[str, Any]:
        """Let a dataset of this session come back: `{"dataset", "mounted", "unsent"}`."""
        ...

    async def unmount(self, dataset: str) -> dict[str, Any]:
        """Let one leave; what is open stays open, what is unsent goes on being sent and is told."""
        ...

    def events(self) -> AsyncGenerator[dict[str, str]]:
        """`{"what", "path"}` of each change from now on.

        `what`: data (the status), transfer (`path` is its id) or names (`path` is new, changed or gone; "" means any).
        """
        ...


class EngineTransfers:
    """`Transferring` for an engine of this process: begun after it, stopped before it, called on its loop."""

    def __init__(self, engine: Engine, volume: Path) -> None:
        self._engine = engine
        self._hearing = Hearing()
        self._transfers = Transfers(engine, volume, tell=lambda id: self._hearing.tell("transfer", id))
        self._notes: set[asyncio.Task[None]] = set()

    async def start(self) -> None:
        """Go on with what was under way."""
        await self._transfers.start()
        self._engine.on_change(self._changed)

    async def stop(self) -> None:
        """Stop; transfers under way go on at the next start. Nothing to do where it never started."""
        await asyncio.gather(*self._notes, return_exceptions=True)
        await self._transfers.stop()

    async def adopt(self, datasets: Sequence[MountedDataset]) -> None:
        """Have these datasets from now on (T13)."""
        self._engine.adopt(datasets)
        await self._transfers.mirror()

    async def plan(self, path: str) -> dict[str, Any]:
        """What fetching would mean now."""
        return await self._transfers.plan(_named(path))

    async def fetch(
        self, paths: Sequence[str], *, connections: int | None = None, bytes_per_second: int | None = None
    ) -> dict[str, Any]:
        """Begin to bring files and folders."""
        begun = await self._transfers.fetch([_named(path) for path in paths], connections, bytes_per_second)
        return self._transfers.told(begun)

    async def transfers(self) -> list[dict[str, Any]]:
        """All of them."""
        return [self._transfers.told(one) for one in self._transfers.all()]

    async def transfer(self, id: str) -> dict[str, Any]:
        """One of them."""
        return self._transfers.told(self._transfers.get(id))

    async def resume(self, id: str) -> dict[str, Any]:
        """Go on with one."""
        return self._transfers.told(await self._transfers.resume(id))

    async def cancel(self, id: str) -> dict[str, Any]:
        """End one."""
        return self._transfers.told(await self._transfers.cancel(id))

    async def history(self, path: str = "", limit: int = 100) -> list[dict[str, Any]]:
        """What happened."""
        return await self._transfers.happened(clean_path(path), limit)

    async def mount(self, dataset: str) -> dict[str, Any]:
        """Let a dataset come back."""
        if self._engine.mount(dataset):
            await self._transfers.note("mounted", dataset)
        return self._mounted(dataset)

    async def unmount(self, dataset: str) -> dict[str, Any]:
        """Let a dataset leave."""
        if self._engine.unmount(dataset):
            await self._transfers.note("unmounted", dataset)
        return self._mounted(dataset)

    async def events(self) -> AsyncGenerator[dict[str, str]]:
        """Each change from now on."""
        async for what, path in self._hearing.listen():
            yield {"what": what, "path": path}

    def _mounted(self, dataset: str) -> dict[str, Any]:
        unsent = [one.as_json() for one in self._engine.unsent() if one.path.startswith(f"{dataset}/")]
        return {"dataset": dataset, "mounted": self._engine.is_mounted(dataset), "unsent": unsent}

    def _changed(self, what: str, path: str) -> None:
        """The engine says that something changed: pass it on, and keep what people will ask about."""
        if what in _NOTED:
            if len(self._notes) < _MOST_NOTES:  # a folder of a million that changed at once is no story of each file
                self._soon(self._note(what, path))
        elif what == "data":
            self._hearing.tell("data", "")
        else:
            self._hearing.tell("names", path)

    async def _note(self, what: str, path: str) -> None:
        try:
            size = await self._size(path) if what == "sent" else None
            why = [one.problem for one in self._engine.unsent() if one.path == path] if what == "refused" else []
            await self._transfers.note(what, path, size=size, problem=why[0] if why else None)
        except AlcError as error:  # the history is for people; what happened has happened all the same
            log.warning("That %s was %s is not in the history: %s", path, what, error)

    async def _size(self, path: str) -> int | None:
        with contextlib.suppress(AlcError):  # by now it may have gone again
            return (await self._engine.info(path)).size
        return None

    def _soon(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._notes.add(task)
        task.add_done_callback(self._notes.discard)


def _named(path: str) -> str:
    plain = clean_path(path)
    if not plain:
        raise BadInput("No dataset is named.", next_step="Write dataset/folder.", field="path")
    return plain
