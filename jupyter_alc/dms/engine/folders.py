"""A folder as it is told: what the archive has, unsent files laid over it."""

from __future__ import annotations

import asyncio
import heapq
import itertools
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Protocol

from jupyter_alc.dms.entry import Entry

if TYPE_CHECKING:
    from collections.abc import Callable

_RUN: Final = 5000


class Pages(Protocol):
    """Names of a folder, some at a time."""

    async def more(self) -> list[Entry]:
        """The next names, [] behind the last; an error comes again when asked again."""
        ...


@dataclass(frozen=True, slots=True)
class Part:
    """Some names of a folder. More are behind the name `after`; `coming`: they are still told by the archive."""

    entries: list[Entry]
    after: str | None
    coming: bool


def part(found: list[Entry], unsent: list[Entry], after: str, limit: int, *, coming: bool) -> Part:
    """At most `limit` names behind `after`, in order, of the archive's next `limit` and all unsent files."""
    last = found[-1].name if len(found) == limit else None
    over = {one.name: one for one in unsent if one.name > after and (last is None or coming or one.name <= last)}
    both = sorted([*over.values(), *(one for one in found if one.name not in over)], key=lambda one: one.name)
    shown = both[:limit]
    more = len(both) > limit or last is not None
    return Part(shown, shown[-1].name if more and shown and not coming else None, coming)


async def in_order(found: list[Entry]) -> list[Entry]:
    """In order of name; sorting very many at once would hold up everybody else on the loop."""
    runs = []
    for start in range(0, len(found), _RUN):
        runs.append(sorted(found[start : start + _RUN], key=_by_name))
        await asyncio.sleep(0)
    if len(runs) < 2:
        return runs[0] if runs else []
    merged, told = heapq.merge(*runs, key=_by_name), list[Entry]()
    while some := list(itertools.islice(merged, _RUN)):
        told += some
        await asyncio.sleep(0)
    return told


def _by_name(entry: Entry) -> str:
    return entry.name


class Told:
    """Names that are known at once."""

    def __init__(self, entries: list[Entry]) -> None:
        self._entries = entries

    async def more(self) -> list[Entry]:
        """All of them, once."""
        told, self._entries = self._entries, []
        return told


class Overlaid:
    """The archive's names by `pages`, and the unsent files of the folder, which stand in for archived ones."""

    def __init__(self, pages: Pages, unsent: list[Entry], shown: Callable[[Entry], Entry]) -> None:
        self._pages, self._shown = pages, shown
        self._unsent = {one.name: one for one in unsent}
        self._begun = False

    async def more(self) -> list[Entry]:
        """The next names; unsent files come with the archive's first."""
        found = await self._pages.more()
        while found or not self._begun:
            told = [self._shown(one) for one in found if one.name not in self._unsent] if found else []
            if not self._begun:
                self._begun = True
                told = [*map(self._shown, self._unsent.values()), *told]
            if told or not found:
                return told
            found = await self._pages.more()
        return []
