"""One version of one file in the cache: a sparse file of a head, checksums and blocks.

A block is stored in this order: bytes, checksum, presence. It counts only if the checksum holds at its first use after
a start, so that a crash between any two of these costs a fetch, never a wrong byte. Nothing is on the disk before the
first block is. All methods may be called by any thread; those that change the disk may wait for it.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import os
import struct
import threading
from array import array
from operator import and_
from pathlib import Path
from typing import TYPE_CHECKING, Final

from google_crc32c import value as crc32c

from jupyter_alc.dms.engine.planner import BLOCK, Extent, block_extent, blocks_of

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator

LAYOUT: Final = 3
HOLE: Final = 16  # blocks that are evicted at once: 1 MiB
_PAGE: Final = 4096
_HEAD: Final = struct.Struct("<8sIIQ")  # magic, layout, block size, file size
_MAGIC: Final = b"alc-dms\0"
_PUNCH_AND_KEEP_SIZE: Final = 0x03
_libc: Final = ctypes.CDLL(None, use_errno=True)
_libc.fallocate.argtypes = [ctypes.c_int, ctypes.c_int, ctypes.c_int64, ctypes.c_int64]


def beside(size: int) -> int:
    """The bytes of the disk that head and checksums of a file of `size` take at most; the blocks lie behind them."""
    return _pages(_HEAD.size + 4 * -(-size // BLOCK))


def size_at(path: str) -> int:
    """The size of the version whose blocks are kept at `path`; `OSError` where its head does not tell."""
    with open(path, "rb", buffering=0) as kept:  # noqa: PTH123
        head = kept.read(_HEAD.size)
    if len(head) == _HEAD.size:
        magic, layout, block, size = _HEAD.unpack(head)
        if (magic, layout, block) == (_MAGIC, LAYOUT, BLOCK):
            return int(size)
    raise OSError(errno.EIO, "no file of this cache", path)


class BlockFile:
    """Blocks of a file of `size` bytes, kept at `path`.

    `new`: nothing is kept there, or nothing that counts; the disk is not looked at. `looked`: what `looked` told of it
    since the start.
    """

    def __init__(self, path: Path | str, size: int, *, new: bool = False, looked: bytes = b"") -> None:
        self.path, self.size = str(path), size
        self._count = -(-size // BLOCK)
        self._blocks_at = beside(size)  # where block 0 lies in the file
        self._lock = threading.RLock()  # for what is known of the blocks; only `_verify` waits for the disk under it
        self._making = threading.Lock()
        self._generation = 0
        self._present, self._verified = bytearray(self._count), bytearray(self._count)
        self._sums = array("I", bytes(4 * self._count))  # 4 bytes each on little-endian machines; 0 is "not here"
        self._used = bytearray(-(-self._count // HOLE))
        self._turn = self._blocks = self._unsettled = 0
        self._storing: set[int] = set()
        self._closed = False
        self._file = -1
        self.served = self.dropped = 0
        try:
            if not new:
                self._load()
            if len(looked) == self._count:
                self._verified = bytearray(map(and_, looked, self._present))
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
        """Whether it has a file."""
        return self._file >= 0

    @property
    def held_bytes(self) -> int:
        """The bytes of the disk that it takes, less what stores brought that are not settled yet."""
        whole = self._blocks * BLOCK
        tail = self.size % BLOCK
        if tail and self._count and self._present[-1]:
            whole -= BLOCK - _pages(tail)
        return whole + beside(self.size) - self._unsettled if self.on_disk else 0

    def read(self, start: int, stop: int, *, counts: bool = True) -> bytes | None:
        """The bytes if each block is here and holds its checksum, else None. Never waits for the archive.

        One that does not count is no use by a reader: it keeps nothing from being evicted.
        """
        if start >= stop:
            return b""
        generation = self._generation
        first, last = start // BLOCK, -(-stop // BLOCK)
        if self._verified.find(0, first, last) >= 0 and not self._hold(first, last):
            return None
        try:
            got = os.pread(self._file, stop - start, self._blocks_at + start)
        except OSError:
            return None
        if generation != self._generation or len(got) != stop - start:
            return None
        if counts:
            self._used[first // HOLE] = self._used[(last - 1) // HOLE] = 1
            self.served += 1
        return got

    def check(self) -> None:
        """Look at the checksums of what is here and was not looked at since the start; what fails is dropped."""
        for number in self.here():
            if not self._verified[number]:
                self._verify(number)

    @property
    def looked(self) -> bytes:
        """A 1 for each block that was looked at, or stored, since the start."""
        return bytes(self._verified)

    @property
    def checked(self) -> bool:
        """Whether each block that is here was looked at, or stored, since the start."""
        return self._verified.count(1) == self._blocks

    def store(self, extent: Extent, got: bytes | bytearray | memoryview) -> int:
        """Keep `got`, whole blocks from `extent.start`; the bytes that it takes of the disk, for `settle`.

        `OSError` on a full disk; what is not whole is not marked.
        """
        view = memoryview(got)
        if len(view) != extent.size:
            raise OSError(errno.EIO, f"{len(view)} bytes came for {extent.size}")
        numbers = blocks_of(extent)
        with self._lock:
            new = self._present.find(1, numbers.start, numbers.stop) < 0 and self._storing.isdisjoint(numbers)
            mine = set(numbers) if new else {n for n in numbers if not self._present[n]} - self._storing
            if self._closed or not mine:
                return 0
            self._storing |= mine
        taken = 0
        try:
            taken += self._create()
            for run in (numbers,) if new else _runs(sorted(mine)):
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
            _write_all(self._file, bytes(4 * len(run)), _HEAD.size + 4 * run[0])
            self._give_back(run)

    def drop(self, number: int) -> None:
        """Forget block `number` if it is here, and give its space back."""
        with self._lock:
            if self._present[number]:
                self._take_for_gone([number])
                self.punch([number])

    def close(self) -> None:
        """Close the file, after a store that is under way; reads answer None from now on."""
        with self._lock:
            self._present, self._verified, self._blocks = bytearray(self._count), bytearray(self._count), 0
            self._generation += 1
            self._closed = True
            self._shut_if_over()

    def _store_run(self, run: range, got: memoryview) -> int:
        _write_all(self._file, got, self._blocks_at + run[0] * BLOCK)
        sums = array("I", (_sum(got[at : at + BLOCK]) for at in range(0, len(got), BLOCK)))
        _write_all(self._file, sums.tobytes(), _HEAD.size + 4 * run[0])
        with self._lock:
            if self._closed:
                return 0
            self._sums[run[0] : run[-1] + 1] = sums
            self._present[run[0] : run[-1] + 1] = b"\1" * len(run)
            self._verified[run[0] : run[-1] + 1] = b"\1" * len(run)  # what is verified is here: see `read`
            self._blocks += len(run)
            first, last = run[0] // HOLE, run[-1] // HOLE
            self._used[first : last + 1] = b"\1" * (last + 1 - first)
            self._unsettled += _pages(len(got))
        return _pages(len(got))

    def _shut_if_over(self) -> None:
        if self._closed and not self._storing and self._file >= 0:
            os.close(self._file)
            self._file = -1

    def _give_back(self, run: range) -> None:
        _libc.fallocate(self._file, _PUNCH_AND_KEEP_SIZE, self._blocks_at + run[0] * BLOCK, len(run) * BLOCK)

    def _take_for_gone(self, numbers: list[int]) -> None:
        for number in numbers:  # first the presence, then the generation, then the hole: see `read`
            self._present[number] = self._verified[number] = 0
            self._sums[number] = 0
        self._blocks -= len(numbers)
        self._generation += 1

    def _hold(self, first: int, last: int) -> bool:
        """Whether blocks of which some were not looked at since the start are all here and hold their checksums."""
        if self._present.find(0, first, last) >= 0:
            return False
        fails = [number for number in range(first, last) if not self._verify(number)]  # all, to be fetched at once
        return not fails

    def _verify(self, number: int) -> bool:
        with self._lock:
            if self._verified[number] or not self._present[number]:  # somebody was here first
                return bool(self._present[number])
            one = block_extent(number, self.size)
            if _sum(os.pread(self._file, one.size, self._blocks_at + one.start)) == self._sums[number]:
                self._verified[number] = 1
                return True
            self.dropped += 1
            self.drop(number)
            return False

    def _load(self) -> None:
        try:
            self._file = os.open(self.path, os.O_RDWR | os.O_CLOEXEC)
        except FileNotFoundError:
            return
        text = os.pread(self._file, _HEAD.size + 4 * self._count, 0)
        seen = os.fstat(self._file)
        if seen.st_size != self._blocks_at + self.size or not text.startswith(self._head):
            self._begin_again()
            return
        self._sums = array("I", text[_HEAD.size :])
        self._present = bytearray(map(bool, self._sums))
        self._blocks = self._present.count(1)
        if seen.st_blocks * 512 > self.held_bytes + BLOCK:  # a kill came between bytes and checksum
            for run in _runs(n for n in range(self._count) if not self._present[n]):
                self._give_back(run)

    def _begin_again(self) -> None:
        """Have no file; the one that is there is of no use."""
        os.close(self._file)
        self._file = -1
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self.path)  # noqa: PTH108  (a path object for each file is a tenth of what opening one costs)

    def _create(self) -> int:
        """Make the file if there is none; the bytes of the disk that it takes."""
        if self._file >= 0:
            return 0
        with self._making:
            return 0 if self._file >= 0 else self._made()

    def _made(self) -> int:
        anew = os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC
        try:
            made = os.open(self.path, anew, 0o600)
        except FileNotFoundError:
            Path(self.path).parent.mkdir(exist_ok=True, mode=0o700)
            made = os.open(self.path, anew, 0o600)
        try:
            os.ftruncate(made, self._blocks_at + self.size)  # first: what grows by writes is given more than it needs
            _write_all(made, self._head, 0)
        except BaseException:
            os.close(made)
            raise
        with self._lock:
            self._unsettled += self._blocks_at
            self._file = made
        return self._blocks_at

    @property
    def _head(self) -> bytes:
        return _HEAD.pack(_MAGIC, LAYOUT, BLOCK, self.size)


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
