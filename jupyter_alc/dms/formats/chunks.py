"""The chunks of a file that are known, in the order of their index, and whether a reader walks along them. Pure."""

from __future__ import annotations

from array import array
from bisect import bisect_right
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from jupyter_alc.dms.engine.planner import (
    BELIEVED,
    BLOCK,
    FIRST_WINDOW,
    MOST_AHEAD,
    ONE_REQUEST,
    STILL_FORWARD,
    STREAM_AFTER,
    Extent,
)

if TYPE_CHECKING:
    from collections.abc import Hashable, Sequence

MOST_CHUNKS: Final = 65_536
MOST_AT_ONCE: Final = 256  # chunks that are looked at for one window
MOST_STEPS: Final = 32  # chunks that one read may go on by


@dataclass(frozen=True, slots=True, eq=False)
class Leaf:
    """A page of a chunk index: where its chunks are, in order.

    `follows` is the key of the page after it and `next_page` where that lies in the file, None where that is not
    known. `flat`: the dataset has one dimension.
    """

    key: Hashable
    starts: Sequence[int]
    sizes: Sequence[int]
    follows: Hashable | None = None
    next_page: Extent | None = None
    flat: bool = False


@dataclass(frozen=True, slots=True)
class Place:
    """One chunk: the `number`-th of a page."""

    leaf: Leaf
    number: int

    @property
    def extent(self) -> Extent:
        """Its bytes in the file."""
        start = self.leaf.starts[self.number]
        return Extent(start, start + self.leaf.sizes[self.number])


class _Run:
    """Some pages, to be looked up by place: their chunks in the order of the file. Never changed."""

    __slots__ = ("_leaves", "_numbers", "_starts", "leaves")

    def __init__(self, leaves: list[Leaf]) -> None:
        self.leaves = leaves
        starts = array("Q", (start for leaf in leaves for start in leaf.starts))
        owners = array("I", (owner for owner, leaf in enumerate(leaves) for _ in leaf.starts))
        numbers = array("I", (number for leaf in leaves for number in range(len(leaf.starts))))
        order = sorted(range(len(starts)), key=starts.__getitem__)
        self._starts = array("Q", map(starts.__getitem__, order))
        self._leaves = array("I", map(owners.__getitem__, order))
        self._numbers = array("I", map(numbers.__getitem__, order))

    def __len__(self) -> int:
        return len(self._starts)

    def at(self, offset: int) -> Place | None:
        found = bisect_right(self._starts, offset) - 1
        if found < 0:
            return None
        leaf, number = self.leaves[self._leaves[found]], self._numbers[found]
        return Place(leaf, number) if offset < leaf.starts[number] + leaf.sizes[number] else None


class Chunks:
    """What is known of one file's chunks. One thread adds; `at` and `after` are for every thread."""

    def __init__(self) -> None:
        self._by_key: dict[Hashable, Leaf] = {}
        self._runs: tuple[_Run, ...] = ()  # each less than half as long as the one before
        self.count = 0
        self.full = False  # something was left out

    def add(self, leaves: Sequence[Leaf]) -> None:
        """Know these pages too; those whose key is known, or that are more than the limit, are left out."""
        new = list[Leaf]()
        for leaf in leaves:
            if self.count + len(leaf.starts) > MOST_CHUNKS:
                self.full = True
            elif leaf.key not in self._by_key:
                self._by_key[leaf.key] = leaf
                self.count += len(leaf.starts)
                new.append(leaf)
        runs = [*self._runs, _Run(new)] if new else list(self._runs)
        while len(runs) > 1 and len(runs[-2]) < 2 * len(runs[-1]):
            runs[-2:] = [_Run(runs[-2].leaves + runs[-1].leaves)]
        self._runs = tuple(runs)

    def at(self, offset: int) -> Place | None:
        """The chunk that byte `offset` of the file is in, if it is in a known one."""
        for run in self._runs:
            place = run.at(offset)
            if place is not None:
                return place
        return None

    def after(self, place: Place) -> Place | None:
        """The chunk after `place` in the order of the index; None at the end of what is known."""
        if place.number + 1 < len(place.leaf.starts):
            return Place(place.leaf, place.number + 1)
        follows = self._by_key.get(place.leaf.follows) if place.leaf.follows is not None else None
        return Place(follows, 0) if follows is not None and follows.starts else None


class Walk:
    """How one handle goes through the known chunks of a file (F2, F3). `note` may be called by any thread.

    Kernels read whole pages, and some more behind them: what counts is where the middle of a read is, and one that
    only runs on into another chunk has not arrived there before the next read has. Pages that the kernel has already,
    such as the index's between two chunks, it leaves out.
    """

    __slots__ = ("_ahead", "_at", "_chunks", "_left", "_page", "_row", "_runs_on", "_stop", "_walked", "window")

    def __init__(self, chunks: Chunks) -> None:
        self._chunks = chunks
        self._at: Place | None = None
        self._runs_on: Place | None = None
        self._stop = -1  # of the last read
        self._ahead: Place | None = None  # the last chunk that was asked for
        self._page: Extent | None = None  # the last page that was asked for
        self._row = self._walked = self.window = 0
        self._left = 0  # bytes of chunks that were asked for and are not reached yet

    def note(self, start: int, stop: int) -> bool | None:
        """Count a read; None outside of known chunks, True when `fill` has something to do."""
        at, middle, goes_on = self._at, (start + stop) // 2, 0 <= start - self._stop <= BLOCK
        self._stop = stop
        if (
            at is not None
            and at.leaf.starts[at.number] <= middle < at.leaf.starts[at.number] + at.leaf.sizes[at.number]
        ):
            self._runs_on = None
            return False
        place = self._chunks.at(middle)
        if place is None:  # the next page of the index, mostly: the walk is where it was
            return None
        if goes_on and at is not None and place != self._runs_on and stop - start < place.extent.size:
            self._runs_on = place
            return False
        self._runs_on = None
        follows = self._steps(place, stop - start) if at is not None else 0
        if follows:
            self._row += 1
            self._walked += follows
            self._left = max(self._left - follows, 0)
        else:
            self._row, self._walked, self._left, self.window = 1, place.extent.size, 0, 0
        self._at = place
        return follows > 0 and self._wish(place) > 0

    def whole(self) -> Extent | None:
        """The chunk that the last read was in, if it is one to come whole."""
        at = self._at
        return at.extent if at is not None and self._runs_on is None and at.extent.size <= ONE_REQUEST else None

    def fill(self, most: int) -> tuple[list[Extent], Extent | None]:
        """The chunks to have next, at most `most` bytes beyond the present one; and the index's page after theirs."""
        at = self._at
        if at is None:
            return [], None
        wish = min(self._wish(at), most, MOST_AHEAD)
        if wish <= 0 or self._left > wish // 2:
            return [], None
        wanted, place, page = list[Extent](), at, None
        if self._left and self._ahead is not None:
            place = self._ahead
        while len(wanted) < MOST_AT_ONCE and (self._left < wish or not wanted):
            after = self._chunks.after(place)
            if after is None or after.extent.size > most:
                break
            wanted.append(after.extent)
            self._left += after.extent.size
            place = after
        if place.leaf.next_page != self._page and sum(place.leaf.sizes[place.number + 1 :]) <= wish:
            page = self._page = place.leaf.next_page
        self._ahead, self.window = place, min(wish, self._left)
        return wanted, page

    def _steps(self, place: Place, size: int) -> int:
        """The bytes of the chunks up to `place` that follow the present one, a read of `size` further at most; or 0."""
        passed, after, steps = 0, self._at, 0
        while after is not None and passed <= size + STILL_FORWARD and steps < MOST_STEPS:
            after, steps = self._chunks.after(after), steps + 1
            if after is not None:
                passed += after.extent.size
                if after == place:
                    return passed
        return 0

    def _wish(self, at: Place) -> int:
        """How many bytes to have ahead at this step."""
        if self._row < 2 or at.extent.size > ONE_REQUEST:
            return 0
        if self._walked >= BELIEVED:
            return max(2 * self.window, FIRST_WINDOW)
        if at.leaf.flat:
            return max(self._walked // 2, at.extent.size)
        return max(self._walked // 4, at.extent.size) if self._walked >= STREAM_AFTER else 0
