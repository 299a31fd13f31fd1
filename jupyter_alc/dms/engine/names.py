"""What is known about a dataset's names, for how long it is believed, and what is said when the archive is silent."""

from __future__ import annotations

import asyncio
import hashlib
from collections import OrderedDict
from contextlib import aclosing, contextmanager, suppress
from typing import TYPE_CHECKING, Final

from jupyter_alc.core.errors import AlcError, ArchiveUnreachable, FileNotThere
from jupyter_alc.dms.engine.flights import Flights
from jupyter_alc.dms.engine.names_front import Front
from jupyter_alc.dms.engine.names_listing import Believed, Listing, UnderWay
from jupyter_alc.dms.engine.names_rows import CHUNK
from jupyter_alc.dms.engine.names_silence import Silence
from jupyter_alc.dms.engine.names_store import NamesLost
from jupyter_alc.dms.engine.names_values import absent, listed_file, sayable, showable, split
from jupyter_alc.dms.entry import Entry

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Sequence

    from jupyter_alc.core.clock import Clock
    from jupyter_alc.dms.engine.link import Link
    from jupyter_alc.dms.engine.names_rows import NameRows
    from jupyter_alc.dms.engine.names_store import NameStore
    from jupyter_alc.dms.engine.names_values import Noted

PUBLISHED_SECONDS: Final = 60.0
LIVE_SECONDS: Final = 1.0
ABSENT_SECONDS: Final = 5.0
PART_SECONDS: Final = 2.0
_MOST_LOOKED: Final = 64


class Names:
    """Attributes and listings of one dataset.

    `stale(path)` is called when a version or a name has changed by us, `news(path)` when it has in the archive.
    """

    def __init__(
        self,
        link: Link,
        clock: Clock,
        stale: Callable[[str], None],
        store: NameStore,
        *,
        news: Callable[[str], None] | None = None,
    ) -> None:
        self._link, self._clock, self._stale, self._store = link, clock, stale, store
        self._news = news or stale
        self.key = _key(link)
        self._seconds = PUBLISHED_SECONDS if link.dataset.published else LIVE_SECONDS
        self._front = Front()
        self._silence = Silence(link)
        self._asking: Flights[Entry] = Flights()
        self._listings: dict[str, UnderWay] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._under_way: list[dict[str, bool]] = []  # what we did since a question left; False: nobody knows what is
        self._changes = 0
        self.looked: OrderedDict[str, float] = OrderedDict()

    async def info(self, path: str, *, anew: bool = False) -> Entry:
        """What `path` is; believed for a while, asked once at a time, shown as last seen when the archive is silent.

        `anew`: asked whatever is believed.
        """
        if not path:
            return Entry("", "directory", 0, 0.0, '"folder"')
        if not sayable(path) or self._unlisted(path):  # the archive may have it; nothing is noted about it
            return await self._link.ask(lambda: self._link.adapter.info(path))
        now = self._clock.monotonic()
        front = self._front.get(path)
        if front is not None and front.until > now and not anew:
            return self._there(front.entry, path)
        with self._watched() as since:
            seen = await self._store.ask(lambda rows: rows.look(rows.tree(self.key), path))
            if seen.known and seen.until > now and not anew:
                if path not in since:
                    self._front.keep(path, seen.entry, seen.until)
                return self._there(seen.entry, path)
        if seen.listed_until > now and seen.entry is None and not anew:
            raise self._absent(path)
        question = self._asking.start(path, lambda: self._ask(path))
        last = None if anew else seen.entry
        if last is not None and not await self._silence.broken_by(question):
            return last
        try:
            return await asyncio.shield(question)
        except ArchiveUnreachable:
            if last is not None:
                return last
            raise

    async def answers(self, question: asyncio.Future[Entry]) -> bool:
        """Wait for the answer to a question about a name; False when it is time to show what was last seen (N3)."""
        return await self._silence.broken_by(question)

    async def listing(self, path: str) -> list[Entry]:
        """Everything in a folder, in order of name."""
        found, reader = list[Entry](), self.pages(path)
        while some := await reader.more():
            found += some
        return sorted(found, key=lambda one: one.name)

    def pages(self, path: str) -> Listing:
        """A reader of a folder, who hears of names as they come."""
        self._look_at(path)
        return Listing(self, path)

    async def part(self, path: str, after: str, limit: int) -> tuple[list[Entry], bool]:
        """The first `limit` names of a folder behind `after`, in order, and whether a listing of it is still coming.

        While it is, for longer than two seconds, they are such as have come, in no order.
        """
        self._look_at(path)
        believed = await self.believed(path)
        if not believed.known:
            coming = self.begin(path)
            with suppress(TimeoutError):
                async with asyncio.timeout(PART_SECONDS):
                    while not coming.done:
                        await coming.wait()
            if not coming.done:
                return (await self._first(coming))[:limit], True
            if coming.error is not None and not (isinstance(coming.error, ArchiveUnreachable) and coming.again):
                raise coming.error
        life = self._store.life if believed.known else coming.life
        return await self._store.ask(lambda rows: rows.after(rows.tree(self.key), path, after, limit), life=life), False

    async def _first(self, coming: UnderWay) -> list[Entry]:
        return coming.here(0) or await self.of_ids(coming.ids(0), coming.life)

    def _look_at(self, path: str) -> None:
        """Note that somebody looks at a folder (N14)."""
        self.looked[path] = self._clock.monotonic()
        self.looked.move_to_end(path)
        if len(self.looked) > _MOST_LOOKED:
            self.looked.popitem(last=False)

    async def refresh(self, path: str) -> Entry:
        """Ask about `path` now, and about what is in it; what lies deeper is asked for at the next use."""
        entry = await self.info(path, anew=True)
        if entry.is_folder:
            self._front.drop_below(path)
            self._store.tell(lambda rows: rows.doubt_below(rows.tree(self.key), path))
            going = self._listings.get(path)
            if going is not None:  # it began before we asked
                await _end_of(going)
            await self.relist(path)
        return entry

    async def relist(self, path: str) -> None:
        """List a folder now, whatever is believed; what has changed is told as it is found."""
        coming = self.begin(path)
        await _end_of(coming)
        if coming.error is not None:
            raise coming.error

    def fresh_folder(self, path: str) -> Collection[str] | None:
        """All names of a folder where that is believed to be known and at hand, else None."""
        folder = self._front.folder(path)
        return folder.entries if folder is not None and folder.until > self._clock.monotonic() else None

    def at_hand(self, path: str) -> Entry | None:
        """What is remembered of a path without looking further, believed even when old."""
        known = self._front.get(path)
        return known.entry if known is not None else None

    async def last_seen(self, path: str) -> tuple[bool, Entry | None]:
        """Whether anything was ever known about `path`, and what: believed even when old."""
        if not sayable(path):
            return False, None
        seen = await self._store.ask(lambda rows: rows.look(rows.tree(self.key), path))
        return seen.known or seen.listed, seen.entry

    def put(self, path: str, entry: Entry | None) -> None:
        """Note what we did ourselves: `path` is `entry` now, or no more."""
        self._did(path, known=True)
        if not sayable(path):
            return
        until = self._until(entry)

        def changed(told: tuple[Entry | None, bool]) -> None:
            if told[1]:
                self._stale(path)

        self._store.tell(lambda rows: rows.note(rows.tree(self.key), path, entry, until), changed)
        if entry is None:
            self.forget_below(path)

    def forget(self, path: str) -> None:
        """Ask again at the next use."""
        self._did(path, known=False)
        if sayable(path):
            self._store.tell(lambda rows: rows.doubt(rows.tree(self.key), path))

    def forget_below(self, path: str) -> None:
        """Forget all in a folder that went."""
        self._front.drop_below(path)
        if sayable(path):
            self._store.tell(lambda rows: rows.drop_below(rows.tree(self.key), path))

    def moved(self, old: str, new: str) -> None:
        """Note a rename in the archive, with all that is below."""
        self._did(old, known=True)
        self._did(new, known=False)
        self._front.drop_below(old)
        self._front.drop_below(new)
        if not sayable(old + new):
            self.forget_below("")
            return
        self._store.tell(lambda rows: rows.move(rows.tree(self.key), old, new))

    async def stop(self) -> None:
        """End what is on its way."""
        await self._asking.stop()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    # what readers of a folder take (names_listing.Source)

    def begin(self, path: str) -> UnderWay:
        """The listing under way of a folder, begun if there is none."""
        going = self._listings.get(path)
        if going is None:
            going = self._listings[path] = UnderWay()
            task = asyncio.create_task(self._list(path, going))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        return going

    async def believed(self, path: str) -> Believed:
        """What is believed of a folder."""
        if not sayable(path):
            raise self._absent(path)
        now, folder = self._clock.monotonic(), self._front.folder(path)
        life, changes = self._store.life, self._changes
        if folder is not None and folder.until > now:
            return Believed(True, folder.until, folder, life, changes)
        listed, until = await self._store.ask(lambda rows: rows.folder(rows.tree(self.key), path))
        return Believed(listed and until > now, until, None, life, changes)

    async def comes(self, coming: UnderWay) -> bool:
        """Wait for more of a listing, or its end; False when it is time to show what was last seen instead (N3)."""
        more = asyncio.ensure_future(coming.wait())
        try:
            return await self._silence.broken_by(more, lambda: coming.again and len(coming) == 0)
        finally:
            more.cancel()

    async def of_ids(self, ids: list[int], life: int) -> list[Entry]:
        """What is in these rows; `NamesLost` where they are no more."""
        return await self._store.ask(lambda rows: rows.of_ids(ids), life=life)

    async def after(self, path: str, name: str, life: int, but_listing: int = 0) -> list[Entry]:
        """What is known in a folder behind `name`, but for what a listing told; some, in order."""
        return await self._store.ask(
            lambda rows: rows.after(rows.tree(self.key), path, name, CHUNK, but_listing), life=life
        )

    def learned(self, path: str, entries: list[Entry], believed: Believed) -> None:
        """All of a folder was read from the rows, and is little."""
        if believed.changes == self._changes:
            self._front.keep_folder(path, {one.name: one for one in entries}, believed.until)

    def _there(self, entry: Entry | None, path: str) -> Entry:
        if entry is None:
            raise self._absent(path)
        return entry

    def _absent(self, path: str, told: FileNotThere | None = None) -> FileNotThere:
        """The error of what is not there; what is wrong with the archive's address is told in its own words."""
        if told is not None and told.field == "url":
            return FileNotThere(told.sentence, next_step=told.next_step, field=told.field)
        return absent(self._link.dataset.id, path)

    def _unlisted(self, path: str) -> bool:
        """Whether listings of this archive say nothing about such a name (B2)."""
        return split(path)[1].startswith(tuple(self._link.adapter.capabilities.unlisted))

    async def _ask(self, path: str) -> Entry:
        with self._watched() as since:
            try:
                entry = await self._link.ask(lambda: self._link.adapter.info(path))
            except FileNotThere as missing:
                await self._note(path, None, since)
                raise self._absent(path, missing) from missing
            return self._there(await self._note(path, entry, since), path)

    async def _note(self, path: str, entry: Entry | None, since: dict[str, bool]) -> Entry | None:
        """Note an answer, unless we did something to the name since the question left."""
        if path in since:
            return entry
        until = self._until(entry)
        noted, changed = await self._store.ask(lambda rows: rows.note(rows.tree(self.key), path, entry, until))
        if path not in since:
            if changed:
                self._changes += 1
                self._front.drop(path)
            self._front.keep(path, noted, until)
        if changed:
            self._news(path)
        return noted

    async def _list(self, path: str, coming: UnderWay) -> None:
        """List a folder; whoever reads along hears of each page."""
        error: Exception | None = ArchiveUnreachable("The listing broke off.", next_step="Try again.")
        try:
            if path and not (await self.info(path)).is_folder:
                raise listed_file(self._link.dataset.id, path)
            with self._watched() as since:
                await self._told(path, coming, since)
            error = None
        except NamesLost as told:
            coming.again, error = False, told  # what was last seen is lost, too
        except AlcError as told:
            error = told
        finally:
            self._listings.pop(path, None)
            coming.ended(error)

    async def _told(self, path: str, coming: UnderWay, since: dict[str, bool]) -> None:
        """Note the pages of a listing as they come, and at its end what it did not tell."""
        changes, life = self._changes, self._store.life
        listing = await self._store.ask(lambda rows: rows.begin(rows.tree(self.key), path), life=life)
        coming.number, coming.again, coming.life = listing.number, listing.again, life

        def note(some: list[Entry], ours: dict[str, bool], until: float) -> Callable[[NameRows], Noted]:
            return lambda rows: rows.page(rows.tree(self.key), path, listing, some, ours, until)

        try:
            async with aclosing(self._link.pages(path)) as pages:
                async for page in pages:
                    for start in range(0, len(page), CHUNK):
                        some = [one for one in page[start : start + CHUNK] if showable(one.name)]
                        until = self._clock.monotonic() + self._seconds
                        noted = await self._store.ask(note(some, _ours(path, since), until), life=life)
                        self._front.drop_page(path, [one.name for one in some])
                        coming.came(noted)
                        self._tell_news(path, noted.changed)
        except FileNotThere as missing:
            await self._note(path, None, since)
            raise self._absent(path, missing) from missing
        ours = _ours(path, since)
        until = self._clock.monotonic() + (self._seconds if all(ours.values()) else 0.0)
        late, gone = await self._store.ask(lambda rows: rows.end(rows.tree(self.key), path, listing, until), life=life)
        coming.came(late)
        self._front.drop_page(path, gone)
        self._tell_news(path, gone)
        whole = coming.whole()
        if whole is not None and changes == self._changes:
            self._front.keep_folder(path, {one.name: one for one in sorted(whole, key=_by_name)}, until)

    def _tell_news(self, folder: str, names: Sequence[str]) -> None:
        for name in names:
            self._news(f"{folder}/{name}" if folder else name)

    def _did(self, path: str, *, known: bool) -> None:
        """We changed a name: answers to what was asked before say nothing about it."""
        self._changes += 1
        self._front.drop(path)
        for since in self._under_way:
            since[path] = known

    @contextmanager
    def _watched(self) -> Iterator[dict[str, bool]]:
        """Collect what we do ourselves while a question is under way: its answer may be older."""
        since: dict[str, bool] = {}
        self._under_way.append(since)
        try:
            yield since
        finally:
            self._under_way = [one for one in self._under_way if one is not since]

    def _until(self, entry: Entry | None) -> float:
        return self._clock.monotonic() + (self._seconds if entry is not None else ABSENT_SECONDS)


async def _end_of(coming: UnderWay) -> None:
    while not coming.done:
        await coming.wait()


def _key(link: Link) -> str:
    """What the names belong to: this dataset at this address."""
    address = f"{link.dataset.adapter}\0{link.dataset.url}"
    return f"{link.dataset.id} {hashlib.sha256(address.encode()).hexdigest()[:32]}"


def _ours(folder: str, since: dict[str, bool]) -> dict[str, bool]:
    """The names of a folder among what we did."""
    return {split(path)[1]: known for path, known in since.items() if split(path)[0] == folder}


def _by_name(entry: Entry) -> str:
    return entry.name
