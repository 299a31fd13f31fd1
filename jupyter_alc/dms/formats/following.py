"""What readers of one version have in common of its format, and how each of them goes through it (F1 to F3)."""

from __future__ import annotations

import asyncio
import logging
from collections import OrderedDict
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Final

from jupyter_alc.dms.engine.planner import SMALL_FILE, Extent, blocks_of
from jupyter_alc.dms.formats.chunks import Walk
from jupyter_alc.dms.formats.hdf5 import HEAD, Hdf5, begins

if TYPE_CHECKING:
    from concurrent.futures import Executor

    from jupyter_alc.dms.formats.pages import Peek

log = logging.getLogger(__name__)
MOST_FILES: Final = 64
MOST_IN_ALL: Final = 262_144  # chunks
MOST_META: Final = 512 * 1024  # bytes of an index's pages that are fetched for one file
_MOST_NEW: Final = 64  # blocks to look at in one go
_MOST_SEEN: Final = 65_536
_METADATA: Final = 256 * 1024  # a read of more is no read of an index


class FileFormat:
    """What is known of one version of a file of `size` bytes. `noted` may be called by any thread."""

    def __init__(self, size: int, hand: Executor) -> None:
        self.size, self._hand = size, hand
        self.hdf5: Hdf5 | None = None
        self.plain = size <= SMALL_FILE  # nothing will ever be known: it comes whole, or is of another format
        self.meta_left = MOST_META
        self._seen: set[int] = set()
        self._new: list[int] = []
        self._learning: asyncio.Task[None] | None = None

    @property
    def chunks(self) -> int:
        """How many chunks are known."""
        return self.hdf5.chunks.count if self.hdf5 is not None else 0

    def noted(self, start: int, stop: int) -> None:
        """Have the blocks of a small read looked at before the next read that waits."""
        if stop - start > _METADATA or len(self._new) >= _MOST_NEW:
            return
        for number in blocks_of(Extent(start, stop)):
            if number not in self._seen and len(self._seen) < _MOST_SEEN:
                self._seen.add(number)
                self._new.append(number)

    async def learn(self, peek: Peek) -> bool:
        """Look at what was noted, beside the loop, all who wait together; whether there was anything to look at."""
        if not self._new and self._learning is None:
            return False
        if self.hdf5 is None and not self._begun(peek):
            return False
        if self._learning is None:
            new, self._new = self._new, []
            self._learning = asyncio.create_task(self._look(self.hdf5, peek, new))
        await asyncio.shield(self._learning)
        return True

    async def _look(self, hdf5: Hdf5 | None, peek: Peek, new: list[int]) -> None:
        try:
            if hdf5 is not None:
                missing = await asyncio.get_running_loop().run_in_executor(self._hand, hdf5.learn, peek, new)
                self._new += missing
        except Exception:  # a reader must not fail for what only plans
            log.exception("The index of an HDF5 file was not understood; it is read as any other file.")
            self.plain = True
            self.forget()
        finally:
            self._learning = None

    def _begun(self, peek: Peek) -> bool:
        """Whether this is an HDF5 file, as far as its first bytes are here."""
        head = peek(0, min(HEAD, self.size))
        told = begins(head) if head is not None else None
        if told is not None:
            self.hdf5 = Hdf5(self.size, told[0], newer=told[1])
        elif head is not None:
            self.plain = True
            self.forget()
        return told is not None

    def forget(self) -> None:
        """Know nothing any more: others need the room."""
        self.hdf5 = None
        self._seen, self._new = set(), []


class Follower:
    """How one handle goes through a file. `note` may be called by any thread, the rest is for the engine's loop."""

    def __init__(self, formats: Formats, file: FileFormat) -> None:
        self._formats, self._file = formats, file
        self._walk: Walk | None = None
        self._of: Hdf5 | None = None
        self.inside = False  # whether the last read was in a known chunk

    def note(self, start: int, stop: int, *, streaming: bool) -> bool:
        """Count a read; True when `fill` has something to do. Outside of known chunks it is looked at later."""
        file = self._file
        if file.plain:
            return False
        if file.hdf5 is not self._of:
            self._of = file.hdf5
            self._walk = Walk(file.hdf5.chunks) if file.hdf5 is not None else None
        goes_on = self._walk.note(start, stop) if self._walk is not None else None
        self.inside = goes_on is not None
        if not self.inside and not streaming:
            file.noted(start, stop)
        return bool(goes_on)

    async def learn(self, peek: Peek) -> None:
        """Learn from what was read up to now."""
        if await self._file.learn(peek):
            self._formats.make_room(self._file)

    def whole(self, most: int) -> list[Extent]:
        """The chunk that the last read was in, if it was and has at most `most` bytes."""
        chunk = self._walk.whole() if self._walk is not None and self.inside else None
        return [chunk] if chunk is not None and chunk.size <= most else []

    def fill(self, most: int) -> tuple[list[Extent], Extent | None]:
        """The chunks to have next, at most `most` bytes of them; and the page of the index after theirs, to `turn`."""
        if self._walk is None:
            return [], None
        chunks, page = self._walk.fill(most)
        if page is None or page.size > self._file.meta_left:
            return chunks, None
        self._file.meta_left -= page.size
        self._file.noted(page.start, page.stop)
        return chunks, page


class Formats:
    """The files whose format is known, those used last."""

    def __init__(self) -> None:
        self._files: OrderedDict[str, FileFormat] = OrderedDict()
        self._hand = ThreadPoolExecutor(1, "alc-formats")  # its own: what hangs elsewhere must not hold it up

    def stop(self) -> None:
        """Learn nothing more."""
        self._hand.shutdown(wait=False, cancel_futures=True)

    def follow(self, key: str, size: int) -> Follower:
        """For a handle of version `key`."""
        if size <= SMALL_FILE:
            return Follower(self, FileFormat(size, self._hand))
        file = self._files.get(key)
        if file is None:
            file = self._files[key] = FileFormat(size, self._hand)
        self._files.move_to_end(key)
        if len(self._files) > MOST_FILES:
            _, oldest = self._files.popitem(last=False)
            oldest.plain = True  # for those who have it open still
            oldest.forget()
        return Follower(self, file)

    def make_room(self, mine: FileFormat) -> None:
        """Forget what was known longest of other files, until all is within bounds."""
        left = sum(one.chunks for one in self._files.values())
        for one in list(self._files.values()):
            if left <= MOST_IN_ALL:
                return
            if one is not mine:
                left -= one.chunks
                one.forget()
