"""One version of one file in the cache: a sparse data file and a sidecar of presence bits and checksums.

A block is stored in this order: bytes, checksum, bit. It counts only if the checksum holds at its first use after a
start, so that a crash between any two of these costs a fetch, never a wrong byte. `read` may be called by any thread.
"""

from __future__ import annotations

import ctypes
import os
import struct
import threading
import zlib
from array import array
from typing import TYPE_CHECKING, Final

from jupyter_alc.dms.engine.planner import BLOCK, Extent, block_extent, blocks_of

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

LAYOUT: Final = 1
_HEAD: Final = struct.Struct("<8sIIQ")  # magic, layout, block size, file size
_MAGIC: Final = b"alc-dms\0"
_PUNCH_AND_KEEP_SIZE: Final = 0x03
_ONES: Final = bytes(number == 1 for number in range(256))  # whatever is not a 1 is a 0
_libc: Final = ctypes.CDLL(None, use_errno=True)
_libc.fallocate.argtypes = [ctypes.c_int, ctypes.c_int, ctypes.c_int64, ctypes.c_int64]


class BlockFile:
    """Blocks of a file of `size` bytes, kept at `stem`.data and `stem`.side."""

    def __init__(self, stem: Path, size: int) -> None:
        self.size = size
        self.data_path, self.side_path = stem.with_suffix(".data"), stem.with_suffix(".side")
        self._count = -(-size // BLOCK)
        self._lock = threading.RLock()  # for all that changes: a reader that drops a bad block may be any thread
        self._generation = 0
        self._verified = bytearray(self._count)
        self._data = self._side = -1
        self.dropped = 0
        try:
            self._data = os.open(self.data_path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            self._side = os.open(self.side_path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            self._sums, self._present = self._load()
        except BaseException:
            self.close()
            raise

    def has(self, number: int) -> bool:
        """Whether block `number` is marked as here (its checksum may still fail)."""
        return bool(self._present[number])

    def here(self) -> Iterator[int]:
        """The numbers of the blocks marked as here, in order."""
        number = self._present.find(1)
        while number >= 0:
            yield number
            number = self._present.find(1, number + 1)

    @property
    def stored_bytes(self) -> int:
        """The bytes of the blocks marked as here."""
        whole = self._present.count(1) * BLOCK
        tail = self.size % BLOCK
        return whole - (BLOCK - tail) if tail and self._count and self._present[-1] else whole

    def read(self, start: int, stop: int) -> bytes | None:
        """The bytes if each block is here and holds its checksum, else None. Never waits for the archive."""
        generation = self._generation
        for number in blocks_of(Extent(start, stop)):
            if not self._present[number] or not (self._verified[number] or self._verify(number)):
                return None
        try:
            got = os.pread(self._data, stop - start, start)
        except OSError:
            return None
        return got if generation == self._generation and len(got) == stop - start else None

    def store(self, extent: Extent, got: bytes) -> None:
        """Keep `got`, whole blocks from `extent.start`. `OSError` on a full disk; then nothing is marked."""
        with self._lock:
            _write_all(self._data, got, extent.start)
            for number in blocks_of(extent):
                one = block_extent(number, self.size)
                total = zlib.crc32(memoryview(got)[one.start - extent.start : one.stop - extent.start])
                self._sums[number] = total
                _write_all(self._side, struct.pack("<I", total), _HEAD.size + 4 * number)
            for number in blocks_of(extent):
                _write_all(self._side, b"\1", _HEAD.size + 4 * self._count + number)
                self._verified[number] = 1
                self._present[number] = 1

    def drop(self, number: int) -> None:
        """Forget block `number` and give its disk space back."""
        with self._lock:
            self._present[number] = 0  # first the bit, then the generation, then the hole: see `read`
            self._verified[number] = 0
            self._generation += 1
            _write_all(self._side, b"\0", _HEAD.size + 4 * self._count + number)
            _libc.fallocate(self._data, _PUNCH_AND_KEEP_SIZE, number * BLOCK, BLOCK)

    def close(self) -> None:
        """Close both files; reads answer None from now on."""
        with self._lock:
            self._present = bytearray(self._count)
            self._generation += 1
            for descriptor in (self._data, self._side):
                if descriptor >= 0:
                    os.close(descriptor)
            self._data = self._side = -1

    def _verify(self, number: int) -> bool:
        with self._lock:
            if self._verified[number] or not self._present[number]:  # somebody was here first
                return bool(self._present[number])
            one = block_extent(number, self.size)
            if zlib.crc32(os.pread(self._data, one.size, one.start)) == self._sums[number]:
                self._verified[number] = 1
                return True
            self.dropped += 1
            self.drop(number)
            return False

    def _load(self) -> tuple[array[int], bytearray]:
        head = _HEAD.pack(_MAGIC, LAYOUT, BLOCK, self.size)
        text = os.pread(self._side, _HEAD.size + 5 * self._count, 0)
        if len(text) == _HEAD.size + 5 * self._count and text.startswith(head):
            sums = array("I", text[_HEAD.size : _HEAD.size + 4 * self._count])  # 4 bytes each, little-endian machines
            return sums, bytearray(text[_HEAD.size + 4 * self._count :].translate(_ONES))
        os.ftruncate(self._side, 0)
        os.ftruncate(self._data, 0)
        os.ftruncate(self._data, self.size)
        os.ftruncate(self._side, _HEAD.size + 5 * self._count)
        _write_all(self._side, head, 0)
        return array("I", bytes(4 * self._count)), bytearray(self._count)


def _write_all(descriptor: int, data: bytes, offset: int) -> None:
    view, done = memoryview(data), 0
    while done < len(view):
        done += os.pwrite(descriptor, view[done:], offset + done)
