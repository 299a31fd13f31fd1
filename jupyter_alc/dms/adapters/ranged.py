"""The ranged GET of every archive that speaks HTTP: exactly the bytes asked for, of that version, or an error."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING

from jupyter_alc.dms.adapters.checksums import WANTED, checksum_in
from jupyter_alc.dms.adapters.interface import AnsweredBadly
from jupyter_alc.dms.adapters.pipes import Part, broke_off
from jupyter_alc.dms.adapters.versions import body_size, changed, condition, content_range, must_be, size_in, size_of

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping
    from contextlib import AbstractAsyncContextManager

    import aiohttp

    from jupyter_alc.dms.adapters.interface import Take
    from jupyter_alc.dms.adapters.pipes import Judge
    from jupyter_alc.dms.adapters.versions import Answer

FINE = frozenset({200, 206})
HEADED = frozenset({200, 412})


class RangedReads(ABC):
    """The reading half of an adapter whose files are GET over HTTP."""

    @abstractmethod
    def _get(self, path: str, headers: Mapping[str, str]) -> AbstractAsyncContextManager[aiohttp.ClientResponse]:
        """GET `path` with these headers; whatever is not `FINE` becomes one of our errors."""

    @abstractmethod
    async def _piped(self, path: str, headers: Mapping[str, str], judge: Judge, take: Take) -> None:
        """The same through a pipe."""

    @abstractmethod
    def _head(self, path: str, headers: Mapping[str, str]) -> AbstractAsyncContextManager[aiohttp.ClientResponse]:
        """HEAD `path` with these headers; whatever is neither 200 nor 412 becomes one of our errors."""

    async def checksum(self, path: str, if_token: str) -> str:
        """What the head of the file tells of its bytes, if it is still that version."""
        async with self._head(
            path, WANTED
        ) as answer:  # unconditional: there are servers that refuse a HEAD with a body
            must_be(answer, path, if_token)
            return checksum_in(answer.headers)

    async def read_range(self, path: str, start: int, stop: int, if_token: str) -> bytearray:
        """What `fill` takes, in one buffer that is the caller's."""
        buffer = bytearray(stop - start)

        def take(at: int, piece: memoryview) -> None:
            buffer[at - start : at - start + len(piece)] = piece

        await self.fill(path, start, stop, if_token, take)
        return buffer

    async def fill(self, path: str, start: int, stop: int, if_token: str, take: Take) -> None:
        """One GET of `bytes=start-(stop-1)`, with If-Match and a look at the ETag that came back."""
        if start >= stop:
            return

        def judge(answer: Answer) -> Part | None:
            return part_of(answer, path, start, stop, if_token) if answer.status in FINE else None

        await self._piped(path, range_headers(start, stop, if_token), judge, take)

    async def open_stream(self, path: str, start: int, if_token: str) -> AsyncIterator[bytes]:
        """One GET of `bytes=start-`, its body as it comes."""
        async with self._get(path, range_headers(start, None, if_token)) as answer:
            async for piece in pieces(answer, path, start, if_token):
                yield piece


def range_headers(start: int, stop: int | None, if_token: str) -> dict[str, str]:
    """What to send to get `start`..`stop` (None: to the end) of the version `if_token`."""
    return {**condition(if_token), "Range": f"bytes={start}-{'' if stop is None else stop - 1}"}


def part_of(answer: Answer, path: str, start: int, stop: int, if_token: str) -> Part:
    """Which part of the answer's body the bytes `start`..`stop` are.

    A server that ignored the range is read up to `stop`. Another version, or a file that cannot hold the range, is
    `VersionChanged`; another range, a shorter or a longer body is `ArchiveUnreachable`.
    """
    must_be(answer, path, if_token)
    size = size_of(answer)
    if size is not None and size < stop:
        raise changed(path)
    if answer.status == 200:
        return Part(start, skip=start, size=stop - start, longer=True)
    told = content_range(answer.headers)
    if told is None or told[:2] != (start, stop) or body_size(answer) not in {None, stop - start}:
        raise _another_part()
    return Part(start, skip=0, size=stop - start, longer=False)


async def pieces(answer: aiohttp.ClientResponse, path: str, start: int, if_token: str) -> AsyncIterator[bytes]:
    """The bytes from `start` to the end as they come; what ends before the end is `ArchiveUnreachable`."""
    try:
        size, position = _whole(answer, path, start, if_token)
    except BaseException:
        answer.close()
        raise
    async for piece in _chunks(answer):
        first, position = position, position + len(piece)
        if size is not None and position > size:
            break
        if first >= start:
            yield piece
        elif position > start:
            yield piece[start - first :]
    if size is not None and position != size:
        raise broke_off()


def _whole(answer: Answer, path: str, start: int, if_token: str) -> tuple[int | None, int]:
    """The size of the file where it is told, and where in it the answer's body begins."""
    must_be(answer, path, if_token)
    size = size_of(answer)
    size = size_in(if_token) if size is None else size
    if answer.status != 206:
        return size, 0
    told = content_range(answer.headers)
    whole = told is not None and (told[0], told[1]) == (start, told[2])
    if told is None or not whole or body_size(answer) not in {None, told[1] - start}:
        raise _another_part()
    return size, start


async def _chunks(answer: aiohttp.ClientResponse) -> AsyncIterator[bytes]:
    """Pieces as the socket gave them, never joined."""
    while True:
        piece, ended = await answer.content.readchunk()
        if piece:
            yield piece
        elif not ended:
            return


def _another_part() -> AnsweredBadly:
    return AnsweredBadly("The archive sent another part of the file.", next_step="Try again.")
