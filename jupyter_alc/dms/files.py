"""File objects of `dms://`: aligned small reads from memory, writes gathered aside and put in place at close."""

from __future__ import annotations

import secrets
import tempfile
from collections import OrderedDict
from typing import IO, TYPE_CHECKING, Any, Final

from fsspec.spec import AbstractBufferedFile

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

BLOCK_BYTES: Final = 64 * 1024  # the presence grid of the engine: an aligned block never makes it fetch a second one
_KEPT_BLOCKS: Final = 32
_IN_MEMORY_BYTES: Final = 16 << 20
PIECE_BYTES: Final = 1 << 20


class AlignedBlocks:
    """Small reads are served from the last few aligned blocks, large ones pass through: no byte is read ahead."""

    def __init__(self, fetch: Callable[[int, int], bytes], size: int) -> None:
        self._fetch = fetch
        self._size = size
        self._kept: OrderedDict[int, bytes] = OrderedDict()

    def read(self, start: int, stop: int) -> bytes:
        """Return the bytes `start`..`stop`, fewer at the end of the file."""
        stop = min(stop, self._size)
        if stop - start >= BLOCK_BYTES:
            return self._fetch(start, stop)
        first, last = start // BLOCK_BYTES, max(start, stop - 1) // BLOCK_BYTES
        whole = b"".join(self._block(number) for number in range(first, last + 1))
        return whole[start - first * BLOCK_BYTES : stop - first * BLOCK_BYTES]

    def _block(self, number: int) -> bytes:
        if number not in self._kept:
            start = number * BLOCK_BYTES
            self._kept[number] = self._fetch(start, min(start + BLOCK_BYTES, self._size))
            while len(self._kept) > _KEPT_BLOCKS:
                self._kept.popitem(last=False)
        self._kept.move_to_end(number)
        return self._kept[number]


class DmsFile(AbstractBufferedFile):  # type: ignore[misc]  # fsspec is used without types
    """One open file. Reads are one stream of the version seen at open; a write becomes visible, whole, at close."""

    DEFAULT_BLOCK_SIZE = PIECE_BYTES

    def __init__(self, fs: Any, path: str, mode: str = "rb", **options: Any) -> None:
        if options.get("cache_type") in {None, "default"}:
            options["cache_type"] = "none"  # the aligned blocks below, and the daemon's cache behind them
        self._aside: IO[bytes] | None = None
        if mode == "xb":
            fs.refuse_taken(path)
        super().__init__(fs, path, mode, **options)
        if mode == "rb":
            self._token = str(self.details.get("token", ""))
            self._reader = secrets.token_hex(8)
            self._blocks = AlignedBlocks(self._ask, self.size)

    def _ask(self, start: int, stop: int) -> bytes:
        content: bytes = self.fs.read_version(self.path, start, stop, self._token, self._reader)
        return content

    def _fetch_range(self, start: int, end: int) -> bytes:
        return self._blocks.read(start, end)

    def _initiate_upload(self) -> None:
        self._aside = tempfile.SpooledTemporaryFile(max_size=_IN_MEMORY_BYTES)  # noqa: SIM115  (closed at commit)
        if self.mode == "ab" and self.fs.isfile(self.path):
            self._aside.write(self.fs.cat_file(self.path))

    def _upload_chunk(self, final: bool = False) -> bool:
        assert self._aside is not None
        self._aside.write(self.buffer.getvalue())
        if final and self.autocommit:
            self.commit()
        return True

    def commit(self) -> None:
        """Put what was written in its place."""
        if self._aside is not None:
            with self._aside as aside:
                aside.seek(0)
                self.fs.put_pieces(self.path, pieces_of(aside), exclusive=self.mode == "xb")
            self._aside = None

    def discard(self) -> None:
        """Forget what was written."""
        if self._aside is not None:
            self._aside.close()
            self._aside = None


async def pieces_of(source: IO[bytes]) -> AsyncIterator[bytes]:
    """Give a file on this computer in pieces."""
    while piece := source.read(PIECE_BYTES):
        yield piece


async def one_piece(content: bytes) -> AsyncIterator[bytes]:
    """Give bytes in memory as pieces."""
    for start in range(0, len(content), PIECE_BYTES):
        yield content[start : start + PIECE_BYTES]
