"""Object headers of HDF5's second kind: which index a dataset has, and how large its chunks are without filters. Pure.

Headers of the first kind have no signature and are not needed: their datasets have the first kind of B-tree, which
tells the sizes itself.
"""

from __future__ import annotations

import struct
from math import prod
from typing import TYPE_CHECKING, Final

from jupyter_alc.dms.formats.pages import MOST_KNOWN, WORD, Layout

if TYPE_CHECKING:
    from collections.abc import Iterator

    from jupyter_alc.dms.formats.pages import Known, Peek

_MOST_HEAD: Final = 34  # bytes before the first message
_LAYOUT: Final = 8
_CONTINUED: Final = 16
_CHUNKED: Final = 2
_ONE_CHUNK, _FIXED, _EXTENSIBLE, _TREE = 1, 3, 4, 5
_BEFORE_ADDRESS: Final = {_FIXED: 1, _EXTENSIBLE: 5, _TREE: 6}  # bytes of the index's own settings


def header(peek: Peek, place: int, known: Known) -> bool:
    """An object header: its layout, and where it goes on."""
    head = peek(place, place + _MOST_HEAD)
    if head is None:
        return place + _MOST_HEAD > known.size
    flags = head[5]
    at = 6 + (16 if flags & 0x20 else 0) + (4 if flags & 0x10 else 0)
    width = 1 << (flags & 3)
    length = int.from_bytes(head[at : at + width], "little")
    return _messages(peek, place + at + width, length, bool(flags & 4), known)


def more_header(peek: Peek, place: int, known: Known) -> bool:
    """Where an object header goes on; the header says how."""
    told = known.continued.get(place)
    return told is not None and _messages(peek, place + 4, told[0] - 8, told[1], known)


def _messages(peek: Peek, start: int, length: int, ordered: bool, known: Known) -> bool:
    if not 0 < length <= 65_536 or start + length > known.size:
        return True
    content = peek(start, start + length)
    if content is None:
        return False
    for kind, body in _each(content, 6 if ordered else 4):
        if kind == _LAYOUT:
            _layout(body, known)
        elif kind == _CONTINUED and len(body) >= 16 and len(known.continued) < MOST_KNOWN:
            address, size = struct.unpack_from("<QQ", body)
            known.continued[known.place(address)] = (size, ordered)
    return True


def _each(content: bytes, head: int) -> Iterator[tuple[int, bytes]]:
    at = 0
    while at + head <= len(content):
        kind, size = content[at], int.from_bytes(content[at + 1 : at + 3], "little")
        yield kind, content[at + head : at + head + size]
        at += head + size


def _layout(body: bytes, known: Known) -> None:
    if len(body) < 5 or body[0] < 4 or body[1] != _CHUNKED:
        return
    flags, dimensions, width = body[2:5]
    at = 5 + dimensions * width
    sides = [int.from_bytes(body[each : each + width], "little") for each in range(5, at, width)] if width else []
    if dimensions < 2 or len(sides) != dimensions or at >= len(body):
        return
    layout, index = Layout(dimensions - 1, prod(sides)), body[at]  # the last side is the bytes of an element
    if index == _ONE_CHUNK:
        filtered = bool(flags & 2)
        at += 1 + (12 if filtered else 0)
        if len(body) >= at + 8:
            size = int.from_bytes(body[at - 12 : at - 4], "little") if filtered else layout.chunk_bytes
            address = WORD.unpack_from(body, at)[0]
            known.keep([(address, size)], ("one", address), flat=layout.rank == 1)
    elif index in _BEFORE_ADDRESS:
        at += 1 + _BEFORE_ADDRESS[index]
        if len(body) >= at + 8 and len(known.layouts) < MOST_KNOWN:
            known.layouts[known.place(WORD.unpack_from(body, at)[0])] = layout
