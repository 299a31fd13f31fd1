"""What can be asked about names: the archive's, unsent files laid over them, and where the bytes of each are."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from jupyter_alc.core.errors import AlcError, FileNotThere
from jupyter_alc.dms.adapters.interface import Checksums
from jupyter_alc.dms.addresses import address_of
from jupyter_alc.dms.engine.cache import key_of
from jupyter_alc.dms.engine.filestates import Placed, PlacedPart, placed
from jupyter_alc.dms.engine.folders import Overlaid, Told, in_order, part
from jupyter_alc.dms.engine.names_values import linked, listed_file, split
from jupyter_alc.dms.engine.views import refuse
from jupyter_alc.dms.entry import Entry
from jupyter_alc.dms.tokens import bare

if TYPE_CHECKING:
    from jupyter_alc.dms.engine.cache import Cache
    from jupyter_alc.dms.engine.datasets import Datasets
    from jupyter_alc.dms.engine.folders import Pages, Part
    from jupyter_alc.dms.engine.names_store import NameStore
    from jupyter_alc.dms.engine.staging import Staging
    from jupyter_alc.dms.engine.views import Views

_LOOKED_UP_AT_ONCE: Final = 500  # names, before the loop's other work has its turn


class Looking:
    """The looking half of an engine. See `jupyter_alc.dms.engine.interface.Engine` for what each method promises."""

    _datasets: Datasets
    _store: NameStore
    _staging: Staging
    _cache: Cache
    _views: Views

    async def info(self, path: str) -> Entry:
        """What `path` is."""
        if not path.strip("/"):
            return Entry("", "directory", 0, 0.0, '"folder"')
        key, inner = self._datasets.find(path)
        place = await self._views.at(key, inner)
        return await (self.real_info(key, inner) if place is None else self._views.info(place))

    async def real(self, path: str, *, makes: bool = False) -> str:
        """Where a path leads."""
        key, inner = await self._at(path, opened=True, makes=makes)
        return f"{key}/{inner}" if inner else key

    async def _at(self, path: str, *, opened: bool = False, makes: bool = False) -> tuple[str, str]:
        """The dataset and the path there that a path means; `ReadOnly` where it would change a view (N18)."""
        key, inner = self._datasets.find(path)
        place = await self._views.at(key, inner)
        if place is None:
            return key, inner
        if not opened or (makes and not place.is_link):
            raise refuse(place)
        try:
            if makes:
                await self._views.info(place)
            return key, await self._views.through(place)
        except FileNotThere as absent:
            if not makes:
                raise
            raise refuse(place) from absent

    async def real_info(self, key: str, inner: str) -> Entry:
        """What is at a path of a dataset, whatever its views show."""
        if not inner:
            return Entry(key, "directory", 0, 0.0, '"folder"', self._datasets.writable(key))
        staged = self._staging.get(key, inner)
        entry = await self._datasets.names[key].info(inner) if staged is None else staged.entry
        return self._datasets.shown(key, entry)

    async def ls(self, path: str) -> list[Entry]:
        """What is in a folder."""
        pages, found = await self.pages(path), list[Entry]()
        while some := await pages.more():
            found += some
        return found if not path.strip("/") else await in_order(found)

    async def pages(self, path: str) -> Pages:
        """What is in a folder, as it comes."""
        if not path.strip("/"):
            return Told([await self.info(one) for one in self._datasets.mounted()])
        key, inner = self._datasets.find(path)
        place = await self._views.at(key, inner)
        if place is not None:
            return await self._views.pages(place)
        pages = await self.real_pages(key, inner)
        return pages if inner else self._views.beside(key, pages)

    async def real_pages(self, key: str, inner: str) -> Pages:
        """What is in a folder of a dataset, whatever its views show."""
        if self._staging.get(key, inner) is not None:
            raise listed_file(key, inner)
        names = self._datasets.names[key].pages(inner)
        return Overlaid(names, self._unsent_in(key, inner), self._datasets.shower(key))

    async def part(self, path: str, after: str, limit: int) -> Part:
        """Some names of a folder, in order."""
        if not path.strip("/"):
            return part(sorted(await self.ls(path), key=lambda one: one.name), [], after, limit, coming=False)
        key, inner = self._datasets.find(path)
        place = await self._views.at(key, inner)
        if place is not None:
            return await self._views.part(place, after, limit)
        found, coming = await self._datasets.names[key].part(inner, after, limit)
        unsent = self._unsent_in(key, inner) + ([] if inner else await self._views.tops(key))
        told = part(found, unsent, after, limit, coming=coming)
        return replace(told, entries=[self._datasets.shown(key, one) for one in told.entries])

    async def refresh(self, path: str) -> None:
        """Ask the archive about `path` now."""
        datasets = self._datasets
        for key, inner in [datasets.find(path)] if path.strip("/") else [(one.id, "") for one in datasets.given]:
            in_view = await self._views.at(key, inner) is not None  # made of what any folder may hold
            await datasets.names[key].refresh("" if in_view else inner)

    async def last_seen(self, path: str) -> tuple[bool, Entry | None]:
        """Whether anything is known of `path`, and what, without asking the archive."""
        return await self.last_real(*self._datasets.find(path))

    async def learn(self, key: str, inner: str, *, listing: bool) -> None:
        """Have a path, or a folder, known soon."""
        names = self._datasets.names[key]
        with suppress(AlcError):
            if not listing:
                await names.info(inner)
            elif not (await names.believed(inner)).known:
                names.begin(inner)

    async def last_real(self, key: str, inner: str) -> tuple[bool, Entry | None]:
        """The same of a path of a dataset; nothing is known of views."""
        staged = self._staging.get(key, inner)
        return await self._datasets.names[key].last_seen(inner) if staged is None else (True, staged.entry)

    async def named(self, number: int) -> tuple[str, Entry] | None:
        """Where a number of an entry leads."""
        link = linked(number)
        row = await self._store.ask(lambda rows: rows.named(number) if link is None else rows.row(link[1]))
        known = self._datasets.names.items()
        key = next((key for key, names in known if row is not None and names.key == row.tree), None)
        if row is None or key is None:
            return None
        entry = self._datasets.shown(key, row.entry)
        return (f"{key}/{row.path}", entry) if link is None else self._views.named(key, link[0], row.path, entry)

    async def files(self, path: str, after: str, limit: int) -> PlacedPart:
        """Some names of a folder, and where their bytes are."""
        told, entries = await self.part(path, after, limit), list[Placed]()
        for entry in told.entries:
            entries.append(self._placed(path.strip("/"), entry))
            if len(entries) % _LOOKED_UP_AT_ONCE == 0:
                await asyncio.sleep(0)
        return PlacedPart(entries, told.after, told.coming)

    async def state(self, path: str) -> str:
        """Where a file's bytes are, or how far it is on its way to the archive (S5)."""
        folder, _, _ = path.strip("/").rpartition("/")
        return self._placed(folder, await self.info(path)).state

    async def checksum(self, path: str) -> str:
        """What the archive says of a file's bytes."""
        entry = await self.info(path)
        key, inner = self._datasets.find(entry.target or path)
        link = self._datasets.links[key]
        adapter = link.adapter
        if self._staging.get(key, inner) is not None or not isinstance(adapter, Checksums):
            return ""
        return await link.ask(lambda: adapter.checksum(inner, bare(entry.token)))

    def address(self, path: str) -> str:
        """Where the archive has it."""
        key, inner = self._datasets.find(path)
        return address_of(self._datasets.links[key].dataset.url, inner)

    def _unsent_in(self, key: str, inner: str) -> list[Entry]:
        return [one.entry for one in self._staging.below(key, inner) if split(one.path)[0] == inner]

    def _placed(self, folder: str, entry: Entry) -> Placed:
        if entry.is_folder:
            return placed(entry, 0)
        key, inner = self._datasets.find(entry.target or f"{folder}/{entry.name}")
        staged = self._staging.get(key, inner)
        if staged is not None:
            return placed(entry, entry.size, staged.state)
        version = key_of(self._datasets.links[key].address, inner, entry.token, entry.size)
        return placed(entry, self._cache.held(version, entry.size))
