"""HDF5's chunk indexes, learned from the blocks that its readers touched (F1). Pure, but for the bytes it peeks at.

A page of an index is found by its signature, wherever it lies: whoever reads a chunk has read that page before. So
nothing is walked from the top of the file, and a dataset that nobody touches costs nothing. Addresses, sizes and counts
are looked at before they are believed, and what does not fit the file is left out: garbage can waste a fetch, no more.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from jupyter_alc.dms.engine.planner import block_extent
from jupyter_alc.dms.formats import hdf5_arrays, hdf5_headers, hdf5_trees
from jupyter_alc.dms.formats.chunks import Chunks
from jupyter_alc.dms.formats.pages import Known

if TYPE_CHECKING:
    from collections.abc import Iterable

    from jupyter_alc.dms.formats.pages import Peek, Reader

SIGNATURE: Final = b"\x89HDF\r\n\x1a\n"
HEAD: Final = 33 * 1024  # so far the signature is looked for, behind a user block
_MOST_PENDING: Final = 256
_OLDER: Final[dict[bytes, Reader]] = {b"TREE\x01": hdf5_trees.first_tree}
_NEWER: Final[dict[bytes, Reader]] = {
    **_OLDER,
    b"OHDR\x02": hdf5_headers.header,
    b"OCHK": hdf5_headers.more_header,
    b"FAHD": hdf5_arrays.fixed_head,
    b"FADB": hdf5_arrays.fixed_block,
    b"EAHD": hdf5_arrays.extensible_head,
    b"EAIB": hdf5_arrays.extensible_index,
    b"EADB": hdf5_arrays.extensible_block,
    b"BTHD": hdf5_trees.head,
    b"BTIN": hdf5_trees.inner,
    b"BTLF": hdf5_trees.leaf,
}


def begins(head: bytes) -> tuple[int, bool] | None:
    """Where the HDF5 file that begins with `head` has its superblock, and whether it may have the newer indexes.

    None for other files, and for those whose addresses do not have 8 bytes.
    """
    place = 0
    while place + 16 <= len(head):
        if head.startswith(SIGNATURE, place):
            version = head[place + 8]
            words = head[place + 13 : place + 15] if version < 2 else head[place + 9 : place + 11]
            return (place, version >= 2) if words == b"\x08\x08" else None
        place = place * 2 or 512
    return None


class Hdf5:
    """What is known of one version of a file of `size` bytes. `learn` is for one thread at a time."""

    def __init__(self, size: int, base: int, *, newer: bool) -> None:
        self.chunks = Chunks()
        self._known = Known(size, base)
        self._readers = _NEWER if newer else _OLDER
        self._pending: dict[int, Reader] = {}

    def learn(self, peek: Peek, numbers: Iterable[int]) -> list[int]:
        """Look at blocks that readers touched; returns those that are not here (yet)."""
        missing = list[int]()
        if self.chunks.full:
            return missing
        for number in numbers:
            one = block_extent(number, self._known.size)
            content = peek(one.start, one.stop)
            if content is None:
                missing.append(number)
            else:
                self._find(content, one.start)
        before = -1
        while len(self._pending) != before:  # a page may need another one that was found after it
            before = len(self._pending)
            for place, read in list(self._pending.items()):
                if read(peek, place, self._known):
                    del self._pending[place]
        if self._known.found:
            self.chunks.add(self._known.found)
            self._known.found.clear()
        return missing

    def _find(self, content: bytes, start: int) -> None:
        for signature, reader in self._readers.items():
            at = content.find(signature)
            while at >= 0 and len(self._pending) < _MOST_PENDING:
                self._pending.setdefault(start + at, reader)
                at = content.find(signature, at + 1)
