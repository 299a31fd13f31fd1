"""The engine: names, cached reads and staged writes of some datasets, for one person. See `docs/semantics/dms.md`."""

from __future__ import annotations

import asyncio
import logging
import os
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final, cast

from jupyter_alc.core.clock import Clock, IdMaker, SystemClock, random_id
from jupyter_alc.core.dataset import Access
from jupyter_alc.core.errors import BadInput, Conflict, FileNotThere, NotFolder, VersionChanged
from jupyter_alc.dms.adapters.opening import open_adapter
from jupyter_alc.dms.engine import status
from jupyter_alc.dms.engine.cache import Cache
from jupyter_alc.dms.engine.changes import Changes
from jupyter_alc.dms.engine.disk import ROWS_ROOM, Disk
from jupyter_alc.dms.engine.fetches import Fetches
from jupyter_alc.dms.engine.link import Link
from jupyter_alc.dms.engine.names import Names, split
from jupyter_alc.dms.engine.planner import SMALL_FILE
from jupyter_alc.dms.engine.reading import Reading
from jupyter_alc.dms.engine.saveback import SaveBack
from jupyter_alc.dms.engine.siblings import Siblings
from jupyter_alc.dms.engine.staging import Staging
from jupyter_alc.dms.entry import Entry
from jupyter_alc.dms.owning import own

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from jupyter_alc.core.dataset import MountedDataset
    from jupyter_alc.dms.adapters.interface import Adapter
    from jupyter_alc.dms.engine.interface import Change, DatasetStatus, Handle, Unsent
    from jupyter_alc.dms.engine.opened import OpenFile
    from jupyter_alc.dms.engine.staged import StagedFile

log = logging.getLogger(__name__)
_CLOSING_SECONDS: Final = 2.0  # a kernel tells of a close a little after the program went on
DEFAULT_QUOTA_BYTES: Final = 8 * 1024**3


@dataclass(frozen=True, slots=True)
class Tuning:
    """What an operator may turn. Seconds and bytes; the defaults are for a machine beside its archive."""

    quota_bytes: int = DEFAULT_QUOTA_BYTES
    deadline_seconds: float = 15.0
    settle_seconds: float = 1.0
    keep_free_bytes: int | None = None  # a twentieth of the disk, at most 1 GiB


class DmsEngine:
    """See `jupyter_alc.dms.engine.interface.Engine` for what each method promises."""

    def __init__(
        self,
        volume: Path,
        datasets: Sequence[MountedDataset],
        *,
        user: str,
        tuning: Tuning | None = None,
        clock: Clock | None = None,
        new_id: IdMaker = random_id,
        adapters: Callable[[MountedDataset], Adapter] = open_adapter,
    ) -> None:
        self._volume, self._disk = volume, Disk(volume)
        self._datasets, self._user = list(datasets), user
        self._tuning, self._clock, self._new_id = tuning or Tuning(), clock or SystemClock(), new_id
        self._open_adapter = adapters
        self._callbacks: list[Change] = []
        self._lock = -1
        self._started = False

    async def start(self) -> None:
        """Take the volume and pick up what was unsent."""
        self._lock = await asyncio.to_thread(_take, self._disk)
        try:
            self._set_up()
        except BaseException:
            await self.stop()
            raise
        self._started = True
        self._saveback.start()

    def _set_up(self) -> None:
        links = {one.id: self._link(one) for one in self._datasets}
        self._links: dict[str, Link] = links
        self._names = {key: Names(link, self._clock, self._staler(key)) for key, link in links.items()}
        tuning = self._tuning
        self._cache = Cache(self._volume / "cache", tuning.quota_bytes, tuning.keep_free_bytes)
        self._fetches = Fetches(self._cache)
        self._reading = Reading(self._cache, self._fetches, tuning.quota_bytes)
        self._siblings = {key: Siblings() for key in links}
        try:
            with suppress(OSError):  # a queue that is there already may do without
                self._cache.make_room(ROWS_ROOM)
            self._staging = Staging(self._disk, self._clock, self._new_id)
        except BaseException:
            self._cache.stop()
            raise
        self._saveback = SaveBack(
            self._staging,
            links,
            self._clock,
            user=self._user,
            settle_seconds=tuning.settle_seconds,
            confirmed=self._sent,
            changed=self._data_changed,
            moved=self._set_aside,
        )
        self._changes = Changes(
            links=links,
            names=self._names,
            staging=self._staging,
            saveback=self._saveback,
            disk=self._disk,
            cache=self._cache,
            reading=self._reading,
        )

    async def stop(self) -> None:
        """Let go of everything; what is unsent stays staged."""
        if self._started:
            self._started = False
            await self._saveback.stop()
            await self._reading.stop()
            await self._fetches.stop()
            for names in self._names.values():
                await names.stop()
            self._staging.stop()
            self._cache.stop()
            for link in self._links.values():
                await link.adapter.close()
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1

    def datasets(self) -> list[MountedDataset]:
        """The datasets, in the order given."""
        return list(self._datasets)

    def on_change(self, callback: Change) -> None:
        """Tell `callback` of changes from now on."""
        self._callbacks.append(callback)

    async def info(self, path: str) -> Entry:
        """What `path` is."""
        if not path.strip("/"):
            return Entry("", "directory", 0, 0.0, '"folder"')
        key, inner = self._find(path)
        if not inner:
            return Entry(key, "directory", 0, 0.0, '"folder"', self._writable(key))
        staged = self._staging.get(key, inner)
        return self._shown(key, await self._names[key].info(inner) if staged is None else entry_of(staged))

    async def ls(self, path: str) -> list[Entry]:
        """What is in a folder."""
        if not path.strip("/"):
            return [await self.info(one.id) for one in self._datasets]
        key, inner = self._find(path)
        if self._staging.get(key, inner) is not None:
            raise NotFolder(f"{path} is a file.", next_step="List its folder.")
        shown = {one.name: one for one in await self._names[key].listing(inner)}
        for staged in self._staging.below(key, inner):
            if split(staged.path)[0] == inner:
                shown[split(staged.path)[1]] = entry_of(staged)
        return [self._shown(key, shown[name]) for name in sorted(shown)]

    async def open(
        self, path: str, *, write: bool = False, create: bool = False, truncate: bool = False, exclusive: bool = False
    ) -> Handle:
        """Open a file."""
        key, inner = self._find(path)
        opened = await self._changes.open(
            key, inner, write=write or truncate, create=create, truncate=truncate, exclusive=exclusive
        )
        if opened.reader is not None and opened.size <= SMALL_FILE and not write:
            self._open_ahead(key, inner)
        return cast("Handle", opened)

    def _open_ahead(self, key: str, inner: str) -> None:
        """A small file was opened: begin to fetch those that will be next (R10)."""
        folder, name = split(inner)
        within, link = f"{folder}/" if folder else "", self._links[key]
        names = self._names[key]

        def small(one: str) -> int | None:
            entry = names.last_seen(within + one)[1]
            return entry.size if entry is not None and not entry.is_folder and entry.size <= SMALL_FILE else None

        found = self._siblings[key].opened(folder, name, names.fresh_folder(folder), small)
        entries = [(within + one, names.last_seen(within + one)[1]) for one in found]
        if entries and link.reachable:
            self._reading.ahead(link, [(path, entry) for path, entry in entries if entry is not None])

    def read_cached(self, handle: Handle, start: int, stop: int) -> bytes | None:
        """The bytes, if they are all here and verified."""
        return cast("OpenFile", handle).cached(start, stop)

    async def read(self, handle: Handle, start: int, stop: int) -> bytes:
        """Exactly the bytes, fewer only at the end of the file."""
        opened = cast("OpenFile", handle)
        got = opened.cached(start, stop)
        if got is not None:
            return got
        try:
            return await opened.read(start, stop)
        except (VersionChanged, FileNotThere) as error:
            key, inner = opened.dataset, opened.inner
            self._names[key].forget(inner)
            self._tell("stale", f"{key}/{inner}")
            raise VersionChanged(
                f"{opened.path} changed in the archive.", next_step="Open it again to see the new version."
            ) from error

    async def write(self, handle: Handle, offset: int, data: bytes) -> int:
        """Write all of `data` to staging."""
        await self._changes.write(cast("OpenFile", handle), offset, data)
        return len(data)

    async def truncate(self, path_or_handle: str | Handle, size: int) -> None:
        """Cut or extend."""
        if not isinstance(path_or_handle, str):
            await self._changes.truncate(cast("OpenFile", path_or_handle), size)
            return
        handle = await self.open(path_or_handle, write=True, truncate=size == 0)
        try:
            await self._changes.truncate(cast("OpenFile", handle), size)
        finally:
            await self.close(handle)

    async def fsync(self, handle: Handle) -> None:
        """Return when what was written is on the local disk."""
        opened = cast("OpenFile", handle)
        if opened.file is not None:
            await asyncio.to_thread(self._staging.make_durable, opened.file, closed=False)

    async def close(self, handle: Handle) -> None:
        """Return when what was written is on the local disk, and queue the upload."""
        opened = cast("OpenFile", handle)
        await self._changes.close(opened)
        if opened.file is not None:
            self._data_changed()

    async def mkdir(self, path: str) -> None:
        """Make a folder in the archive."""
        await self._changes.mkdir(*self._find(path))

    async def rmdir(self, path: str) -> None:
        """Remove an empty folder."""
        await self._changes.rmdir(*self._find(path))
        self._tell("gone", path)

    async def unlink(self, path: str) -> None:
        """Remove a file."""
        await self._changes.unlink(*self._find(path))
        self._tell("gone", path)
        self._data_changed()

    async def rename(self, old: str, new: str) -> None:
        """Rename, replacing a file of the new name."""
        await self._changes.rename(*self._find(old), *self._find(new))
        self._tell("gone", old)
        self._tell("stale", new)
        self._data_changed()

    async def flush(self, deadline_seconds: float) -> list[Unsent]:
        """Send what is unsent now, and answer what is left."""
        self._saveback.hurry()
        begun = self._clock.monotonic()
        while files := self._mine():
            waited = self._clock.monotonic() - begun
            nothing_moves = all(self._saveback.is_done(one) for one in files) and waited >= _CLOSING_SECONDS
            if waited >= deadline_seconds or nothing_moves:
                break
            await asyncio.sleep(0.05)
        if not (left := [status.unsent(one) for one in self._mine()]):
            await self._saveback.tidy()
        return left

    def _mine(self) -> list[StagedFile]:
        """What is staged for the datasets of this session."""
        return [one for one in self._staging.all() if one.dataset in self._links]

    def status(self) -> list[DatasetStatus]:
        """How each dataset stands."""
        trouble = self._disk.problem(self._cache.used_bytes) or self._staging.damage
        return [status.of_dataset(link, self._staging, self._cache, trouble) for link in self._links.values()]

    def unsent(self) -> list[Unsent]:
        """Every written file that the archive has not confirmed."""
        return [status.unsent(one, here=one.dataset in self._links) for one in self._staging.all()]

    def _link(self, dataset: MountedDataset) -> Link:
        adapter = self._open_adapter(dataset)
        return Link(dataset, adapter, self._clock, self._tuning.deadline_seconds, self._data_changed)

    def _find(self, path: str) -> tuple[str, str]:
        key, _, inner = path.strip("/").partition("/")
        if key not in self._links:
            raise FileNotThere(f"There is no dataset {key[:60]!r} here.", next_step="List the top to see the datasets.")
        parts = inner.split("/")
        if inner and any(part in {"", ".", ".."} or "\0" in part for part in parts):
            raise BadInput(f"{path!r} is not a path.", next_step="Use names joined by single slashes.", field="path")
        return key, inner

    def _writable(self, key: str) -> bool:
        return self._links[key].dataset.access is Access.WRITE

    def _shown(self, key: str, entry: Entry) -> Entry:
        return replace(entry, writable=self._writable(key))

    def _staler(self, key: str) -> Callable[[str], None]:
        return lambda inner: self._tell("stale", f"{key}/{inner}")

    def _sent(self, file: StagedFile, entry: Entry) -> None:
        self._names[file.dataset].put(file.path, entry)
        self._tell("stale", f"{file.dataset}/{file.path}")

    def _set_aside(self, key: str, name: str, beside: str) -> None:
        self._names[key].forget(name)
        self._tell("stale", f"{key}/{name}")
        self._tell("stale", f"{key}/{beside}")

    def _data_changed(self) -> None:
        self._tell("data", "")

    def _tell(self, what: str, path: str) -> None:
        for callback in self._callbacks:
            callback(what, path)


def entry_of(file: StagedFile) -> Entry:
    """A staged file as a name."""
    return Entry(split(file.path)[1], "file", file.size, file.changed, file.token)


def _take(disk: Disk) -> int:
    """Lock the volume for this process; another engine that has it is `Conflict`."""
    with disk.told():
        disk.volume.mkdir(parents=True, exist_ok=True, mode=0o700)
        descriptor = os.open(disk.volume / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    own(
        descriptor,
        lambda pid: Conflict(
            f"The data service of this volume runs already (process {pid}).",
            next_step="Use that one, or end it first.",
        ),
    )
    return descriptor
