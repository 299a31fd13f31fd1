"""The engine: names, cached reads and staged writes of some datasets, for one person. See `docs/semantics/dms.md`."""

from __future__ import annotations

import asyncio
import logging
import os
from collections import OrderedDict
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final, cast

from jupyter_alc.core.clock import Clock, IdMaker, SystemClock, random_id
from jupyter_alc.core.dataset import Pattern
from jupyter_alc.core.errors import Conflict, FileNotThere, VersionChanged
from jupyter_alc.dms.adapters.opening import open_adapter
from jupyter_alc.dms.engine import status
from jupyter_alc.dms.engine.accounts import NOBODY, Accounts
from jupyter_alc.dms.engine.cache import Cache
from jupyter_alc.dms.engine.changes import Changes
from jupyter_alc.dms.engine.datasets import Datasets
from jupyter_alc.dms.engine.disk import ROWS_ROOM, Disk
from jupyter_alc.dms.engine.fetches import Fetches
from jupyter_alc.dms.engine.link import Link
from jupyter_alc.dms.engine.looking import Looking
from jupyter_alc.dms.engine.measures import Measures, by_adapter
from jupyter_alc.dms.engine.names_store import NameStore
from jupyter_alc.dms.engine.names_values import split
from jupyter_alc.dms.engine.names_watch import Watch
from jupyter_alc.dms.engine.planner import SMALL_FILE
from jupyter_alc.dms.engine.reading import Reading
from jupyter_alc.dms.engine.saveback import SaveBack
from jupyter_alc.dms.engine.staging import Staging
from jupyter_alc.dms.engine.supply import Supply
from jupyter_alc.dms.engine.views import Views
from jupyter_alc.dms.owning import own

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from jupyter_alc.core.dataset import MountedDataset
    from jupyter_alc.dms.adapters.interface import Adapter
    from jupyter_alc.dms.engine.accounts import Figures, Opener, Share
    from jupyter_alc.dms.engine.interface import Change, DatasetStatus, Handle, Unsent
    from jupyter_alc.dms.engine.opened import OpenFile
    from jupyter_alc.dms.engine.staged import StagedFile
    from jupyter_alc.dms.entry import Entry

log = logging.getLogger(__name__)
_CLOSING_SECONDS: Final = 2.0  # a kernel tells of a close a little after the program went on
_SENT_KNOWN: Final = 10_000  # files that were sent, whose readers may go on
DEFAULT_QUOTA_BYTES: Final = 8 * 1024**3


@dataclass(frozen=True, slots=True)
class Tuning:
    """What an operator may turn. Seconds and bytes; the defaults are for a machine beside its archive."""

    quota_bytes: int = DEFAULT_QUOTA_BYTES
    deadline_seconds: float = 15.0
    settle_seconds: float = 1.0
    keep_free_bytes: int | None = None  # a twentieth of the disk, at most 1 GiB


class DmsEngine(Looking):
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
        self._given, self._user = list(datasets), user
        self._tuning, self._clock, self._new_id = tuning or Tuning(), clock or SystemClock(), new_id
        self._open_adapter = adapters
        self._callbacks: list[Change] = []
        self._accounts = Accounts()
        self._sent_as: OrderedDict[str, str] = OrderedDict()  # the archive's token by the one that was read unsent
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
        self._watch.start()
        if self._disk.free_bytes() >= ROWS_ROOM:  # else what is unsent needs it first
            await self._store.ask(lambda _: None)  # the names' rows are opened before somebody waits for them
        self._reading.beside(self._datasets.approach())

    def _set_up(self) -> None:
        self._store = NameStore(self._volume / "names")
        self._datasets = Datasets(self._given, opened=self._link, store=self._store, clock=self._clock, tell=self._tell)
        self._watch = Watch(self._datasets.live(), self._clock)
        tuning = self._tuning
        self._cache = Cache(self._volume / "cache", tuning.quota_bytes, tuning.keep_free_bytes)
        self._fetches = Fetches(self._cache)
        self._reading = Reading(self._cache, self._fetches, tuning.quota_bytes)
        try:
            with suppress(OSError):  # a queue that is there already may do without
                self._cache.make_room(ROWS_ROOM)
            self._staging = Staging(self._disk, self._clock, self._new_id)
        except BaseException:
            self._cache.stop()
            raise
        self._views = Views(self._datasets, self)
        self.supply = Supply(self._datasets, self._staging, self._cache, self._reading, self._views)
        self._saveback = SaveBack(
            self._staging,
            self._datasets.links,
            self._clock,
            user=self._user,
            settle_seconds=tuning.settle_seconds,
            confirmed=self._sent,
            changed=self._data_changed,
            moved=self._set_aside,
            refused=lambda file: self._tell("refused", f"{file.dataset}/{file.path}"),
        )
        self._changes = Changes(
            self._datasets,
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
            await self._watch.stop()
            await self._saveback.stop()
            await self._reading.stop()
            await self._fetches.stop()
            await self._datasets.stop()
            await self._store.stop()
            self._staging.stop()
            self._cache.stop()
            await self._datasets.close()
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1

    def datasets(self) -> list[MountedDataset]:
        """The datasets, in the order given."""
        return list(self._given)

    def adopt(self, datasets: Sequence[MountedDataset]) -> None:
        """Have these datasets from now on: new ones come, others leave the folder; what is open goes on (T13)."""
        fresh = self._datasets.adopt(datasets)
        self._given = list(datasets)
        for names, link in self._datasets.live(fresh):
            self._watch.also(names, link)

    def renew(self, credentials: Mapping[str, Mapping[str, str]]) -> list[str]:
        """Give the archives of these datasets other credentials; the ids of those that took them."""
        return self._datasets.renew(credentials)

    def mount(self, dataset: str) -> bool:
        """Let a dataset of this session come back into the folder."""
        return self._datasets.show(dataset, shown=True)

    def unmount(self, dataset: str) -> bool:
        """Let it leave the folder; what is open, or unsent, goes on."""
        return self._datasets.show(dataset, shown=False)

    def is_mounted(self, dataset: str) -> bool:
        """Whether it is in the folder."""
        return self._datasets.is_mounted(dataset)

    def on_change(self, callback: Change) -> None:
        """Tell `callback` of changes from now on."""
        self._callbacks.append(callback)

    async def open(
        self,
        path: str,
        *,
        write: bool = False,
        create: bool = False,
        truncate: bool = False,
        exclusive: bool = False,
        opener: Opener = NOBODY,
    ) -> Handle:
        """Open a file."""
        key, inner = await self._at(path, opened=True, makes=create)
        opened = await self._changes.open(
            key, inner, write=write or truncate, create=create, truncate=truncate, exclusive=exclusive
        )
        if opened.reader is not None:
            opened.reader.share = share = self._accounts.share(opener, key)
            if opened.size <= SMALL_FILE and not write and not self._by_list(key):
                self._open_ahead(key, inner, share)
        return cast("Handle", opened)

    def _by_list(self, key: str) -> bool:
        """Whether nothing small comes unasked (T12)."""
        return self._datasets.links[key].dataset.transfer.pattern is Pattern.LIST

    def _open_ahead(self, key: str, inner: str, share: Share) -> None:
        """A small file was opened: begin to fetch those that will be next (R10)."""
        folder, name = split(inner)
        within, link = f"{folder}/" if folder else "", self._datasets.links[key]
        names = self._datasets.names[key]

        def small(one: str) -> int | None:
            entry = names.at_hand(within + one)
            return entry.size if entry is not None and not entry.is_folder and entry.size <= SMALL_FILE else None

        found = self._datasets.siblings[key].opened(folder, name, names.fresh_folder(folder), small)
        entries = [(within + one, names.at_hand(within + one)) for one in found]
        if entries and link.reachable:
            self._reading.ahead(link, [(path, entry) for path, entry in entries if entry is not None], share)

    def is_version(self, handle: Handle, token: str) -> bool:
        """Whether it reads that version; what was sent is the version it was before."""
        return handle.token in {token, self._sent_as.get(token)}

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
            self._datasets.names[key].forget(inner)
            self._tell("stale", f"{key}/{inner}")
            self._tell("changed", f"{key}/{inner}")
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
        await self._changes.mkdir(*await self._at(path))

    async def rmdir(self, path: str) -> None:
        """Remove an empty folder."""
        await self._changes.rmdir(*await self._at(path))
        self._tell("gone", path)

    async def unlink(self, path: str) -> None:
        """Remove a file."""
        await self._changes.unlink(*await self._at(path))
        self._tell("gone", path)
        self._data_changed()

    async def rename(self, old: str, new: str) -> None:
        """Rename, replacing a file of the new name."""
        await self._changes.rename(*await self._at(old), *await self._at(new))
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
        return [one for one in self._staging.all() if one.dataset in self._datasets.links]

    def status(self) -> list[DatasetStatus]:
        """How each dataset stands."""
        trouble = self._disk.problem(self._cache.used_bytes) or self._staging.damage
        told = []
        for key, link in self._datasets.links.items():
            one = status.of_dataset(link, self._staging, self._cache, self._accounts, trouble)
            problem = one.problem or self._views.problem(key)
            told.append(replace(one, mounted=self.is_mounted(key), problem=problem))
        return told

    def readers(self) -> list[Figures]:
        """What each reader needed and what moved for it."""
        return self._accounts.readers()

    def measures(self) -> Measures:
        """What the operator's metrics are made of."""
        return Measures(
            by_adapter(self._datasets.links.values()),
            self._cache.counts(),
            self._cache.used_bytes,
            self._tuning.quota_bytes,
            len(self._accounts.readers()),
        )

    def unsent(self) -> list[Unsent]:
        """Every written file that the archive has not confirmed."""
        return [status.unsent(one, here=one.dataset in self._datasets.links) for one in self._staging.all()]

    def _link(self, dataset: MountedDataset) -> Link:
        adapter = self._open_adapter(dataset)
        return Link(dataset, adapter, self._clock, self._tuning.deadline_seconds, self._data_changed)

    def _sent(self, file: StagedFile, entry: Entry) -> None:
        self._datasets.names[file.dataset].put(file.path, entry)
        self._sent_as[file.token] = entry.token
        if len(self._sent_as) > _SENT_KNOWN:
            self._sent_as.popitem(last=False)
        self._tell("stale", f"{file.dataset}/{file.path}")
        self._tell("sent", f"{file.dataset}/{file.path}")

    def _set_aside(self, key: str, name: str, beside: str) -> None:
        self._datasets.names[key].forget(name)
        self._tell("stale", f"{key}/{name}")
        self._tell("stale", f"{key}/{beside}")
        self._tell("conflict", f"{key}/{name}")

    def _data_changed(self) -> None:
        self._tell("data", "")

    def _tell(self, what: str, path: str) -> None:
        for callback in self._callbacks:
            callback(what, path)


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
