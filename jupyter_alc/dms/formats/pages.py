"""What the pages of an HDF5 file's chunk indexes refer to, and how a page that was read is kept. Pure."""

from __future__ import annotations

import struct
from array import array
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import pairwise
from typing import TYPE_CHECKING, Final, TypeAlias

from jupyter_alc.dms.formats.chunks import Leaf

if TYPE_CHECKING:
    from collections.abc import Hashable, Sequence

    from jupyter_alc.dms.engine.planner import Extent

MOST_ENTRIES: Final = 8192  # of one page
MOST_KNOWN: Final = 4096  # headers and pages that are remembered of one file
WORD: Final = struct.Struct("<Q")
_UNDEFINED: Final = (1 << 64) - 1

Peek: TypeAlias = Callable[[int, int], bytes | None]
"""The bytes `start`..`stop` of the file if all of them are here, else None. No archive is asked."""


@dataclass(frozen=True, slots=True)
class Layout:
    """What an object header says of a dataset's chunks: its dimensions, the bytes of a chunk that is not filtered."""

    rank: int
    chunk_bytes: int


@dataclass(slots=True)
class Known:
    """What is known of a file of `size` bytes whose superblock is at `base`. All keys are places in the file."""

    size: int
    base: int
    layouts: dict[int, Layout] = field(default_factory=dict)  # by the head of the index
    heads: dict[int, tuple[int, ...]] = field(default_factory=dict)  # what the head of an index says
    nodes: dict[int, tuple[int, int, int]] = field(default_factory=dict)  # of a tree: its head, level, records
    continued: dict[int, tuple[int, bool]] = field(default_factory=dict)  # headers: length, messages are numbered
    blocks: dict[int, tuple[int, int]] = field(default_factory=dict)  # of an array: first element, elements
    indexed: set[int] = field(default_factory=set)  # arrays whose own index was read
    found: list[Leaf] = field(default_factory=list)
    kept: set[Hashable] = field(default_factory=set)

    def place(self, address: int) -> int:
        """Where `address` is in the file; 0 where it is nowhere."""
        place = address + self.base
        return place if 0 < address < _UNDEFINED and place < self.size else 0  # at 0 is the superblock

    def keep(
        self,
        chunks: Sequence[tuple[int, int]],
        key: Hashable,
        follows: Hashable | None = None,
        next_page: Extent | None = None,
        *,
        flat: bool = False,
    ) -> None:
        """Keep a page of chunks, each its address and size; those that the file has no room for are left out."""
        fits = [(self.place(address), size) for address, size in chunks]
        fits = [(place, size) for place, size in fits if place and 0 < size <= self.size - place]
        if fits:
            starts, sizes = array("Q", (one[0] for one in fits)), array("Q", (one[1] for one in fits))
            self.found.append(Leaf(key, starts, sizes, follows, next_page, flat))
            self.kept.add(key)


Reader: TypeAlias = Callable[[Peek, int, Known], bool]
"""Reads the page at a place into `Known`; False where bytes or another page that it needs are not here yet."""


def ascending(keys: Sequence[tuple[int, ...]]) -> bool:
    """Whether each key is greater than the one before."""
    return all(left < right for left, right in pairwise(keys))
