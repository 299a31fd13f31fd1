"""The two arrays that index HDF5's chunks: one of a fixed length, and one that can grow. Pure.

An element is a chunk's address, and its size where chunks are filtered; sizes of others stand in the object header.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Final, NamedTuple

from jupyter_alc.dms.formats.pages import MOST_ENTRIES, MOST_KNOWN, WORD

if TYPE_CHECKING:
    from jupyter_alc.dms.formats.pages import Known, Peek

_FIXED_HEAD: Final = struct.Struct("<4sBBBBQQ")
_EXTENSIBLE_HEAD: Final = struct.Struct("<4sBBBBBBBB")
_OWNER: Final = struct.Struct("<4sBBQ")  # how each block begins: whose it is
_CHECKSUM: Final = 4
_MOST_PAGES: Final = 64


class _Run(NamedTuple):
    """Elements `first`, … of the array whose head is at `owner`, in pages where there are more than one holds."""

    owner: int
    first: int
    length: int
    page_bits: int = 63


def fixed_head(peek: Peek, place: int, known: Known) -> bool:
    """The head of an array of a fixed length."""
    content = peek(place, place + _FIXED_HEAD.size)
    if content is None:
        return place + _FIXED_HEAD.size > known.size
    _, _, filtered, element, page_bits, count, _ = _FIXED_HEAD.unpack(content)
    _remember(known, place, (filtered, element, page_bits, count))
    return True


def fixed_block(peek: Peek, place: int, known: Known) -> bool:
    """All elements of such an array, in one piece or in pages."""
    owner, told = _owner(peek, place, known)
    if told is None:
        return False
    _, _, page_bits, count = told
    pages = -(-count // (1 << page_bits))
    bitmap = -(-pages // 8) if pages > 1 else 0
    return _elements(peek, known, place + _OWNER.size + bitmap, _Run(owner, 0, count, page_bits))


def extensible_head(peek: Peek, place: int, known: Known) -> bool:
    """The head of an array that can grow."""
    content = peek(place, place + _EXTENSIBLE_HEAD.size)
    if content is None:
        return place + _EXTENSIBLE_HEAD.size > known.size
    _, _, filtered, element, bits, first, least, pointers, page_bits = _EXTENSIBLE_HEAD.unpack(content)
    if least and bits <= 64:
        _remember(known, place, (filtered, element, page_bits, bits, first, least, pointers))
    return True


def extensible_index(peek: Peek, place: int, known: Known) -> bool:
    """The index of such an array: its first few elements, and where its first blocks are."""
    owner, told = _owner(peek, place, known)
    if told is None or len(told) < 7:
        return False
    _, element, _, _, first, least, pointers = told
    start = place + _OWNER.size + first * element
    content = peek(start, start + 16 * (pointers - 1)) if pointers > 1 else b""
    if content is None:
        return False
    for number, (address,) in enumerate(WORD.iter_unpack(content)):
        if known.place(address) and len(known.blocks) < MOST_KNOWN:
            known.blocks[known.place(address)] = _block(number, least)
    known.indexed.add(owner)
    return _elements(peek, known, place + _OWNER.size, _Run(owner, 0, first))


def extensible_block(peek: Peek, place: int, known: Known) -> bool:
    """A block of elements. How many it has follows from where in the array it is."""
    owner, told = _owner(peek, place, known)
    if told is None or len(told) < 7 or owner not in known.indexed:
        return False
    _, _, page_bits, bits, first, least, _ = told
    width = -(-bits // 8)
    content = peek(place + _OWNER.size, place + _OWNER.size + width)
    if content is None:
        return False
    offset = int.from_bytes(content, "little")  # right in all blocks but those that the index knows itself
    begins, count = known.blocks.get(place, (offset, _length(offset, least)))
    return _elements(peek, known, place + _OWNER.size + width, _Run(owner, first + begins, count, page_bits))


def _block(number: int, least: int) -> tuple[int, int]:
    """The first element, and how many there are, of a block by its number. They grow in runs."""
    start = 0
    for run in range(64):
        blocks, length = 1 << (run // 2), least << ((run + 1) // 2)
        if number < blocks:
            return start + number * length, length
        number -= blocks
        start += blocks * length
    return 0, 0


def _length(offset: int, least: int) -> int:
    """How many elements the block has that begins with element `offset`."""
    start = 0
    for run in range(64):
        blocks, length = 1 << (run // 2), least << ((run + 1) // 2)
        if offset < start + blocks * length:
            return length
        start += blocks * length
    return 0


def _owner(peek: Peek, place: int, known: Known) -> tuple[int, tuple[int, ...] | None]:
    content = peek(place, place + _OWNER.size)
    if content is None:
        return 0, None
    owner = known.place(_OWNER.unpack(content)[3])
    return owner, known.heads.get(owner)


def _remember(known: Known, place: int, told: tuple[int, ...]) -> None:
    filtered, element, page_bits, *_ = told
    if (element > 12 if filtered else element == 8) and page_bits < 64 and len(known.heads) < MOST_KNOWN:
        known.heads[place] = told


def _elements(peek: Peek, known: Known, start: int, run: _Run) -> bool:
    """Keep the elements that stand at `start`; False while some of them are not here."""
    filtered, element = known.heads[run.owner][:2]
    layout = known.layouts.get(run.owner)
    if layout is None and not filtered:
        return False
    size, flat = (layout.chunk_bytes, layout.rank == 1) if layout is not None else (0, False)
    paged = run.length > 1 << run.page_bits
    page, between = (1 << run.page_bits, _CHECKSUM) if paged else (min(run.length, MOST_ENTRIES), 0)
    start += between  # of the block itself, which is not at its end then
    complete = True
    for at in range(0, min(run.length, _MOST_PAGES * page), page or 1):
        length = min(page, run.length - at)
        key, stop = (run.owner, run.first + at), start + length * element
        if key not in known.kept and stop <= known.size and length <= MOST_ENTRIES:
            content = peek(start, stop)
            if content is None:
                complete = False
            else:
                chunks = [
                    _chunk(content, each, element, 0 if filtered else size) for each in range(0, stop - start, element)
                ]
                known.keep(chunks, key, (run.owner, run.first + at + length), flat=flat)
        start = stop + between
    return complete


def _chunk(content: bytes, at: int, element: int, size: int) -> tuple[int, int]:
    return WORD.unpack_from(content, at)[0], size or int.from_bytes(content[at + 8 : at + element - 4], "little")
