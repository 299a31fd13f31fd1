"""What to fetch for a read. Pure: extents, presence and the shape of past reads in, extents out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

BLOCK: Final = 64 * 1024
SMALL_FILE: Final = 256 * 1024
FIRST_TOUCH: Final = 128 * 1024  # a header and an index; twice this cost a detector frame more than its gaps
STREAM_AFTER: Final = 512 * 1024
MOST_AHEAD: Final = 8 * 1024 * 1024
ONE_REQUEST: Final = 2 * 1024 * 1024
STILL_FORWARD: Final = 128 * 1024


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


@dataclass(slots=True)
class Pattern:
    """How one handle has read so far: where its present run began, and how far reads or fetches reached."""

    began: int = 0
    reached: int = 0
    touched: bool = False

    def ahead(self, wanted: Extent) -> int:
        """Note a read, and say how many bytes from its start are worth having."""
        first, self.touched = not self.touched, True
        if not self.began <= wanted.start <= self.reached + STILL_FORWARD:
            self.began = self.reached = wanted.start
        run = wanted.stop - self.began
        more = FIRST_TOUCH if first and wanted.start == 0 else min(run, MOST_AHEAD) if run >= STREAM_AFTER else 0
        self.reached = max(self.reached, wanted.stop, wanted.start + more)
        return more


def plan(wanted: Extent, size: int, ahead: int, have: Callable[[int], bool]) -> list[Extent]:
    """The extents to fetch so that `wanted` is here: whole blocks that `have` denies, each at most one request.

    A small file comes whole. Extents are disjoint and in order; those with wanted bytes do not grow beyond what the
    reader waits for and `ahead`.
    """
    if wanted.size == 0:
        return []
    stop = min(size, max(wanted.stop, wanted.start + ahead))
    goal = Extent(0, size) if size <= SMALL_FILE else Extent(wanted.start, stop)
    missing = [number for number in blocks_of(goal) if not have(number)]
    return [Extent(run[0] * BLOCK, min((run[-1] + 1) * BLOCK, size)) for run in _runs(missing, ONE_REQUEST // BLOCK)]


def _runs(numbers: Iterable[int], longest: int) -> Iterator[list[int]]:
    run: list[int] = []
    for number in numbers:
        if run and (number != run[-1] + 1 or len(run) == longest):
            yield run
            run = []
        run.append(number)
    if run:
        yield run
