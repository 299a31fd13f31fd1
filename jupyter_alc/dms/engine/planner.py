"""What to fetch for a read. Pure: extents, presence and the shape of past reads in, extents out."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

KIB: Final = 1024
BLOCK: Final = 64 * KIB
SMALL_FILE: Final = 256 * KIB
FIRST_TOUCH: Final = 128 * KIB  # a header and an index; twice this cost a detector frame more than its gaps
STREAM_AFTER: Final = 512 * KIB
FIRST_WINDOW: Final = 1024 * KIB
BELIEVED: Final = 4 * FIRST_WINDOW  # a stream so long goes on
MOST_AHEAD: Final = 64 * 1024 * KIB
ONE_REQUEST: Final = 4 * 1024 * KIB
AHEAD_REQUEST: Final = 8 * 1024 * KIB  # a request costs the processor about what a MiB does
STILL_FORWARD: Final = 128 * KIB
STILL_BACK: Final = 1024 * KIB
_JOINED: Final = 256 * KIB
_NEVER: Final = 1 << 63


@dataclass(frozen=True, slots=True)
class Extent:
    """A half-open byte range of one version: `start` is in, `stop` is not."""

    start: int
    stop: int

    def __post_init__(self) -> None:
        if not 0 <= self.start <= self.stop:
            raise ValueError(f"not a byte range: {self.start}..{self.stop}")

    @property
    def size(self) -> int:
        """Its length in bytes."""
        return self.stop - self.start


def blocks_of(extent: Extent) -> range:
    """The numbers of the blocks that hold `extent`."""
    return range(extent.start // BLOCK, -(-extent.stop // BLOCK)) if extent.size else range(0)


def block_extent(number: int, size: int) -> Extent:
    """The bytes of block `number` in a file of `size`."""
    return Extent(number * BLOCK, min((number + 1) * BLOCK, size))


def first_touch(wanted: Extent, size: int) -> Extent:
    """What the first read of a file is worth: some more at its start, all of a small one, else only what it wants."""
    if size <= SMALL_FILE:
        return Extent(0, size)
    return Extent(wanted.start, min(size, max(wanted.stop, FIRST_TOUCH))) if wanted.start == 0 else wanted


def also_wanted(head: bytes, size: int) -> list[Extent]:
    """What a file that begins with `head` will be asked for next, by its format: the footer of Parquet (R11)."""
    return [Extent(max(size - BLOCK, 0), size)] if head.startswith(b"PAR1") else []


class Pattern:
    """How one handle reads a file of `size` bytes: whether that is a stream, and how far ahead of it to fetch (R8).

    `note` may be called by any thread and costs little: it compares. Two threads at once can at worst make a stream
    look like a jump.
    """

    __slots__ = ("_at", "_began", "_filled", "_lost", "_size", "_wake", "window")

    def __init__(self, size: int) -> None:
        self._size = size
        self._began = self._at = self._filled = self.window = 0
        self._wake = STREAM_AFTER
        self._lost = False

    def note(self, start: int, stop: int) -> bool:
        """Count a read, hit or miss; True when the window wants `fill`, once for each time it does."""
        at = self._at
        if start > max(at + STILL_FORWARD, self._filled) or start < self._began or start < at - STILL_BACK:
            self._began = start
            self._at = stop
            self.window = self._filled = 0
            self._lost = False
            self._wake = start + STREAM_AFTER if start + STREAM_AFTER > stop else stop + 1
            return False
        if stop > at:
            self._at = stop
            if stop >= self._wake:
                self._wake = _NEVER
                return True
        return False

    def lost(self, start: int) -> bool:
        """Say that what was read at `start` had been fetched ahead and is not here; True when the window wants `fill`.

        It did not come, or the quota had no room until it was read: the next window is half as large.
        """
        if start >= self._filled:
            return False
        self._filled, self.window, self._lost = start, self.window // 4 // BLOCK * BLOCK, True
        return True

    def fill(self, most: int, reach: int = 0) -> Extent:
        """The bytes to have next, at most `most` beyond the last read; empty where there is nothing to do.

        While a stream is short it looks a quarter of its length ahead, since it may be a frame and end; and from 1 MiB
        on up to its length, where the line brings that while it is waited for: `reach` bytes. After 4 MiB it is
        believed, and looks twice as far with each fill.
        """
        at = self._at
        length = at - self._began
        if self.window >= FIRST_WINDOW and (length >= BELIEVED or self._lost):
            wish = 2 * self.window
        else:
            sure = length >= FIRST_WINDOW and not self._lost
            wish = max(min(length // 4, FIRST_WINDOW), min(length, reach, BELIEVED) if sure else 0)
        window = min(wish, most, MOST_AHEAD) // BLOCK * BLOCK
        start = min(max(self._filled, at), self._size)
        stop = max(start, min(self._size, -(-(at + window) // BLOCK) * BLOCK))
        if stop == self._size or window == 0:
            self._wake = _NEVER if stop == self._size else at + FIRST_WINDOW
        else:
            self._wake = stop - window // 2
        self.window, self._filled = window, stop
        return Extent(start, stop)


def plan(
    wanted: Iterable[Extent],
    size: int,
    here: Callable[[int], bool],
    coming: Callable[[int], bool],
    *,
    hole: int = 0,
    longest: int = ONE_REQUEST,
) -> list[Extent]:
    """The requests that bring `wanted` of a file of `size` bytes: whole blocks that are neither `here` nor `coming`.

    Disjoint, in order, inside the file, none longer than `longest` (a block at least). Two are joined where what is
    here, or not wanted, between them is at most `hole` bytes (R9), the smallest holes first; all joined holes together
    are at most 256 KiB or an eighth of what is missing. What is coming is never asked for again (R3).
    """
    numbers = sorted({number for extent in wanted for number in blocks_of(_within(extent, size))})
    missing = [number for number in numbers if not here(number) and not coming(number)]
    joined = _join(missing, hole, coming) if hole >= BLOCK else missing
    most = max(longest // BLOCK, 1)
    return [Extent(run[0] * BLOCK, min((run[-1] + 1) * BLOCK, size)) for run in _runs(joined, most)]


def _within(extent: Extent, size: int) -> Extent:
    return Extent(min(extent.start, size), min(extent.stop, size))


def _join(missing: list[int], hole: int, coming: Callable[[int], bool]) -> list[int]:
    """`missing` with the holes that are cheaper than a request."""
    between = [range(left + 1, right) for left, right in pairwise(missing) if right > left + 1]
    budget = max(_JOINED, len(missing) * BLOCK // 8)
    taken: list[int] = []
    for gap in sorted(between, key=len):
        if len(gap) * BLOCK > min(hole, budget):
            break
        if not any(coming(number) for number in gap):
            taken.extend(gap)
            budget -= len(gap) * BLOCK
    return sorted([*missing, *taken])


def _runs(numbers: Iterable[int], longest: int) -> Iterator[list[int]]:
    run: list[int] = []
    for number in numbers:
        if run and (number != run[-1] + 1 or len(run) == longest):
            yield run
            run = []
        run.append(number)
    if run:
        yield run
