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
from jupyter_alc.core.errors import Conflict, Missing
from jupyter_alc.core.settings import Places
from jupyter_alc.dms.access import EngineAccess
from jupyter_alc.dms.catalogue import Catalogue
from jupyter_alc.dms.making import make_engine

if TYPE_CHECKING:
    from collections.abc import AsyncIterable, Callable, Coroutine, Mapping, Sequence

    from jupyter_alc.core.dataset import MountedDataset
    from jupyter_alc.dms.engine.interface import Engine
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

    def __init__(self, engine: Engine, loop: asyncio.AbstractEventLoop) -> None:
        self._engine = engine
        self._loop = loop
        self._access = EngineAccess(engine, _about)
        self._pid = os.getpid()

    async def _there(self, work: Coroutine[Any, Any, T]) -> T:
        return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(work, self._loop))

    async def status(self) -> dict[str, Any]:
        """The datasets and what is unsent."""
        return await self._there(self._access.status())

    async def info(self, path: str) -> dict[str, Any]:
        """One name."""
        return await self._there(self._access.info(path))

    async def ls(self, path: str) -> list[dict[str, Any]]:
        """All names in a folder."""
        return await self._there(self._access.ls(path))

    async def read(
        self, path: str, start: int = 0, stop: int | None = None, token: str = "", reader: str = ""
    ) -> bytes:
        """A range of a file."""
        return await self._there(self._access.read(path, start, stop, token, reader))

    async def ranges(self, path: str, wanted: Sequence[Range], token: str = "") -> list[bytes]:
        """Several ranges of a file."""
        return await self._there(self._access.ranges(path, wanted, token))

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

    async def close(self) -> None:
        """The engine lives as long as its process."""

    def end(self) -> None:
        """Send what is unsent and stop; what the archive does not take now stays for the next process."""
        if os.getpid() != self._pid:  # a forked child: the engine's thread is its parent's
            return
        try:
            left = asyncio.run_coroutine_threadsafe(self._engine.flush(_LAST_FLUSH_SECONDS), self._loop)
            unsent = left.result(_LAST_FLUSH_SECONDS + 5)
            if unsent:
                log.warning("%d written files are not in the archive yet; the next session sends them.", len(unsent))
            asyncio.run_coroutine_threadsafe(self._engine.stop(), self._loop).result(10)
        except TimeoutError:
            log.warning("The archive does not answer; written files stay here until the next session.")
        self._loop.call_soon_threadsafe(self._loop.stop)


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
    datasets = _datasets(environment)
    loop = asyncio.new_event_loop()
    threading.Thread(target=loop.run_forever, name="dms-engine", daemon=True).start()
    folder = Places.from_environment(environment).state / "dms"
    for number in range(1, _MOST_VOLUMES + 1):  # processes side by side; what one left unsent the next one sends
        engine = make_engine(datasets, folder / f"volume-{number}", getpass.getuser(), _QUOTA_BYTES)
        try:
            asyncio.run_coroutine_threadsafe(engine.start(), loop).result(60)
        except Conflict:
            continue
        return InProcess(engine, loop)
    loop.call_soon_threadsafe(loop.stop)
    raise Conflict(
        f"{_MOST_VOLUMES} processes already read data on their own.", next_step="End some, or start a server."
    )


def _datasets(environment: Mapping[str, str]) -> list[MountedDataset]:
    catalogue = environment.get(CATALOGUE_VARIABLE)
    if not catalogue:
        raise Missing(
            "No data service answers here, and no catalogue of datasets is named.",
            next_step=f"Start your server with datasets, or set {CATALOGUE_VARIABLE} to a catalogue file.",
        )
    known, user = Catalogue.from_file(Path(catalogue)), getpass.getuser()
    secrets = environment.get(CREDENTIALS_VARIABLE)
    return known.mounted_for(user, [each.id for each in known.for_user(user)], Path(secrets) if secrets else None)


def _about() -> dict[str, Any]:
    return {
        "pid": os.getpid(),
        "uid": os.getuid(),
        "user": getpass.getuser(),
        "mount": None,
        "mounted": False,
        "version": __version__,
    }
