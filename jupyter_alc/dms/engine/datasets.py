"""The datasets of a session: the way to each archive, its names, and which of them the folder shows."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING

from jupyter_alc.core.dataset import Access
from jupyter_alc.core.errors import BadInput, FileNotThere, NotFound
from jupyter_alc.core.views import places
from jupyter_alc.dms.adapters.interface import Approaches, Renewable
from jupyter_alc.dms.engine.names import Names
from jupyter_alc.dms.engine.siblings import siblings_for

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from jupyter_alc.core.clock import Clock
    from jupyter_alc.core.dataset import MountedDataset
    from jupyter_alc.dms.engine.link import Link
    from jupyter_alc.dms.engine.names_store import NameStore
    from jupyter_alc.dms.entry import Entry


class Datasets:
    """Each by its id. What left the folder keeps its way to the archive, for what is open or unsent.

    `opened` opens the way to an archive, `tell` hears of changes as `Engine.on_change` does.
    """

    def __init__(
        self,
        given: Sequence[MountedDataset],
        *,
        opened: Callable[[MountedDataset], Link],
        store: NameStore,
        clock: Clock,
        tell: Callable[[str, str], None],
    ) -> None:
        self.given = list(given)
        self._opened, self._store, self._clock, self._tell = opened, store, clock, tell
        self.links = {one.id: opened(one) for one in given}
        self.names = {key: self._names_of(link) for key, link in self.links.items()}
        self.siblings = {one.id: siblings_for(one.transfer.pattern) for one in given}
        self._hidden: set[str] = set()
        self._retired: list[tuple[Link, Names]] = []

    def find(self, path: str) -> tuple[str, str]:
        """The dataset and the path inside it; `FileNotThere` where the folder shows no such dataset."""
        key, _, inner = path.strip("/").partition("/")
        if not self.is_mounted(key):
            if any(one.id == key for one in self.given):
                raise FileNotThere(f"{key} is not in the folder.", next_step=f"Mount {key} to have it back.")
            raise FileNotThere(f"There is no dataset {key[:60]!r} here.", next_step="List the top to see the datasets.")
        parts = inner.split("/")
        if inner and any(part in {"", ".", ".."} or "\0" in part for part in parts):
            raise BadInput(f"{path!r} is not a path.", next_step="Use names joined by single slashes.", field="path")
        return key, inner

    def mounted(self) -> list[str]:
        """Those that the folder shows, in the order given."""
        return [one.id for one in self.given if one.id not in self._hidden]

    def is_mounted(self, key: str) -> bool:
        """Whether it is in the folder."""
        return key in self.links and key not in self._hidden

    def live(self, keys: Sequence[str] | None = None) -> list[tuple[Names, Link]]:
        """Those (of `keys`) whose archives change meanwhile."""
        chosen = self.links if keys is None else keys
        return [(self.names[key], self.links[key]) for key in chosen if not self.links[key].dataset.published]

    def writable(self, key: str) -> bool:
        """Whether this person may change it."""
        return self.links[key].dataset.access is Access.WRITE

    def shower(self, key: str) -> Callable[[Entry], Entry]:
        """How an entry of a dataset is shown."""
        writable = self.writable(key)
        return lambda entry: entry if entry.writable is writable else replace(entry, writable=writable)

    def shown(self, key: str, entry: Entry) -> Entry:
        """An entry as it is shown."""
        return self.shower(key)(entry)

    def show(self, dataset: str, *, shown: bool) -> bool:
        """Let it leave the folder or come back; whether that changed anything. `NotFound` for none of this session."""
        if dataset not in {one.id for one in self.given}:
            raise NotFound(
                f"{dataset[:60]!r} is no dataset of this session.", next_step="Choose it when you start a server."
            )
        return self._show(dataset, shown=shown)

    def adopt(self, datasets: Sequence[MountedDataset]) -> list[str]:
        """Have these from now on: others leave the folder, what is open goes on (T13). Tells those spoken to anew."""
        known = {key: link.dataset for key, link in self.links.items()}
        fresh = [self._opened(one) for one in datasets if one.id not in known or not same_line(known[one.id], one)]
        for link in fresh:  # from here on nothing can go wrong
            key = link.dataset.id
            if key in self.links:
                self._retired.append((self.links[key], self.names[key]))
            self.links[key], self.names[key] = link, self._names_of(link)
        self.given = list(datasets)
        for one in datasets:
            self.links[one.id].dataset = one
            self.siblings[one.id] = siblings_for(one.transfer.pattern)
        here = {one.id for one in datasets}
        for key in self.links:
            self._show(key, shown=key in here)
        self._tell("stale", "")
        self._tell("data", "")
        return [link.dataset.id for link in fresh]

    def renew(self, credentials: Mapping[str, Mapping[str, str]]) -> list[str]:
        """Give the archives of these datasets other credentials; the ids of those that took them."""
        took = []
        for dataset, words in credentials.items():
            link = self.links.get(dataset)
            if link is not None and isinstance(link.adapter, Renewable):
                link.adapter.renew(words)
                took.append(dataset)
        return took

    async def approach(self) -> None:
        """Have a connection to each archive before somebody asks."""
        ready = [link.adapter for link in self.links.values() if isinstance(link.adapter, Approaches)]
        await asyncio.gather(*(adapter.approach() for adapter in ready))

    async def stop(self) -> None:
        """End what is asked about names."""
        for names in (*self.names.values(), *(names for _, names in self._retired)):
            await names.stop()

    async def close(self) -> None:
        """Let go of the archives."""
        for link in (*self.links.values(), *(link for link, _ in self._retired)):
            await link.adapter.close()

    def _show(self, dataset: str, *, shown: bool) -> bool:
        if shown is (dataset not in self._hidden):
            return False
        (self._hidden.discard if shown else self._hidden.add)(dataset)
        self._tell("stale" if shown else "gone", dataset)
        self._tell("data", "")
        return True

    def _names_of(self, link: Link) -> Names:
        key = link.dataset.id

        def stale(inner: str) -> None:
            self._tell("stale", f"{key}/{inner}")
            for place in places(link.dataset.views, inner):
                self._tell("stale", f"{key}/{place}")

        def news(inner: str) -> None:
            stale(inner)
            self._tell("changed", f"{key}/{inner}")

        return Names(link, self._clock, stale, self._store, news=news)


def same_line(one: MountedDataset, other: MountedDataset) -> bool:
    """Whether the way to the archive is the same: what else changed can be taken while files are open."""
    fields = ("adapter", "url", "access", "published", "credentials")
    return all(getattr(one, name) == getattr(other, name) for name in fields)
