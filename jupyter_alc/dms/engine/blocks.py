"""One version of one file in the cache: a sparse data file and a sidecar of checksums, one for each block that is here.

A block is stored in this order: bytes, checksum, presence. It counts only if the checksum holds at its first use after
a start, so that a crash between any two of these costs a fetch, never a wrong byte. Nothing is on the disk before the
first block is. All methods may be called by any thread; those that change the disk may wait for it.
"""

from __future__ import annotations

import ctypes
import errno
import os
import struct
import threading
from array import array
from typing import TYPE_CHECKING, Final

from google_crc32c import value as crc32c

from jupyter_alc.dms.engine.planner import BLOCK, Extent, block_extent, blocks_of

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator
    from pathlib import Path

LAYOUT: Final = 2
HOLE: Final = 16  # blocks that are evicted at once: 1 MiB
_PAGE: Final = 4096
_HEAD: Final = struct.Struct("<8sIIQ")  # magic, layout, block size, file size
_MAGIC: Final = b"alc-dms\0"
_PUNCH_AND_KEEP_SIZE: Final = 0x03
_libc: Final = ctypes.CDLL(None, use_errno=True)
_libc.fallocate.argtypes = [ctypes.c_int, ctypes.c_int, ctypes.c_int64, ctypes.c_int64]


def beside(size: int) -> int:
    """The bytes of the disk that the sidecar of a file of `size` takes at most."""
    return _pages(_HEAD.size + 4 * -(-size // BLOCK))


class BlockFile:
    """Blocks of a file of `size` bytes, kept at `stem`.data and `stem`.side."""

    def __init__(self, stem: Path, size: int) -> None:
        self.size = size
        self.data_path, self.side_path = stem.with_suffix(".data"), stem.with_suffix(".side")
        self._count = -(-size // BLOCK)
        self._lock = threading.RLock()  # for what is known of the blocks; only `_verify` waits for the disk under it
        self._generation = 0
        self._present, self._verified = bytearray(self._count), bytearray(self._count)
        self._sums = array("I", bytes(4 * self._count))  # 4 bytes each on little-endian machines; 0 is "not here"
        self._used = bytearray(-(-self._count // HOLE))
        self._turn = self._blocks = self._unsettled = 0
        self._storing: set[int] = set()
        self._closed = False
        self._data = self._side = -1
        self.served = self.dropped = 0
        try:
            self._load()
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

    def needs(self, extent: Extent) -> int:
        """The bytes of the disk that storing the whole blocks of `extent` takes at most."""
        return _pages(extent.size) + (0 if self.on_disk else beside(self.size))

    @property
    def on_disk(self) -> bool:
        """Whether it has files."""
        return self._data >= 0

    @property
    def held_bytes(self) -> int:
        """The bytes of the disk that it takes, less what stores brought that are not settled yet."""
        whole = self._blocks * BLOCK
        tail = self.size % BLOCK
        if tail and self._count and self._present[-1]:
            whole -= BLOCK - _pages(tail)
        return whole + beside(self.size) - self._unsettled if self.on_disk else 0

    def read(self, start: int, stop: int) -> bytes | None:
        """The bytes if each block is here and holds its checksum, else None. Never waits for the archive."""
        if start >= stop:
            return b""
        generation = self._generation
        for number in blocks_of(Extent(start, stop)):
            if not self._present[number] or not (self._verified[number] or self._verify(number)):
                return None
        try:
            got = os.pread(self._data, stop - start, start)
        except OSError:
            return None
        if generation != self._generation or len(got) != stop - start:
            return None
        self._used[start // BLOCK // HOLE] = self._used[(stop - 1) // BLOCK // HOLE] = 1
        self.served += 1
        return got

    def store(self, extent: Extent, got: bytes | bytearray | memoryview) -> int:
        """Keep `got`, whole blocks from `extent.start`; the bytes that it takes of the disk, for `settle`.

        `OSError` on a full disk; what is not whole is not marked.
        """
        view = memoryview(got)
        if len(view) != extent.size:
            raise OSError(errno.EIO, f"{len(view)} bytes came for {extent.size}")
        with self._lock:
            mine = {n for n in blocks_of(extent) if not self._present[n] and n not in self._storing}
            if self._closed or not mine:
                return 0
            self._storing |= mine
        taken = 0
        try:
            taken += self._create()
            for run in _runs(sorted(mine)):
                taken += self._store_run(
                    run, view[run[0] * BLOCK - extent.start : (run[-1] + 1) * BLOCK - extent.start]
                )
        except BaseException:
            self.settle(taken)
            raise
        finally:
            with self._lock:
                self._storing -= mine
                self._shut_if_over()
        return taken

    def settle(self, taken: int) -> None:
        """Count what a store took from now on; until then whoever ordered it has it reserved."""
        with self._lock:
            self._unsettled -= taken

    def forget(self, busy: Collection[int] = ()) -> list[int]:
        """Take the blocks of one hole that was not used lately for not here, none of `busy`, and answer their numbers.

        Their space is given back by `punch`. Empty when there is nothing that may go.
        """
        with self._lock:
            holes = len(self._used)
            for step in range(2 * holes):
                hole = (self._turn + step) % holes
                first = hole * HOLE
                there = [n for n in range(first, min(first + HOLE, self._count)) if self._present[n] and n not in busy]
                if there and not self._used[hole]:
                    self._turn = hole
                    self._take_for_gone(there)
                    return there
                self._used[hole] = 0
            return []

    def punch(self, numbers: list[int]) -> None:
        """Give back the space of forgotten blocks."""
        for run in _runs(numbers):
            _write_all(self._side, bytes(4 * len(run)), _HEAD.size + 4 * run[0])
            _libc.fallocate(self._data, _PUNCH_AND_KEEP_SIZE, run[0] * BLOCK, len(run) * BLOCK)

    def drop(self, number: int) -> None:
        """Forget block `number` if it is here, and give its space back."""
        with self._lock:
            if self._present[number]:
                self._take_for_gone([number])
                self.punch([number])

    def close(self) -> None:
        """Close both files, after a store that is under way; reads answer None from now on."""
        with self._lock:
            self._present, self._blocks = bytearray(self._count), 0
            self._generation += 1
            self._closed = True
            self._shut_if_over()

    def _store_run(self, run: range, got: memoryview) -> int:
        _write_all(self._data, got, run[0] * BLOCK)
        sums = array("I", (_sum(got[at : at + BLOCK]) for at in range(0, len(got), BLOCK)))
        _write_all(self._side, sums.tobytes(), _HEAD.size + 4 * run[0])
        with self._lock:
            if self._closed:
                return 0
            self._sums[run[0] : run[-1] + 1] = sums
            self._verified[run[0] : run[-1] + 1] = b"\1" * len(run)
            self._present[run[0] : run[-1] + 1] = b"\1" * len(run)
            self._blocks += len(run)
            first, last = run[0] // HOLE, run[-1] // HOLE
            self._used[first : last + 1] = b"\1" * (last + 1 - first)
            self._unsettled += _pages(len(got))
        return _pages(len(got))

    def _shut_if_over(self) -> None:
        if self._closed and not self._storing:
            for descriptor in (self._data, self._side):
                if descriptor >= 0:
                    os.close(descriptor)
            self._data = self._side = -1

    def _take_for_gone(self, numbers: list[int]) -> None:
        for number in numbers:  # first the presence, then the generation, then the hole: see `read`
            self._present[number] = self._verified[number] = 0
            self._sums[number] = 0
        self._blocks -= len(numbers)
        self._generation += 1

    def _verify(self, number: int) -> bool:
        with self._lock:
            if self._verified[number] or not self._present[number]:  # somebody was here first
                return bool(self._present[number])
            one = block_extent(number, self.size)
            if _sum(os.pread(self._data, one.size, one.start)) == self._sums[number]:
                self._verified[number] = 1
                return True
            self.dropped += 1
            self.drop(number)
            return False

    def _load(self) -> None:
        try:
            self._side = os.open(self.side_path, os.O_RDWR | os.O_CLOEXEC)
            self._data = os.open(self.data_path, os.O_RDWR | os.O_CLOEXEC)
        except FileNotFoundError:
            self._begin_again()
            return
        head = _HEAD.pack(_MAGIC, LAYOUT, BLOCK, self.size)
        text = os.pread(self._side, _HEAD.size + 4 * self._count, 0)
        seen = os.fstat(self._data)
        if len(text) < _HEAD.size + 4 * self._count or not text.startswith(head) or seen.st_size != self.size:
            self._begin_again()
            return
        self._sums = array("I", text[_HEAD.size :])
        self._present = bytearray(map(bool, self._sums))
        self._blocks = self._present.count(1)
        if seen.st_blocks * 512 > self.held_bytes + BLOCK:  # a kill came between bytes and checksum
            for run in _runs(n for n in range(self._count) if not self._present[n]):
                _libc.fallocate(self._data, _PUNCH_AND_KEEP_SIZE, run[0] * BLOCK, len(run) * BLOCK)

    def _begin_again(self) -> None:
        """Have no files; those that are there are of no use."""
        for descriptor in (self._data, self._side):
            if descriptor >= 0:
                os.close(descriptor)
        self._data = self._side = -1
        for path in (self.side_path, self.data_path):
            path.unlink(missing_ok=True)

    def _create(self) -> int:
        if self._data >= 0:
            return 0
        self.data_path.parent.mkdir(exist_ok=True, mode=0o700)
        data = os.open(self.data_path, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        try:
            os.ftruncate(data, self.size)
            side = os.open(self.side_path, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        except BaseException:
            os.close(data)
            raise
        try:
            os.ftruncate(side, _HEAD.size + 4 * self._count)
            _write_all(side, _HEAD.pack(_MAGIC, LAYOUT, BLOCK, self.size), 0)
        except BaseException:
            os.close(data)
            os.close(side)
            raise
        with self._lock:
            self._unsettled += beside(self.size)
            self._side, self._data = side, data
        return beside(self.size)


def _sum(block: bytes | memoryview) -> int:
    """CRC32C, which takes nothing but bytes: a copy of 64 KiB is cheaper than the next best checksum."""
    return crc32c(bytes(block)) or 1  # 0 is "not here"


def _pages(size: int) -> int:
    return -(-size // _PAGE) * _PAGE


def _runs(numbers: Iterable[int]) -> Iterator[range]:
    """Runs of numbers without a gap."""
    first = last = -1
    for number in numbers:
        if number != last + 1 or first < 0:
            if first >= 0:
                yield range(first, last + 1)
            first = number
        last = number
    if first >= 0:
        yield range(first, last + 1)


def _write_all(descriptor: int, data: bytes | memoryview, offset: int) -> None:
    view, done = memoryview(data), 0
    while done < len(view):
        done += os.pwrite(descriptor, view[done:], offset + done)
