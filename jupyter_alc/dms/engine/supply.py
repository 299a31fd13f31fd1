"""What transfers and plans take from the engine: pages of names, what is here of a file, a whole file brought here."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from jupyter_alc.core.errors import ArchiveUnreachable, NoSpace
from jupyter_alc.dms.adapters.interface import Streams
from jupyter_alc.dms.engine.accounts import Share
from jupyter_alc.dms.engine.cache import key_of
from jupyter_alc.dms.engine.planner import BLOCK, ONE_REQUEST, Extent, blocks_of, plan

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Coroutine, Iterable

    from jupyter_alc.core.dataset import MountedDataset
    from jupyter_alc.dms.engine.cache import Cache, CachedVersion
    from jupyter_alc.dms.engine.datasets import Datasets
    from jupyter_alc.dms.engine.fetches import Fetches
    from jupyter_alc.dms.engine.folders import Pages
    from jupyter_alc.dms.engine.line import Line
    from jupyter_alc.dms.engine.link import Link
    from jupyter_alc.dms.engine.reading import Reading
    from jupyter_alc.dms.engine.staging import Staging
    from jupyter_alc.dms.engine.views import Views
    from jupyter_alc.dms.entry import Entry

Turn = Callable[[int], AbstractAsyncContextManager[None]]
"""Entered with a request's bytes before it is made, and left when they have come."""
Came = Callable[[int], None]
"""Called with the bytes that a request brought."""

_PER_SUM: Final = BLOCK // 4  # a checksum takes four bytes
_PER_FILE: Final = 2 * 4096  # the last page of the data and of the checksums
_ROUNDS: Final = 3  # a block may be evicted by somebody else, or fail its checksum, before the file is whole


class _File(NamedTuple):
    link: Link
    path: str
    token: str
    version: CachedVersion


class Supply:
    """The engine, for whoever brings whole files. One event loop; paths are `dataset/folder/file`."""

    def __init__(self, datasets: Datasets, staging: Staging, cache: Cache, reading: Reading, views: Views) -> None:
        self._datasets, self._staging, self._cache, self._reading = datasets, staging, cache, reading
        self._views = views
        self._fetches: Fetches = reading.fetches

    def dataset(self, path: str) -> MountedDataset:
        """The dataset that `path` is in; `FileNotThere` where it is none of this session, or not in the folder."""
        return self._link(path).dataset

    def line(self, dataset: str) -> Line:
        """What is known of the way to the archive."""
        return self._datasets.links[dataset].line

    def welcome(self, dataset: str) -> int:
        """How many requests at once the archive welcomes."""
        return self._datasets.links[dataset].line.parallel

    def moved_bytes(self, dataset: str) -> int:
        """What came from the archive since the start, for whomever."""
        return self._datasets.links[dataset].moved_bytes

    def asked(self, dataset: str) -> int:
        """How many requests went to the archive since the start; 0 for none of this session."""
        link = self._datasets.links.get(dataset)
        return 0 if link is None else link.requests

    @property
    def most_bytes(self) -> int:
        """What the cache can hold, if all that is in it now may go."""
        return self._cache.most_bytes

    async def info(self, path: str, *, anew: bool = False) -> Entry:
        """What `path` is, with its `target` in a view; `anew`: as the archive says now, whatever was believed."""
        link, inner = self._link(path), _inner(path)
        place = await self._views.at(link.dataset.id, inner)
        if place is not None:
            return await self._views.info(place)
        staged = self._staging.get(link.dataset.id, inner)
        if staged is not None:
            return staged.entry
        return await self._datasets.names[link.dataset.id].info(inner, anew=anew)

    async def pages(self, path: str) -> AsyncIterator[list[Entry]]:
        """What is in a folder of the archive, or of a view with the `target` of each; a dataset's views stay out."""
        link = self._link(path)
        place = await self._views.at(link.dataset.id, _inner(path))
        at_archive = self._datasets.names[link.dataset.id]
        names: Pages = at_archive.pages(_inner(path)) if place is None else await self._views.pages(place)
        while page := await names.more():
            yield page

    def held(self, path: str, entry: Entry) -> int:
        """How many bytes of the file are on this machine; no file is opened."""
        link = self._link(path)
        if self._staging.get(link.dataset.id, _inner(path)) is not None:
            return entry.size
        return self._cache.held(self._key(link, path, entry), entry.size)

    def claim(self, path: str, entry: Entry, owner: str) -> None:
        """Let what is here of the file be `owner`'s, which may not evict it."""
        self._cache.claim(self._key(self._link(path), path, entry), owner)

    def requests(self, path: str, entry: Entry) -> list[int]:
        """The bytes of each request that would bring what is not here, by the planner that fetches."""
        held = self.held(path, entry)
        if held >= entry.size:
            return []
        link = self._link(path)
        if self._streamed(link):
            return [entry.size]
        if held == 0:
            return [min(ONE_REQUEST, entry.size - at) for at in range(0, entry.size, ONE_REQUEST)]
        version = self._open(link, path, entry)
        try:
            return [extent.size for extent in self._missing(version)]
        finally:
            self._cache.close(version)

    async def bring(self, path: str, entry: Entry, owner: str, turn: Turn, came: Came) -> None:
        """Have the whole of one version here, each block checked; what is here or on its way already is not asked for.

        `VersionChanged` or `FileNotThere` when the archive has it no more, `ArchiveUnreachable`, `NoSpace`.
        """
        link = self._link(path)
        if not entry.size or self._staging.get(link.dataset.id, _inner(path)) is not None:
            return
        version = self._open(link, path, entry)
        version.owner = owner
        file = _File(link, _inner(path), entry.token, version)
        try:
            for _ in range(_ROUNDS):
                if not version.file.checked:
                    await asyncio.to_thread(version.file.check)
                missing = self._missing(version)
                if not missing and not await self._arrived(file):
                    return
                await (self._stream if self._streamed(link) else self._ask_for)(file, missing, turn, came)
        finally:
            self._cache.close(version)
        raise self._no_room()

    async def _ask_for(self, file: _File, missing: list[Extent], turn: Turn, came: Came) -> None:
        left, link, version = iter(missing), file.link, file.version

        async def ask() -> None:
            for extent in left:
                async with turn(extent.size):
                    if not self._fetches.start(link, file.path, file.token, version, extent, owner=version.owner):
                        raise self._no_room()
                    going = self._fetches.going(version, extent.start // BLOCK)
                    if going is not None:
                        going.add_done_callback(_arriving(came, extent.size))  # also after whoever asked gave up
                        await asyncio.shield(going)

        await together(ask() for _ in range(min(len(missing), link.line.parallel)))

    async def _stream(self, file: _File, missing: list[Extent], turn: Turn, came: Came) -> None:
        for extent in missing:
            async with turn(extent.size):
                if not await self._reading.streams.bring(
                    file.link, file.path, file.token, file.version, [extent], share=Share()
                ):
                    raise self._no_room()
                came(extent.size)

    async def _arrived(self, file: _File) -> bool:
        """Wait for blocks that others fetch; False when there are none."""
        version = file.version
        numbers = blocks_of(Extent(0, version.file.size))
        tasks = {task for number in numbers if (task := self._fetches.going(version, number)) is not None}
        if tasks:
            _, late = await asyncio.wait(tasks, timeout=4 * file.link.deadline_seconds)
            if late:
                raise ArchiveUnreachable("The archive does not answer in time.", next_step="Try again in a moment.")
        return bool(tasks)

    def _missing(self, version: CachedVersion) -> list[Extent]:
        def coming(number: int) -> bool:
            return self._fetches.going(version, number) is not None

        size, longest = version.file.size, min(ONE_REQUEST, self._reading.quota_bytes)
        return plan([Extent(0, size)], size, version.file.has, coming, longest=longest)

    def _streamed(self, link: Link) -> bool:
        return link.adapter.capabilities.ranges != "full" and isinstance(link.adapter, Streams)

    def _open(self, link: Link, path: str, entry: Entry) -> CachedVersion:
        try:
            return self._cache.open(link.dataset.id, link.address, _inner(path), entry.token, entry.size)
        except OSError as error:
            raise self._no_room() from error

    def _key(self, link: Link, path: str, entry: Entry) -> str:
        return key_of(link.address, _inner(path), entry.token, entry.size)

    def _link(self, path: str) -> Link:
        return self._datasets.links[self._datasets.find(path)[0]]

    def _no_room(self) -> NoSpace:
        return NoSpace(
            "The cache has no room for more: what it holds was brought by this transfer, or is being read.",
            next_step="Fetch less at once, or resume when other programs have read what they need.",
        )


def _arriving(came: Came, bytes_: int) -> Callable[[asyncio.Task[bool]], None]:
    """Tell `came` when a fetch has ended well."""

    def tell(fetch: asyncio.Task[bool]) -> None:
        if not fetch.cancelled() and fetch.exception() is None and fetch.result():
            came(bytes_)

    return tell


def most_disk_bytes(files: int, size_bytes: int) -> int:
    """What so many files of so many bytes take of the cache at most: their last pages and checksums counted too."""
    return size_bytes + size_bytes // _PER_SUM + files * _PER_FILE


async def together(works: Iterable[Coroutine[Any, Any, None]]) -> None:
    """Await all; the first that fails ends the others, and what it raised is raised."""
    tasks = [asyncio.create_task(one) for one in works]
    try:
        await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def _inner(path: str) -> str:
    return path.partition("/")[2]
