"""Which bytes of a file were given out, so that they can be compared with another version's. Pure."""

from __future__ import annotations

from typing import Final

MOST_BYTES: Final = 1 << 20
MOST_EXTENTS: Final = 64


class Seen:
    """Extents, joined where they touch. Too much is too much to compare, and stays so."""

    def __init__(self) -> None:
        self._extents: list[tuple[int, int]] = []
        self.too_much = False
        self.changes = 0

    def add(self, start: int, stop: int) -> None:
        """Bytes `start`..`stop` were given out."""
        if self.too_much or start >= stop:
            return
        if any(first <= start and stop <= last for first, last in self._extents):
            return
        self.changes += 1
        touching = [one for one in self._extents if one[0] <= stop and start <= one[1]]
        apart = [one for one in self._extents if one not in touching]
        joined = (min([start, *(one[0] for one in touching)]), max([stop, *(one[1] for one in touching)]))
        self._extents = sorted([*apart, joined])
        self.too_much = len(self._extents) > MOST_EXTENTS or sum(b - a for a, b in self._extents) > MOST_BYTES

    def extents(self) -> list[tuple[int, int]]:
        """What was given out."""
        return list(self._extents)
