"""Listings: one under way, which many read while it comes, and a reader of one folder."""

from __future__ import annotations

import asyncio
from array import array
from typing import TYPE_CHECKING, Any, Final, NamedTuple, Protocol

from jupyter_alc.core.errors import ArchiveUnreachable
from jupyter_alc.dms.engine.names_front import SMALL_FOLDER
from jupyter_alc.dms.engine.names_rows import CHUNK

if TYPE_CHECKING:
    from collections.abc import Coroutine

    from jupyter_alc.dms.engine.names_front import Folder
    from jupyter_alc.dms.engine.names_values import Noted
    from jupyter_alc.dms.entry import Entry

_NEWEST: Final = 8  # pages of a large folder that are kept for those who read along


class UnderWay:
    """A listing that is coming: which rows it has told, in the archive's order, eight bytes a name."""

    def __init__(self) -> None:
        self.number = 0
        self.life = 0  # of the rows that are told of
        self.again = False  # the folder was listed before
        self.done = False
        self.error: Exception | None = None
        self._ids = array("q")
        self._entries: list[Entry] | None = []
        self._newest: list[tuple[int, list[Entry]]] = []
        self._more = asyncio.Event()

    def __len__(self) -> int:
        return len(self._ids)

    def came(self, noted: Noted) -> None:
        """These have been told."""
        start = len(self._ids)
        self._ids.extend(noted.ids)
        if self._entries is not None:
            self._entries += noted.entries
            if len(self._entries) > SMALL_FOLDER:
                self._entries = None
        if noted.entries:
            self._newest = [*self._newest[1 - _NEWEST :], (start, noted.entries)]
        self._wake()

    def ended(self, error: Exception | None = None) -> None:
        """That was all, or it broke off."""
        self.done, self.error, self._newest = True, error, []
        self._wake()

    def whole(self) -> list[Entry] | None:
        """All that was told, if it is little."""
        return self._entries

    def here(self, position: int) -> list[Entry]:
        """Entries from `position` on that are in memory; [] when they must be looked up."""
        if self._entries is not None:
            return self._entries[position : position + CHUNK]
        return next((entries for start, entries in self._newest if start == position), [])

    def ids(self, position: int) -> list[int]:
        """The rows from `position` on, some of them."""
        return list(self._ids[position : position + CHUNK])

    def wait(self) -> Coroutine[Any, Any, object]:
        """What returns when there is more than now, or an end: also if that comes before it is awaited."""
        return self._more.wait()

    def _wake(self) -> None:
        self._more.set()
        self._more = asyncio.Event()


class Believed(NamedTuple):
    """Whether a folder is believed to be known, until when, and all of it if that is in memory.

    `life` and `changes` say what it was known from: rows, and what we had done to the names by then.
    """

    known: bool
    until: float
    folder: Folder | None
    life: int
    changes: int


class Source(Protocol):
    """What a reader takes from the names of a dataset."""

    def begin(self, path: str) -> UnderWay:
        """The listing under way of a folder, begun if there is none."""
        ...

    async def believed(self, path: str) -> Believed:
        """What is believed of a folder."""
        ...

    async def comes(self, coming: UnderWay) -> bool:
        """Wait for more of a listing, or its end; False when it is time to show what was last seen instead."""
        ...

    async def of_ids(self, ids: list[int], life: int) -> list[Entry]:
        """What is in these rows; `NamesLost` where they are no more."""
        ...

    async def after(self, path: str, name: str, life: int, but_listing: int = 0) -> list[Entry]:
        """What is known in a folder behind `name`, but for what a listing told; some, in order."""
        ...

    def learned(self, path: str, entries: list[Entry], believed: Believed) -> None:
        """All of a folder was read from the rows, and is little."""
        ...


class Listing:
    """The names of one folder, some at a time. It may be given up and asked again at any point."""

    def __init__(self, source: Source, path: str) -> None:
        self._source, self._path = source, path
        self._believed: Believed | None = None
        self._under_way: UnderWay | None = None
        self._position = 0
        self._name: str | None = None  # the last one told in order of name
        self._read: list[Entry] | None = []
        self._ended = False

    async def more(self) -> list[Entry]:
        """The next names, [] behind the last. Errors are those of `ls`, and come again when asked again."""
        while not self._ended:
            found = await self._next()
            if found:
                return found
        return []

    async def _next(self) -> list[Entry]:
        if self._name is not None:
            return await self._in_order(self._name)
        if self._under_way is not None:
            return await self._along(self._under_way)
        self._believed = believed = await self._source.believed(self._path)
        if believed.folder is not None:
            self._ended = True
            return list(believed.folder.entries.values())
        if believed.known:
            self._name = ""
        else:
            self._under_way = self._source.begin(self._path)
        return []

    async def _along(self, coming: UnderWay) -> list[Entry]:
        """Read what has come, wait for what comes."""
        if self._position < len(coming):
            entries = coming.here(self._position)
            told = len(entries)
            if not entries:
                ids = coming.ids(self._position)
                entries, told = await self._source.of_ids(ids, coming.life), len(ids)
            self._position += told
            return entries
        if not coming.done:
            if not await self._source.comes(coming) and self._position == 0:
                # the listing goes on, and may yet note all: what is shown are the rows, whoever told them
                self._name, self._read, self._under_way = "", None, None
        elif coming.error is None:
            self._ended = True
        elif isinstance(coming.error, ArchiveUnreachable) and coming.again:
            self._name, self._read = "", None  # as it was last seen (N3)
        else:
            raise coming.error
        return []

    async def _in_order(self, name: str) -> list[Entry]:
        coming, believed = self._under_way, self._believed
        assert believed is not None
        life, listing = (coming.life, coming.number) if coming is not None else (believed.life, 0)
        found = await self._source.after(self._path, name, life, listing)
        if found:
            self._name = found[-1].name
        else:
            self._ended = True
        if self._read is not None:
            self._read += found
            if len(self._read) > SMALL_FOLDER:
                self._read = None
            elif not found:
                self._source.learned(self._path, self._read, believed)
        return found
