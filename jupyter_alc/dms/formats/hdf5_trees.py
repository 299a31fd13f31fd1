"""The two kinds of B-trees that index HDF5's chunks. Pure."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Final

from jupyter_alc.dms.engine.planner import Extent
from jupyter_alc.dms.formats.pages import MOST_ENTRIES, MOST_KNOWN, WORD, ascending

if TYPE_CHECKING:
    from jupyter_alc.dms.formats.pages import Known, Peek

_MOST_RANK: Final = 8
_NODE: Final = struct.Struct("<4sBBHQQ")
_HEAD: Final = struct.Struct("<4sBBIHHBBQH")
_CHUNKS, _FILTERED_CHUNKS = 10, 11
_AROUND: Final = 10  # bytes of a node that are no records: signature, version, type, checksum


def first_tree(peek: Peek, place: int, known: Known) -> bool:
    """A node of the first kind, whose keys have the sizes of chunks; nodes above the leaves say nothing of them."""
    head = peek(place, place + _NODE.size)
    if head is None:
        return place + _NODE.size > known.size
    _, _, level, used, _, right = _NODE.unpack(head)
    if level or not 0 < used <= MOST_ENTRIES:
        return True
    for rank in range(1, _MOST_RANK + 1):  # only the dataset itself says how many dimensions it has
        entry = struct.Struct(f"<II{rank}QQQ")
        start, stop = place + _NODE.size, place + _NODE.size + used * entry.size
        body = peek(start, stop) if stop <= known.size else b""
        if not body:
            return body is not None
        entries = list(entry.iter_unpack(body))
        if all(one[0] and not one[-2] and known.place(one[-1]) for one in entries) and ascending(
            [one[2:-2] for one in entries]
        ):
            after = known.place(right)
            page = Extent(after, min(after + stop - place, known.size)) if after else None
            known.keep([(one[-1], one[0]) for one in entries], place, after or None, page, flat=rank == 1)
            return True
    return True


def head(peek: Peek, place: int, known: Known) -> bool:
    """The head of a tree of the second kind: what its nodes look like, and where the first one is."""
    content = peek(place, place + _HEAD.size)
    if content is None:
        return place + _HEAD.size > known.size
    _, _, kind, node, record, depth, _, _, root, count = _HEAD.unpack(content)
    if kind in {_CHUNKS, _FILTERED_CHUNKS} and record and 0 < node <= 1 << 20 and depth <= 4:
        known.heads[place] = (kind, node, record)
        _point(known, known.place(root), place, depth, count)
    return True


def leaf(peek: Peek, place: int, known: Known) -> bool:
    """A node with records only."""
    return _records(peek, place, known) is not None


def inner(peek: Peek, place: int, known: Known) -> bool:
    """A node with records between pointers to other nodes."""
    records = _records(peek, place, known)
    if not records:
        return records is not None
    owner, depth, count = known.nodes[place]
    _, node, record = known.heads[owner]
    pointer, small = _pointer(node, record, depth)
    start = place + 6 + count * record
    stop = start + (count + 1) * pointer
    content = peek(start, stop) if stop <= known.size else b""
    if content is None:
        return False
    for at in range(0, len(content) - pointer + 1, pointer):
        address, below = WORD.unpack_from(content, at)[0], content[at + 8 : at + 8 + small]
        _point(known, known.place(address), owner, depth - 1, int.from_bytes(below, "little"))
    return True


def _point(known: Known, place: int, owner: int, depth: int, count: int) -> None:
    if place and count <= MOST_ENTRIES and len(known.nodes) < MOST_KNOWN:
        known.nodes[place] = (owner, depth, count)


def _records(peek: Peek, place: int, known: Known) -> bool | None:
    """Keep the chunks that a node's own records tell; None where that cannot be yet, False where it has none."""
    told = known.nodes.get(place)
    if told is None or told[0] not in known.heads:
        return None
    owner, _, count = told
    kind, _, record = known.heads[owner]
    layout = known.layouts.get(owner)
    stop = place + 6 + count * record
    if stop > known.size:
        return False
    content = peek(place + 6, stop)
    if content is None or (layout is None and kind == _CHUNKS):
        return None
    rank = layout.rank if layout is not None else 0
    width = record - 12 - 8 * rank if rank else 0  # of a filtered chunk's size
    if kind == _FILTERED_CHUNKS and not 0 < width <= 8:
        return None if layout is None else False
    found = list[tuple[int, int]]()
    for at in range(0, len(content), record):
        address = WORD.unpack_from(content, at)[0] if at + 8 <= len(content) else 0
        size = layout.chunk_bytes if layout is not None else 0
        if kind == _FILTERED_CHUNKS:
            size = int.from_bytes(content[at + 8 : at + 8 + width], "little")
        found.append((address, size))
    known.keep(found, place, flat=rank == 1)
    return True


def _pointer(node: int, record: int, depth: int) -> tuple[int, int]:
    """The bytes of a pointer in a node `depth` levels above the leaves, and of the count of records in it."""
    most = (node - _AROUND) // record
    small = _width(most)
    total, all_below = 0, most
    for level in range(1, depth + 1):
        pointer = 8 + small + total
        if level == depth:
            return pointer, small
        most = max((node - _AROUND - pointer) // (record + pointer), 1)
        all_below = (most + 1) * all_below + most
        total = _width(all_below)
    return 8 + small, small


def _width(most: int) -> int:
    """The bytes that a count of at most `most` has."""
    return max((most.bit_length() + 7) // 8, 1)
