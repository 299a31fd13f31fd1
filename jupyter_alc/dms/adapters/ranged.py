"""The ranged GET of every archive that speaks HTTP: exactly the bytes asked for, of that version, or an error."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING

from jupyter_alc.core.errors import ArchiveUnreachable
from jupyter_alc.dms.adapters.interface import AnsweredBadly
from jupyter_alc.dms.adapters.versions import changed, condition, content_range, must_be, size_in, size_of

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping
    from contextlib import AbstractAsyncContextManager

    import aiohttp

FINE = frozenset({200, 206})


class RangedReads(ABC):
    """The reading half of an adapter whose files are GET over HTTP."""

    @abstractmethod
    def _get(self, path: str, headers: Mapping[str, str]) -> AbstractAsyncContextManager[aiohttp.ClientResponse]:
        """GET `path` with these headers; whatever is not `FINE` becomes one of our errors."""

    async def read_range(self, path: str, start: int, stop: int, if_token: str) -> bytearray:
        """One GET of `bytes=start-(stop-1)`, with If-Match and a look at the ETag that came back."""
        if start >= stop:
            return bytearray()
        async with self._get(path, range_headers(start, stop, if_token)) as answer:
            return await taken(answer, path, start, stop, if_token)

    async def open_stream(self, path: str, start: int, if_token: str) -> AsyncIterator[bytes]:
        """One GET of `bytes=start-`, its body as it comes."""
        async with self._get(path, range_headers(start, None, if_token)) as answer:
            async for piece in pieces(answer, path, start, if_token):
                yield piece


def range_headers(start: int, stop: int | None, if_token: str) -> dict[str, str]:
    """What to send to get `start`..`stop` (None: to the end) of the version `if_token`."""
    return {**condition(if_token), "Range": f"bytes={start}-{'' if stop is None else stop - 1}"}


async def taken(answer: aiohttp.ClientResponse, path: str, start: int, stop: int, if_token: str) -> bytearray:
    """The bytes out of the answer, in one buffer that is the caller's.

    A server that ignored the range is read up to `stop`. Another version, or a file that cannot hold the range, is
    `VersionChanged`; another range, a short or a longer body is `ArchiveUnreachable`.
    """
    must_be(answer, path, if_token)
    size = size_of(answer)
    if size is not None and size < stop:
        answer.close()
        raise changed(path)
    if answer.status == 200:
        return await _filled(answer, skip=start, wanted=stop - start, longer=True)
    told = content_range(answer.headers)
    if told is None or told[:2] != (start, stop) or answer.content_length not in {None, stop - start}:
        answer.close()
        raise AnsweredBadly("The archive sent another part of the file.", next_step="Try again.")
    return await _filled(answer, skip=0, wanted=stop - start, longer=False)


async def pieces(answer: aiohttp.ClientResponse, path: str, start: int, if_token: str) -> AsyncIterator[bytes]:
    """The bytes from `start` to the end as they come; what ends before the end is `ArchiveUnreachable`."""
    must_be(answer, path, if_token)
    size, position = size_of(answer), 0
    size = size_in(if_token) if size is None else size
    if answer.status == 206:
        told = content_range(answer.headers)
        whole = told is not None and (told[0], told[1]) == (start, told[2])
        if told is None or not whole or answer.content_length not in {None, told[1] - start}:
            answer.close()
            raise AnsweredBadly("The archive sent another part of the file.", next_step="Try again.")
        position = start
    async for piece in _chunks(answer):
        first, position = position, position + len(piece)
        if size is not None and position > size:
            break
        if first >= start:
            yield piece
        elif position > start:
            yield piece[start - first :]
    if size is not None and position != size:
        raise _broke_off()


async def _filled(answer: aiohttp.ClientResponse, *, skip: int, wanted: int, longer: bool) -> bytearray:
    buffer, position = bytearray(wanted), -skip
    async for piece in _chunks(answer):
        first, position = position, position + len(piece)
        if first >= 0 and position <= wanted:
            buffer[first:position] = piece
            continue
        if position > 0:
            inside = memoryview(piece)[max(0, -first) : len(piece) - max(0, position - wanted)]
            buffer[max(0, first) : max(0, first) + len(inside)] = inside
        if position >= wanted:
            break
    if position < wanted or (position > wanted and not longer):
        answer.close()
        raise _broke_off()
    if longer and not answer.content.at_eof():
        answer.close()  # the rest is not wanted: hang up
    return buffer


async def _chunks(answer: aiohttp.ClientResponse) -> AsyncIterator[bytes]:
    """Pieces as the socket gave them, never joined."""
    while True:
        piece, ended = await answer.content.readchunk()
        if piece:
            yield piece
        elif not ended:
            return


def _broke_off() -> ArchiveUnreachable:
    return ArchiveUnreachable("The archive broke off in the middle of a file.", next_step="Try again.")
