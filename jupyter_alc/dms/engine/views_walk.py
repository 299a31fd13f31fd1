"""One question about a view: what of the archive it is made of, found by listing only the folders that lead there."""

from __future__ import annotations

import asyncio
import time
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Final, NamedTuple, Protocol

from jupyter_alc.core.errors import ArchiveUnreachable, FileNotThere, NotFolder, TooMany

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Sequence

    from jupyter_alc.core.views import Bound, Rule
    from jupyter_alc.dms.engine.folders import Pages
    from jupyter_alc.dms.entry import Entry

MOST_LISTED: Final = 1000  # folders of the archive, for one question
MOST_ASKED: Final = 10_000  # folders and single names of the archive, for one question
_AT_ONCE: Final = 8
_TURN_SECONDS: Final = 0.01  # of names compared, before the loop's other work has its turn


class Source(Protocol):
    """The real names of all datasets, unsent files among them; paths are `dataset/folder/file`."""

    async def real_info(self, key: str, inner: str) -> Entry:
        """What is at a path of a dataset."""
        ...

    async def real_pages(self, key: str, inner: str) -> Pages:
        """What is in a folder of it."""
        ...

    async def learn(self, key: str, inner: str, *, listing: bool) -> None:
        """Have what is at a path, or in a folder, known soon; nothing is told of errors."""
        ...

    async def last_real(self, key: str, inner: str) -> tuple[bool, Entry | None]:
        """Whether anything is known of a path, and what; asks no archive."""
        ...


class Place(NamedTuple):
    """Names below a view of a dataset: `asked` leads into it, to one of its links at most, `beyond` behind that."""

    key: str
    rule: Rule
    asked: tuple[str, ...]
    beyond: str

    @property
    def is_link(self) -> bool:
        """Whether this is where links are."""
        return len(self.asked) == self.rule.depth

    @property
    def shown(self) -> str:
        """It as a path, for sentences."""
        text = "/".join((self.key, self.rule.view.name, *self.asked))
        return text.encode("utf-8", "backslashreplace").decode()

    def absent(self) -> FileNotThere:
        """The error of nothing there."""
        return FileNotThere(f"{self.shown} is not there.", next_step="List its folder to see what is.")

    def too_wide(self, what: str) -> TooMany:
        """The error of a folder that spans too much of the archive."""
        name = self.rule.view.name
        return TooMany(
            f"{self.shown} would show {what}.",
            next_step=f"Ask the facility to give the view {name} one level of folders more, by where its files lie.",
        )


class Found(NamedTuple):
    """Something of the archive that a view is made of: where it is, what it is, and what its path tells."""

    path: str
    entry: Entry
    known: Bound


class _Step(NamedTuple):
    """A folder of the archive on the way, how deep, and what its path tells."""

    folder: str
    depth: int
    known: Bound


class Walk:
    """One question: what of the archive lies at a place of a view, or below it. Only folders that may are listed."""

    def __init__(self, source: Source, place: Place) -> None:
        self._source, self._place, self._rule = source, place, place.rule
        self._hints = place.rule.hints(place.asked)
        own = place.is_link and place.rule.keeps_name
        self._own_name = place.asked[-1] if own else None
        self._listed = self._asked = 0
        self._turn_ends = 0.0

    async def found(self, need: int) -> AsyncGenerator[list[Found], None]:
        """What the first `need` parts of the pattern mean, some at a time."""
        left = [_Step("", 0, {})] if self._hints is not None else []
        ahead: dict[str, asyncio.Task[None]] = {}
        try:
            while left:
                step = left.pop()
                for one in left[: -_AT_ONCE - 1 : -1]:  # those that come next
                    if one.folder not in ahead:
                        ahead[one.folder] = asyncio.create_task(self._learn(one))
                async for some in self._in(step):
                    if step.depth + 1 == need:
                        yield some
                        continue
                    left += [_Step(one.path, step.depth + 1, one.known) for one in some]
                    if len(left) > MOST_LISTED:
                        raise self._too_wide()
                if known := ahead.pop(step.folder, None):
                    known.cancel()
        finally:
            for task in ahead.values():
                task.cancel()

    async def _in(self, step: _Step) -> AsyncGenerator[list[Found], None]:
        folder, depth, known = step
        last, reader = depth + 1 == len(self._rule.of), self._rule.reader(depth, known)
        within = f"{folder}/" if folder else ""
        wants_folder = not last or self._rule.of_folders

        async def matching(entries: Sequence[Entry]) -> list[Found]:
            found = []
            for entry in entries:
                told = reader.read(entry.name) if entry.is_folder is wants_folder else None
                if told is not None:
                    now = {**known, **told}
                    if self._rule.agrees(self._place.asked, now):
                        found.append(Found(within + entry.name, entry, now))
                if time.monotonic() > self._turn_ends:
                    await asyncio.sleep(0)
                    self._turn_ends = time.monotonic() + _TURN_SECONDS
            return found

        self._asked += 1
        if self._asked > MOST_ASKED:
            raise self._place.too_wide(f"what takes more than {MOST_ASKED} questions to the archive")
        with suppress(FileNotThere, NotFolder):  # the archive said so: nothing is there
            name = self._exact(step)
            if name is not None:
                entry = replace(await self._source.real_info(self._place.key, within + name), name=name)
                if found := await matching([entry]):
                    yield found
                return
            self._listed += 1
            if self._listed > MOST_LISTED:
                raise self._too_wide()
            pages = await self._source.real_pages(self._place.key, folder)
            while some := await pages.more():
                if found := await matching(some):
                    yield found

    def _exact(self, step: _Step) -> str | None:
        """The one name in a folder that may be meant; None where only a listing tells."""
        if self._own_name is not None and step.depth + 1 == len(self._rule.of):
            return self._own_name
        return self._rule.exact(step.depth, {**(self._hints or {}), **step.known})

    async def _learn(self, step: _Step) -> None:
        name = self._exact(step)
        path = step.folder if name is None else f"{step.folder}/{name}"
        await self._source.learn(self._place.key, path, listing=name is None)

    def _too_wide(self) -> TooMany:
        return self._place.too_wide(f"what lies in more than {MOST_LISTED} folders of the archive")


class AsFound:
    """Names of a view's folder as they are found; one that broke off says so each time it is asked again."""

    def __init__(self, found: AsyncIterator[list[Entry]]) -> None:
        self._found = found
        self._error: Exception = ArchiveUnreachable("The listing broke off.", next_step="Try again.")
        self._broken = False

    async def more(self) -> list[Entry]:
        """The next names, [] behind the last."""
        if self._broken:
            raise self._error
        self._broken = True
        try:
            async for some in self._found:
                if some:
                    self._broken = False
                    return some
        except Exception as error:
            self._error = error
            raise
        self._broken = False
        return []
