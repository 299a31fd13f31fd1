"""A proxy in front of an archive that speaks HTTP/1.1: it counts, it delays, and it does wrong what it is told to.

with FaultyProxy("127.0.0.1", 7480) as proxy:
    proxy.faults = iter([Fault.RESET, None, Fault.PAGE])     # one for each request; afterwards none
    ...  # the client asks proxy.address
"""

from __future__ import annotations

import asyncio
import re
import socket
import struct
import threading
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Final, Self
from zlib import crc32

if TYPE_CHECKING:
    from collections.abc import Coroutine, Iterator

_PAGE: Final = b"<html><head><title>Welcome</title></head><body><a href='file'>Sign in</a></body></html>"
_HEAD_LIMIT: Final = 1 << 17
_PIECE: Final = 1 << 16


class Fault(StrEnum):
    """What goes wrong with one request."""

    REFUSED = "the connection is closed without an answer"
    RESET = "the connection is reset in the middle of the body"
    CUT = "the connection ends in the middle of the body"
    ENDLESS = "a body without its length, that ends early"
    SHORT = "a whole answer that says and holds fewer bytes"
    LONG = "a whole answer that says and holds more bytes"
    SLOW = "the body stutters, and is right"
    LATE = "the answer comes late, and is right"
    BUSY = "503 once"
    BROKEN = "500"
    GATEWAY = "502 with a page"
    UNKNOWN = "401"
    PAGE = "200 with a page"
    RANGE_IGNORED = "200 with the whole file, which is right"
    OTHER_RANGE = "206 with another part, and told so"
    OTHER_VERSION = "other bytes under another version"
    HUNG = "no answer comes, and the connection stays"
    STALLED = "the body stops in the middle, and the connection stays"


RIGHT: Final = frozenset({Fault.SLOW, Fault.LATE, Fault.BUSY, Fault.RANGE_IGNORED})
"""After these an answer can still be right, and must be."""

MORE: Final = 7
"""The bytes that LONG adds."""

HANGS: Final = frozenset({Fault.HUNG, Fault.STALLED})
"""These last until the client hangs up: for whoever has a deadline."""


@dataclass
class Counted:
    """What has passed; bytes are bodies and heads together."""

    connections: int = 0
    requests: int = 0
    bytes_up: int = 0
    bytes_down: int = 0
    faults: dict[str, int] = field(default_factory=dict)


@dataclass
class _Message:
    first: str
    headers: list[tuple[str, str]]

    def get(self, name: str) -> str:
        return next((value for key, value in self.headers if key.lower() == name), "")

    def put(self, name: str, value: str | None) -> None:
        """Replace or, with None, drop a header."""
        self.headers = [(k, v) for k, v in self.headers if k.lower() != name]
        if value is not None:
            self.headers.append((name, value))

    def bytes(self) -> bytes:
        lines = [self.first, *(f"{key}: {value}" for key, value in self.headers), "", ""]
        return "\r\n".join(lines).encode("latin-1")


class FaultyProxy:
    """On a thread and a port of its own. `faults` is asked once for each request.

    Each request takes `round_trip_seconds` more; right answers share a line of `bytes_per_second` (0: without an end).
    """

    def __init__(self, host: str, port: int, *, round_trip_seconds: float = 0.0, bytes_per_second: float = 0.0) -> None:
        self._there, self.round_trip_seconds = (host, port), round_trip_seconds
        self.bytes_per_second, self._free_at = bytes_per_second, 0.0
        self.faults: Iterator[Fault | None] = iter(())
        self.counted, self.down = Counted(), False
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="faulty proxy")
        self._clients: set[asyncio.Task[None]] = set()

    @property
    def address(self) -> str:
        """`host:port` for the client."""
        return f"127.0.0.1:{self._port}"

    def __enter__(self) -> Self:
        self._thread.start()
        self._server = self._do(asyncio.start_server(self._serve, "127.0.0.1", 0, limit=_HEAD_LIMIT))
        self._port: int = self._server.sockets[0].getsockname()[1]
        return self

    def __exit__(self, *_: object) -> None:
        self._do(self._end())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def _do(self, work: Coroutine[Any, Any, Any]) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(30)

    async def _end(self) -> None:
        self._server.close()
        for one in self._clients:
            one.cancel()
        await asyncio.gather(*self._clients, return_exceptions=True)
        await asyncio.sleep(0)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._clients.add(task)
        self.counted.connections += 1
        there: _Pair | None = None
        try:
            while not self.down and (asked := await _head(reader)) is not None:
                body = await reader.readexactly(int(asked.get("content-length") or 0))
                self.counted.requests += 1
                self.counted.bytes_up += len(asked.bytes()) + len(body)
                fault = next(self.faults, None)
                if fault is not None:
                    self.counted.faults[fault] = self.counted.faults.get(fault, 0) + 1
                await asyncio.sleep(self.round_trip_seconds + (0.15 if fault is Fault.LATE else 0))
                if (canned := _canned(fault, head=asked.first.startswith("HEAD"))) is not None:
                    self._send(writer, canned)
                    continue
                if fault is Fault.REFUSED:
                    break
                if fault is Fault.HUNG:
                    await reader.read()
                    break
                there = there or _Pair(*await asyncio.open_connection(*self._there, limit=_HEAD_LIMIT))
                _bend(asked, fault)
                there.writer.write(asked.bytes() + body)
                if not await self._pass_on(asked, there, writer, fault):
                    if fault is Fault.STALLED:
                        await reader.read()
                    break
        except (OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass
        finally:
            self._clients.discard(task)
            for one in (writer, there.writer if there else None):
                if one is not None:
                    one.close()

    async def _pass_on(self, asked: _Message, there: _Pair, writer: asyncio.StreamWriter, fault: Fault | None) -> bool:
        """Bring the answer back; says whether both connections can go on."""
        told = await _head(there.reader)
        if told is None:
            return False
        length, chunked = told.get("content-length"), "chunked" in told.get("transfer-encoding").lower()
        bodyless = asked.first.startswith("HEAD") or re.match(r"HTTP/1.. (1|204|304)", told.first) is not None
        lasts = told.get("connection").lower() != "close" and told.first.startswith("HTTP/1.1")
        if bodyless:
            if fault in _ON_BODIES:
                return False
            if fault is Fault.OTHER_VERSION:
                _other(told)
            self._send(writer, told.bytes())
            return lasts
        if length and fault is None:
            self._send(writer, told.bytes())
            left = int(length)
            while left and (piece := await there.reader.read(min(left, _PIECE))):
                await self._line_is_free(len(piece))
                self._send(writer, piece)
                await writer.drain()
                left -= len(piece)
            return lasts and not left
        whole = await (_chunks(there.reader) if chunked else there.reader.read(int(length) if length else -1))
        if length:
            whole += await there.reader.readexactly(int(length) - len(whole))
        told.put("transfer-encoding", None)
        await self._spoilt(told, whole, writer, fault)
        return lasts and bool(length or chunked) and fault not in _BROKEN_OFF

    async def _line_is_free(self, size: int) -> None:
        if self.bytes_per_second:
            now = self._loop.time()
            self._free_at = max(self._free_at, now) + size / self.bytes_per_second
            await asyncio.sleep(self._free_at - now)

    async def _spoilt(self, told: _Message, whole: bytes, writer: asyncio.StreamWriter, fault: Fault | None) -> None:
        sent = whole
        if fault in _BROKEN_OFF or fault is Fault.SHORT:
            sent = whole[: len(whole) // 2]
        elif fault is Fault.LONG:
            sent = whole + bytes(MORE)
        elif fault is Fault.OTHER_VERSION:
            sent = bytes(255 - one for one in whole)
            _other(told)
        promised = whole if fault in _BROKEN_OFF else sent
        told.put("content-length", None if fault is Fault.ENDLESS else str(len(promised)))
        if fault is Fault.ENDLESS:
            told.put("connection", "close")
        self._send(writer, told.bytes())
        step = max(1, len(sent) // 5) if fault is Fault.SLOW else max(1, len(sent))
        for start in range(0, len(sent), step):
            self._send(writer, sent[start : start + step])
            await writer.drain()
            await asyncio.sleep(0.01 if fault is Fault.SLOW else 0)
        if fault is Fault.RESET:
            await asyncio.sleep(0.01)
            writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

    def _send(self, writer: asyncio.StreamWriter, data: bytes) -> None:
        self.counted.bytes_down += len(data)
        writer.write(data)


@dataclass
class _Pair:
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter


_BROKEN_OFF: Final = frozenset({Fault.RESET, Fault.CUT, Fault.ENDLESS, Fault.STALLED})
_ON_BODIES: Final = _BROKEN_OFF | {Fault.SHORT, Fault.LONG}


async def _head(reader: asyncio.StreamReader) -> _Message | None:
    try:
        lines = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
    except asyncio.IncompleteReadError:
        return None
    pairs = [line.partition(":") for line in lines[1:] if line]
    return _Message(lines[0], [(key, value.strip()) for key, _, value in pairs])


async def _chunks(reader: asyncio.StreamReader) -> bytes:
    body = bytearray()
    while size := int((await reader.readline()).split(b";")[0], 16):
        body += await reader.readexactly(size)
        await reader.readexactly(2)
    while await reader.readline() not in {b"\r\n", b""}:
        pass
    return bytes(body)


def _canned(fault: Fault | None, *, head: bool) -> bytes | None:
    """The whole answer of a fault that asks nobody."""
    first = {
        Fault.BUSY: "503 Slow Down",
        Fault.BROKEN: "500 Internal Server Error",
        Fault.GATEWAY: "502 Bad Gateway",
        Fault.UNKNOWN: "401 Unauthorized",
        Fault.PAGE: "200 OK",
    }.get(fault) if fault else None  # fmt: skip
    if first is None:
        return None
    headers = [("Content-Type", "text/html"), ("Content-Length", str(len(_PAGE))), ("Retry-After", "0")]
    return _Message(f"HTTP/1.1 {first}", headers).bytes() + (b"" if head else _PAGE)


def _bend(asked: _Message, fault: Fault | None) -> None:
    """Change what is asked, for faults of ranges."""
    told = re.fullmatch(r"bytes=(\d+)-(\d*)", asked.get("range"))
    if fault is Fault.RANGE_IGNORED:
        asked.put("range", None)
    elif fault is Fault.OTHER_RANGE and told is not None:
        asked.put("range", f"bytes={int(told[1]) + 1}-{told[2] and int(told[2]) + 1}")


def _other(told: _Message) -> None:
    """Tell it as another version: of each version that there is another one."""
    size = told.get("content-range").rpartition("/")[2] or told.get("content-length")
    real = f"{told.get('etag')} {told.get('last-modified')} {size}"
    told.put("etag", f'"another-version-{crc32(real.encode()):08x}"')
    told.put("last-modified", "Thu, 01 Jan 2015 00:00:00 GMT")
