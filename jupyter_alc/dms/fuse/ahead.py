"""Which bytes of a file to push into the kernel's memory ahead of one handle's reads (R17). Pure: knows no kernel.

Pages that were pushed are read without asking us. Each half of the window therefore begins with a gap that is not
pushed: its read tells that the reader is there.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Final

from jupyter_alc.dms.engine.planner import BLOCK, Extent

MIB: Final = 1 << 20
WINDOW: Final = 8 * MIB
HALF: Final = WINDOW // 2
GAP: Final = 128 << 10  # the largest read that a kernel asks for
BEYOND: Final = MIB  # what the kernel itself may be reading behind a read
PIECE: Final = MIB
MOST_JUMPS: Final = 16
_IN_A_ROW: Final = 8  # reads


class Ahead:
    """How one handle goes through a file of `size` bytes. `over`: nothing is pushed for it any more."""

    __slots__ = ("_at", "_begin", "_jumps", "_reads", "_row", "_size", "_told", "over", "passed")

    def __init__(self, size: int) -> None:
        self._size = (size // BLOCK - 1) * BLOCK  # the end of a file is read from us: it tells that the rest was
        self._at = self._row = self._reads = self._jumps = 0
        self._begin = -1  # of the window; before it nothing was pushed
        self._told = 0  # the half whose gap will be read next
        self.passed = Extent(0, 0)
        self.over = self._size < WINDOW

    def note(self, start: int, stop: int) -> bool:
        """Count a read; True when `push` has something to do. `passed` is then what was read without asking."""
        if self._begin >= 0:
            return not self.over and self._within(start, stop)
        if -GAP <= start - self._at <= GAP:
            self._row += stop - start
            self._reads += 1
        else:
            self._row = self._reads = 0
            self._jumps += 1
            self.over = self._jumps >= MOST_JUMPS
        self._at = stop
        return self._row >= MIB and self._reads >= _IN_A_ROW

    def push(self) -> list[Extent]:
        """The pieces to push now, in order, each of at most 1 MiB; empty at the end of the file."""
        if self.over:
            return []
        if self._begin < 0:
            self._begin = -(-(self._at + BEYOND) // PIECE) * PIECE
            return [*self._pieces(0), *self._pieces(1)]
        return self._pieces(self._told)

    def _within(self, start: int, stop: int) -> bool:
        """Count a read before, in, or beyond the window."""
        half, into = divmod(start - self._begin, HALF)
        self.passed = Extent(0, 0)
        if half < 0 and start >= self._at - MIB:  # on its way there
            self._at = stop
            return False
        if half == self._told and into < GAP:  # it is there
            if self._told:
                self.passed = self._pushed(half - 1)
            self._told += 1
            return self._told > 1
        if half == self._told - 1 and start >= self._size:
            self.passed, self.over = self._pushed(half), True
            return True
        if half != self._told - 1 or into >= GAP:
            self.over = True
        return False

    def _pushed(self, half: int) -> Extent:
        start = self._begin + half * HALF
        return Extent(start + GAP, max(start + GAP, min(start + HALF, self._size)))

    def _pieces(self, half: int) -> list[Extent]:
        start = self._begin + half * HALF
        at, stop = start + GAP, min(start + HALF, self._size)
        cuts = [at, *range(start + PIECE, stop, PIECE), stop]
        return [Extent(*pair) for pair in pairwise(cuts)] if at < stop else []
