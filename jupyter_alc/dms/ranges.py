"""Ranges of one file, asked for together: what a request may hold, and how more than that is shared out. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

Range = tuple[int, int | None]
"""Start and stop as in a slice: negative ones count from the end of the file, a stop of None is the end."""

MOST_RANGES: Final = 1024  # of one request
MOST_BYTES: Final = 4 << 20  # of its answer, which is made in memory


def extent(size: int, start: int, stop: int | None) -> tuple[int, int]:
    """The range inside a file of `size` bytes; negative numbers count from its end, as in a slice."""
    first, end, _ = slice(start, stop).indices(size)
    return first, max(first, end)


def fits(wanted: Iterable[Range]) -> bool:
    """Whether one request can hold them, whatever the size of the file."""
    bytes_asked = count = 0
    for start, stop in wanted:
        if stop is None or start < 0 or stop < 0:
            return False
        count, bytes_asked = count + 1, bytes_asked + max(0, stop - start)
    return count <= MOST_RANGES and bytes_asked <= MOST_BYTES


def requests(extents: Iterable[tuple[int, int]]) -> Iterator[list[tuple[int, int]]]:
    """Share extents out, in order, to requests of at most `MOST_RANGES` and `MOST_BYTES`; a larger one is alone."""
    batch: list[tuple[int, int]] = []
    held = 0
    for start, stop in extents:
        if batch and (len(batch) == MOST_RANGES or held + stop - start > MOST_BYTES):
            yield batch
            batch, held = [], 0
        batch.append((start, stop))
        held += stop - start
    if batch:
        yield batch
