"""What is known about a dataset's names, for how long it is believed, and what is said when the archive is silent."""

from __future__ import annotations

from collections import OrderedDict
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

from jupyter_alc.core.errors import ArchiveUnreachable, FileNotThere, NotFolder
from jupyter_alc.dms.engine.flights import Flights
from jupyter_alc.dms.entry import Entry
from jupyter_alc.dms.tokens import same_version

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from jupyter_alc.core.clock import Clock
    from jupyter_alc.dms.engine.link import Link

PUBLISHED_SECONDS: Final = 60.0
LIVE_SECONDS: Final = 1.0
ABSENT_SECONDS: Final = 5.0
_MOST: Final = 200_000
Known = Entry | Literal["unknown"] | None


@dataclass(slots=True)
class _Known:
    entry: Entry | None
    until: float


def split(path: str) -> tuple[str, str]:
    """The folder and the last name of `path`."""
    folder, _, name = path.rpartition("/")
    return folder, name


class Names:
    """Attributes and listings of one dataset; `stale(path)` is called when a version or a name has changed."""

    def __init__(self, link: Link, clock: Clock, stale: Callable[[str], None]) -> None:
        self._link, self._clock, self._stale = link, clock, stale
        self._seconds = PUBLISHED_SECONDS if link.dataset.published else LIVE_SECONDS
        self._entries: OrderedDict[str, _Known] = OrderedDict()
        self._folders: OrderedDict[str, tuple[set[str], float]] = OrderedDict()
        self._asking: Flights[Entry] = Flights()
        self._listing: Flights[list[Entry]] = Flights()
        self._under_way: list[dict[str, Known]] = []  # what we did since a question left

    async def info(self, path: str) -> Entry:
        """What `path` is; believed for a while, asked once at a time, shown as last seen when the archive is silent."""
        if not path:
            return Entry("", "directory", 0, 0.0, '"folder"')
        known = self._entries.get(path)
        if known is not None and known.until > self._clock.monotonic():
            return _there(known.entry, path)
        folder = self.fresh_folder(split(path)[0])
        if folder is not None and split(path)[1] not in folder:
            raise _absent(path)
        try:
            return await self._asking.one(path, lambda: self._ask(path))
        except ArchiveUnreachable:
            if known is not None and known.entry is not None:
                return known.entry
            raise

    async def listing(self, path: str) -> list[Entry]:
        """Everything in a folder."""
        names = self.fresh_folder(path)
        if names is not None:
            return self._known_in(path, names)
        try:
            return await self._listing.one(path, lambda: self._list(path))
        except ArchiveUnreachable:
            if path in self._folders:
                return self._known_in(path, self._folders[path][0])
            raise

    def fresh_folder(self, path: str) -> set[str] | None:
        """All names of a folder where that is believed to be known, else None. Not to be changed."""
        known = self._folders.get(path)
        return known[0] if known is not None and known[1] > self._clock.monotonic() else None

    def last_seen(self, path: str) -> tuple[bool, Entry | None]:
        """Whether anything was ever known about `path`, and what: believed even when old."""
        known = self._entries.get(path)
        if known is not None:
            return True, known.entry
        folder, name = split(path)
        if folder in self._folders and name not in self._folders[folder][0]:
            return True, None
        return False, None

    def put(self, path: str, entry: Entry | None) -> None:
        """Note what we did ourselves: `path` is `entry` now, or no more."""
        for since in self._under_way:
            since[path] = entry
        folder, name = split(path)
        if folder in self._folders:
            (self._folders[folder][0].discard if entry is None else self._folders[folder][0].add)(name)
        self._note(path, entry)
        if entry is None:
            self.forget_below(path)

    def forget(self, path: str) -> None:
        """Ask again at the next use."""
        for since in self._under_way:
            since[path] = "unknown"
        self._entries.pop(path, None)
        self._folders.pop(split(path)[0], None)

    def forget_below(self, path: str) -> None:
        """Forget all in a folder that went or moved."""
        inside = f"{path}/"
        for entry in [one for one in self._entries if one.startswith(inside)]:
            del self._entries[entry]
        for folder in [one for one in self._folders if one == path or one.startswith(inside)]:
            del self._folders[folder]

    async def stop(self) -> None:
        """End what is on its way."""
        await self._asking.stop()
        await self._listing.stop()

    async def _ask(self, path: str) -> Entry:
        with self._watched() as since:
            try:
                entry = await self._link.ask(lambda: self._link.adapter.info(path))
            except FileNotThere:
                if path not in since:
                    self._note(path, None)
                raise
        if path not in since:
            self._note(path, entry)
        return entry

    async def _list(self, path: str) -> list[Entry]:
        if path and not (await self.info(path)).is_folder:
            raise NotFolder(f"{path} is a file.", next_step="List its folder.")
        with self._watched() as since:
            try:
                found = await self._link.ask(lambda: self._link.adapter.listing(path))
            except FileNotThere:
                self._note(path, None)
                raise
        return self._learn(path, {entry.name: entry for entry in found}, since)

    def _learn(self, path: str, found: dict[str, Entry], since: dict[str, Known]) -> list[Entry]:
        """Note a listing, but for names that we changed since it was asked for: there we know better."""
        ours = {split(one)[1]: entry for one, entry in since.items() if split(one)[0] == path}
        seconds = 0.0 if "unknown" in ours.values() else self._seconds
        names = {*found, *(name for name, entry in ours.items() if entry is not None and entry != "unknown")}
        names -= {name for name, entry in ours.items() if entry is None}
        before = self._folders.get(path)
        self._folders[path] = (names, self._clock.monotonic() + seconds)
        self._folders.move_to_end(path)
        while len(self._folders) > _MOST // 10:
            self._folders.popitem(last=False)
        for name in (before[0] - names - set(ours)) if before else ():
            self._note(f"{path}/{name}" if path else name, None)
        for name in set(found) - set(ours):
            self._note(f"{path}/{name}" if path else name, found[name])
        told = {**found, **{name: entry for name, entry in ours.items() if isinstance(entry, Entry)}}
        return [told[name] for name in sorted(names) if name in told]

    @contextmanager
    def _watched(self) -> Iterator[dict[str, Known]]:
        """Collect what we do ourselves while a question is under way: its answer may be older."""
        since: dict[str, Known] = {}
        self._under_way.append(since)
        try:
            yield since
        finally:
            self._under_way = [one for one in self._under_way if one is not since]

    def _note(self, path: str, entry: Entry | None) -> None:
        before = self._entries.get(path)
        seconds = self._seconds if entry is not None else ABSENT_SECONDS
        self._entries[path] = _Known(entry, self._clock.monotonic() + seconds)
        self._entries.move_to_end(path)
        while len(self._entries) > _MOST:
            self._entries.popitem(last=False)
        if before is not None and _differs(before.entry, entry):
            self._stale(path)

    def _known_in(self, path: str, names: set[str]) -> list[Entry]:
        inside = [self._entries.get(f"{path}/{name}" if path else name) for name in sorted(names)]
        return [known.entry for known in inside if known is not None and known.entry is not None]


def _differs(one: Entry | None, other: Entry | None) -> bool:
    if one is None or other is None:
        return one is not other
    return one.kind != other.kind or one.size != other.size or not same_version(one.token, other.token)


def _absent(path: str) -> FileNotThere:
    return FileNotThere(f"{path} is not there.", next_step="List its folder to see what is.")


def _there(entry: Entry | None, path: str) -> Entry:
    if entry is None:
        raise _absent(path)
    return entry
