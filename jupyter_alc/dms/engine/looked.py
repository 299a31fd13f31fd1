"""Which blocks of closed files held their checksums while they were open: a block is looked at once a start (R5)."""

from __future__ import annotations

from collections import OrderedDict
from typing import Final

MOST_BYTES: Final = 16 << 20
_ENTRY: Final = 256  # the bytes that knowing of a file takes, beside one for each of its blocks


class Looked:
    """Knows it of the files that were closed last; not safe for threads of itself."""

    def __init__(self) -> None:
        self._blocks: OrderedDict[str, bytes] = OrderedDict()
        self._bytes = 0

    def keep(self, key: str, blocks: bytes) -> None:
        """A file is closed; `blocks` has a 1 for each block that held its checksum."""
        self.take(key)
        if 1 not in blocks or _size(blocks) > MOST_BYTES:
            return
        self._blocks[key] = blocks
        self._bytes += _size(blocks)
        while self._bytes > MOST_BYTES:
            self._bytes -= _size(self._blocks.popitem(last=False)[1])

    def take(self, key: str) -> bytes:
        """What is known of a file, which is opened or removed now."""
        blocks = self._blocks.pop(key, b"")
        if blocks:
            self._bytes -= _size(blocks)
        return blocks


def _size(blocks: bytes) -> int:
    return len(blocks) + _ENTRY
