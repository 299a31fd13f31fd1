"""The engine in this very process, where there is no daemon: with nothing but the credentials the user brought."""

from __future__ import annotations

import asyncio
import atexit
import getpass
import logging
import os
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar

from jupyter_alc import __version__
from jupyter_alc.core.errors import AlcError, Conflict, Missing
from jupyter_alc.core.settings import Places
from jupyter_alc.dms.access import EngineAccess
from jupyter_alc.dms.following import Followed
from jupyter_alc.dms.making import make_engine
from jupyter_alc.dms.sessions import opener_of
from jupyter_alc.dms.transfers.access import EngineTransfers

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterable, Callable, Coroutine, Mapping, Sequence

    from jupyter_alc.dms.engine.interface import Engine
    from jupyter_alc.dms.many import Asked, Got
    from jupyter_alc.dms.ranges import Range

log = logging.getLogger(__name__)

T = TypeVar("T")

CATALOGUE_VARIABLE: Final = "ALC_CATALOGUE"
CREDENTIALS_VARIABLE: Final = "ALC_CREDENTIALS"
_MOST_VOLUMES: Final = 16
_QUOTA_BYTES: Final = 4 << 30
_LAST_FLUSH_SECONDS: Final = 60.0
_mine: dict[int, InProcess] = {}
_making = threading.Lock()


class InProcess:
    """`Access` to an engine on a loop in a thread of its own, from whatever loop asks."""

    def __init__(
        self, engine: Engine, transfers: EngineTransfers, followed: Followed, loop: asyncio.AbstractEventLoop
    ) -> None:
        self._engine, self._transfers, self._followed = engine, transfers, followed
        self._loop = loop
        self._access = EngineAccess(engine, self._about, opener_of(os.getpid()))
        self._pid = os.getpid()
        self._keys = asyncio.run_coroutine_threadsafe(followed.keep_keys(engine.renew), loop)

    async def _there(self, work: Coroutine[Any, Any, T]) -> T:
        return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(self._up_to_date(work), self._loop))

    async def _up_to_date(self, work: Coroutine[Any, Any, T]) -> T:
        """Do `work` with the datasets that the catalogue has now (T13)."""
        if self._followed.due:
            found = await asyncio.to_thread(self._followed.changed)
            if found is not None:
                try:
                    await self._transfers.adopt(found)
                except AlcError as mistake:
                    self._followed.refuse(mistake)
        return await work

    def _about(self) -> dict[str, Any]:
        mistake = self._followed.mistake
        return {
            "pid": os.getpid(),
            "uid": os.getuid(),
            "user": getpass.getuser(),
            "mount": None,
            "mounted": False,
            "problem": None if mistake is None else mistake.as_json(),
            "version": __version__,
        }

    async def status(self) -> dict[str, Any]:
        """The datasets and what is unsent."""
        return await self._there(self._access.status())

    async def info(self, path: str) -> dict[str, Any]:
        """One name."""
        return await self._there(self._access.info(path))

    async def ls(self, path: str) -> list[dict[str, Any]]:
        """All names in a folder."""
        return await self._there(self._access.ls(path))

    async def part(self, path: str, after: str, limit: int) -> dict[str, Any]:
        """Some names in a folder."""
        return await self._there(self._access.part(path, after, limit))

    async def refresh(self, path: str) -> None:
        """Ask the archive now."""
        await self._there(self._access.refresh(path))

    async def read(
        self, path: str, start: int = 0, stop: int | None = None, token: str = "", reader: str = ""
    ) -> bytes:
        """A range of a file."""
        return await self._there(self._access.read(path, start, stop, token, reader))

    async def ranges(self, path: str, wanted: Sequence[Range], token: str = "") -> list[bytes]:
        """Several ranges of a file."""
        return await self._there(self._access.ranges(path, wanted, token))

    async def many(self, wanted: Sequence[Asked]) -> list[Got]:
        """Several ranges of several files."""
        return await self._there(self._access.many(wanted))

    async def put(self, path: str, pieces: AsyncIterable[bytes], *, exclusive: bool = False) -> None:
        """Write a whole file."""
        await self._there(self._access.put(path, pieces, exclusive=exclusive))

    async def mkdir(self, path: str) -> None:
        """Make a folder."""
        await self._there(self._access.mkdir(path))

    async def rmdir(self, path: str) -> None:
        """Remove an empty folder."""
        await self._there(self._access.rmdir(path))

    async def remove(self, path: str) -> None:
        """Remove a file."""
        await self._there(self._access.remove(path))

    async def move(self, old: str, new: str) -> None:
        """Rename inside one dataset."""
        await self._there(self._access.move(old, new))

    async def flush(self, deadline_seconds: float) -> dict[str, Any]:
        """Send what is unsent."""
        return await self._there(self._access.flush(deadline_seconds))

    async def plan(self, path: str) -> dict[str, Any]:
        """What fetching would mean now."""
        return await self._there(self._transfers.plan(path))

    async def fetch(
        self, paths: Sequence[str], *, connections: int | None = None, bytes_per_second: int | None = None
    ) -> dict[str, Any]:
        """Begin to bring files and folders into the cache."""
        return await self._there(
            self._transfers.fetch(paths, connections=connections, bytes_per_second=bytes_per_second)
        )

    async def transfers(self) -> list[dict[str, Any]]:
        """All transfers, the newest first."""
        return await self._there(self._transfers.transfers())

    async def transfer(self, id: str) -> dict[str, Any]:
        """One transfer."""
        return await self._there(self._transfers.transfer(id))

    async def resume(self, id: str) -> dict[str, Any]:
        """Go on with one."""
        return await self._there(self._transfers.resume(id))

    async def cancel(self, id: str) -> dict[str, Any]:
        """End one."""
        return await self._there(self._transfers.cancel(id))

    async def history(self, path: str = "", limit: int = 100) -> list[dict[str, Any]]:
        """What happened, the newest first."""
        return await self._there(self._transfers.history(path, limit))

    async def mount(self, dataset: str) -> dict[str, Any]:
        """Let a dataset come back."""
        return await self._there(self._transfers.mount(dataset))

    async def unmount(self, dataset: str) -> dict[str, Any]:
        """Let a dataset leave."""
        return await self._there(self._transfers.unmount(dataset))

    async def events(self) -> AsyncGenerator[dict[str, str]]:
        """Each change from now on."""
        events = self._transfers.events()
        try:
            while True:
                yield await self._there(_next(events))
        finally:
            await self._there(_end(events))

    async def close(self) -> None:
        """The engine lives as long as its process."""

    def end(self) -> None:
        """Send what is unsent and stop; what the archive does not take now stays for the next process."""
        if os.getpid() != self._pid:  # a forked child: the engine's thread is its parent's
            return
        self._keys.cancel()
        try:
            left = asyncio.run_coroutine_threadsafe(self._engine.flush(_LAST_FLUSH_SECONDS), self._loop)
            unsent = left.result(_LAST_FLUSH_SECONDS + 5)
            if unsent:
                log.warning("%d written files are not in the archive yet; the next session sends them.", len(unsent))
            for part in (self._transfers, self._engine):
                asyncio.run_coroutine_threadsafe(part.stop(), self._loop).result(10)
        except TimeoutError:
            log.warning("The archive does not answer; written files stay here until the next session.")
        self._loop.call_soon_threadsafe(self._loop.stop)


async def _next(events: AsyncGenerator[dict[str, str]]) -> dict[str, str]:
    return await anext(events)


async def _end(events: AsyncGenerator[dict[str, str]]) -> None:
    await events.aclose()


def in_process(environment: Mapping[str, str] | None = None) -> InProcess:
    """Return this process's own engine, started at the first call; `Missing` says how to get at data otherwise."""
    with _making:
        found = _mine.get(os.getpid())
        if found is None:
            found = _mine[os.getpid()] = _start(os.environ if environment is None else environment)
            _at_end(found.end)
        return found


def _at_end(end: Callable[[], None]) -> None:
    """Call `end` when the interpreter ends, while threads can still be started: `atexit` itself comes too late."""
    register = getattr(threading, "_register_atexit", atexit.register)
    register(end)


def _start(environment: Mapping[str, str]) -> InProcess:
    followed = _followed(environment)
    datasets = followed.datasets()
    loop = asyncio.new_event_loop()
    threading.Thread(target=loop.run_forever, name="dms-engine", daemon=True).start()
    folder = Places.from_environment(environment).state / "dms"
    for number in range(1, _MOST_VOLUMES + 1):  # processes side by side; what one left unsent the next one sends
        volume = folder / f"volume-{number}"
        engine = make_engine(datasets, volume, getpass.getuser(), _QUOTA_BYTES)
        transfers = EngineTransfers(engine, volume)
        try:
            asyncio.run_coroutine_threadsafe(engine.start(), loop).result(60)
        except Conflict:
            continue
        asyncio.run_coroutine_threadsafe(transfers.start(), loop).result(60)
        return InProcess(engine, transfers, followed, loop)
    loop.call_soon_threadsafe(loop.stop)
    raise Conflict(
        f"{_MOST_VOLUMES} processes already read data on their own.", next_step="End some, or start a server."
    )


def _followed(environment: Mapping[str, str]) -> Followed:
    catalogue = environment.get(CATALOGUE_VARIABLE)
    if not catalogue:
        raise Missing(
            "No data service answers here, and no catalogue of datasets is named.",
            next_step=f"Start your server with datasets, or set {CATALOGUE_VARIABLE} to a catalogue file.",
        )
    secrets = environment.get(CREDENTIALS_VARIABLE)
    return Followed(Path(catalogue), Path(secrets) if secrets else None, getpass.getuser())
