"""The bytes of a GET by threads: out of the socket into one buffer that is used again, and on to whoever takes them.

A thread that waits in `recv` costs nothing, and what it brings is copied by nobody else and never joined: that is
three times as fast as an event loop's streams, at a third of the processor's time.
"""

from __future__ import annotations

import asyncio
import contextlib
import http.client
import socket
import ssl
import struct
import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final, cast

from jupyter_alc.core.errors import ArchiveUnreachable
from jupyter_alc.dms.adapters.interface import Take  # noqa: TC001  (an alias is built of it)

if TYPE_CHECKING:
    from yarl import URL

MOST: Final = 64
_PIECE: Final = 256 * 1024
_SLOW_PIECE: Final = 64 * 1024
_SLOW_SECONDS: Final = 0.25  # for a piece: the next ones are smaller, so that somebody has them sooner
_QUICK_PIECE: Final = 1024 * 1024  # each piece costs the processor something
_QUICK_SECONDS: Final = 0.04  # for one of that size
_BLOCK: Final = 64 * 1024  # whole ones are kept of a piece that broke off
_CONNECT_SECONDS: Final = 10.0
_SILENT_SECONDS: Final = 60  # whoever asks has a deadline of their own; this one ends a thread that nobody waits for
_IDLE_SECONDS: Final = 30.0
_MOST_TOLD: Final = 1 << 16
_SHUTDOWN: Final = socket.socket.shutdown  # not that of TLS, which would let ciphertext through


@dataclass(frozen=True, slots=True)
class Head:
    """An answer without its bytes; of one of which no part is wanted `body` holds the first 64 KiB, or all."""

    status: int
    headers: Mapping[str, str]
    body: bytes = b""


@dataclass(frozen=True, slots=True)
class Part:
    """What is wanted of a body: `size` bytes behind the first `skip`, which begin at `start` of the file.

    `longer`: more may follow, and is not waited for.
    """

    start: int
    skip: int
    size: int
    longer: bool


Judge = Callable[[Head], Part | None]
"""What is wanted of an answer, None: nothing; or one of our errors. On a thread."""


class Pipes:
    """Connections to whatever servers are asked, each used again while it lasts. For one event loop."""

    def __init__(self) -> None:
        self._threads = ThreadPoolExecutor(MOST, "alc-pipe")
        self._own = threading.local()
        self._lock = threading.Lock()
        self._idle: dict[tuple[str, str, int], list[tuple[float, http.client.HTTPConnection]]] = {}
        self._tls: ssl.SSLContext | None = None
        self._closed = False

    async def get(self, url: URL, headers: Mapping[str, str], judge: Judge, take: Take, *, whole: bool = False) -> Head:
        """Send one GET and hand what is wanted of its body to `take`, in order; `whole`: `body` holds all of any other.

        `OSError` and `http.client.HTTPException` for what breaks. Whoever is cancelled here hangs up; `take` is called
        no more when this has returned.
        """
        asked = _Asked(url, headers, judge, take, whole=whole)
        done = self._threads.submit(self._get, asked)
        try:
            return await asyncio.wrap_future(done)
        except asyncio.CancelledError:
            if not done.cancel() and asked.give_up():
                ends = asyncio.wrap_future(done)
                ends.add_done_callback(lambda one: one.cancelled() or one.exception())  # heard, and of no interest
                while not done.done():
                    with contextlib.suppress(asyncio.CancelledError):
                        await asyncio.wait([ends])
            raise

    async def dial(self, url: URL) -> None:
        """Have a connection to the server of `url` that the next question finds; `OSError` where there is none."""
        asked = _Asked(url, {}, lambda _: None, lambda *_: None)
        done = self._threads.submit(self._dialled, asked)
        try:
            await asyncio.wrap_future(done)
        except asyncio.CancelledError:
            if not done.cancel():
                asked.give_up()
            raise

    def _dialled(self, asked: _Asked) -> None:
        with self._lock:
            kept = self._idle.get(asked.origin)
            if kept and time.monotonic() - kept[-1][0] < _IDLE_SECONDS:
                return
        connection = self._dial(asked)
        if asked.given_up:
            connection.close()
        else:
            self._keep(asked, connection)

    def close(self) -> None:
        """Hang up where nobody is asked."""
        with self._lock:
            self._closed = True
            idle, self._idle = self._idle, {}
        for kept in idle.values():
            for _, connection in kept:
                connection.close()
        self._threads.shutdown(wait=False, cancel_futures=True)

    def _get(self, asked: _Asked) -> Head:
        connection, answer = self._answered(asked)
        again = False
        lasts = not answer.will_close
        try:
            head = Head(answer.status, cast("Mapping[str, str]", answer.headers))
            part = asked.judge(head)
            if part is None:
                head = replace(head, body=answer.read(None if asked.whole else _MOST_TOLD))
            elif asked.may_take():
                self._take(_Body(answer, connection.sock if lasts else None), part, asked)
            again = lasts and answer.isclosed() and not asked.given_up
        finally:
            if again:
                self._keep(asked, connection)
            else:
                answer.close()
                connection.close()
        return head

    def _answered(self, asked: _Asked) -> tuple[http.client.HTTPConnection, http.client.HTTPResponse]:
        """A connection and what it answers; a kept one may have been closed over there: then a new one is asked."""
        while True:
            connection = self._kept(asked)
            kept = connection is not None
            if connection is None:
                connection = self._dial(asked)
            try:
                asked.holds(connection.sock)
                connection.request("GET", asked.url.raw_path_qs, headers=dict(asked.headers))
                return connection, connection.getresponse()
            except BaseException as error:
                connection.close()
                if not (kept and isinstance(error, ConnectionError | http.client.BadStatusLine)):
                    raise

    def _take(self, body: _Body, part: Part, asked: _Asked) -> None:
        if body.left is None and not part.longer:  # it may turn out to be another's: looked at before it is taken
            whole = bytearray(part.size + 1)
            if body.read(memoryview(whole)) != part.size:
                raise broke_off()
            asked.take(part.start, memoryview(whole)[: part.size])
            return
        buffer = self._buffer()
        left = part.skip
        while left:
            step = body.read(buffer[: min(left, len(buffer))])
            if not step or asked.given_up:
                raise broke_off()
            left -= step
        at, stop, most = part.start, part.start + part.size, _PIECE
        while at < stop:
            began, wanted = time.monotonic(), min(stop - at, most)
            buffer = self._buffer(wanted)
            got = body.read(buffer[:wanted])
            took = time.monotonic() - began
            kept = got if got == wanted else got // _BLOCK * _BLOCK
            if kept and not asked.given_up:
                asked.take(at, buffer[:kept])
            if got < wanted or asked.given_up:
                raise broke_off()
            at += got
            most = _next_piece(got, took)

    def _buffer(self, size: int = _PIECE) -> memoryview:
        """This thread's, of `size` bytes at least."""
        if not hasattr(self._own, "buffer") or len(self._own.buffer) < size:
            self._own.buffer = memoryview(bytearray(size))
        buffer: memoryview = self._own.buffer
        return buffer

    def _kept(self, asked: _Asked) -> http.client.HTTPConnection | None:
        with self._lock:
            kept = self._idle.get(asked.origin, [])
            while kept:
                since, connection = kept.pop()
                if time.monotonic() - since < _IDLE_SECONDS:
                    return connection
                connection.close()
        return None

    def _keep(self, asked: _Asked, connection: http.client.HTTPConnection) -> None:
        with self._lock:
            if not self._closed and connection.sock is not None:
                self._idle.setdefault(asked.origin, []).append((time.monotonic(), connection))
                return
        connection.close()

    def _dial(self, asked: _Asked) -> http.client.HTTPConnection:
        scheme, host, port = asked.origin
        line = _connected(asked, host, port)
        try:
            line.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if scheme == "https":
                with self._lock:
                    self._tls = self._tls or ssl.create_default_context()
                line = self._tls.wrap_socket(line, server_hostname=host)
            line.settimeout(None)  # the kernel's own, since Python's costs a call more for each read
            for option in (socket.SO_RCVTIMEO, socket.SO_SNDTIMEO):
                line.setsockopt(socket.SOL_SOCKET, option, struct.pack("ll", _SILENT_SECONDS, 0))
        except BaseException:
            line.close()
            raise
        kind = http.client.HTTPSConnection if scheme == "https" else http.client.HTTPConnection
        connection = kind(host, port)
        connection.sock = line
        return connection


class _Body:
    """The body of an answer; `left` of it is still to be read, where that is told.

    What http.client has not buffered is read from the `line` itself, where there is one and the size is told: one call
    for each piece, in which other threads go on.
    """

    def __init__(self, answer: http.client.HTTPResponse, line: socket.socket | None) -> None:
        self._answer, self.left = answer, answer.length
        self._line = line if self.left is not None else None
        self._flags = 0 if isinstance(line, ssl.SSLSocket) else socket.MSG_WAITALL
        self._buffered = len(answer.peek()) if self._line is not None else 0

    def read(self, into: memoryview) -> int:
        """Fill `into`; how many bytes there were, fewer only at the end or where it broke off."""
        got = 0
        with contextlib.suppress(OSError):
            while got < len(into) and (step := self._step(into[got:])):
                got += step
        return got

    def _step(self, into: memoryview) -> int:
        if self._line is None or self.left is None:
            return self._answer.readinto(into) or 0
        if self._buffered:
            step = self._answer.readinto(into[: self._buffered])
            self._buffered -= step
        else:
            into = into[: self.left]
            step = self._line.recv_into(into, len(into), self._flags) if into else 0
        self.left -= step
        if not self.left:
            self._answer.close()
        return step


class _Asked:
    """One GET, between the loop that may give it up and the thread that carries it out."""

    def __init__(self, url: URL, headers: Mapping[str, str], judge: Judge, take: Take, *, whole: bool = False) -> None:
        self.url, self.headers, self.judge, self.take, self.whole = url, headers, judge, take, whole
        self.origin = (url.scheme, url.raw_host or "", url.port or 0)
        self.given_up = self._taking = False
        self._line: socket.socket | None = None
        self._lock = threading.Lock()

    def holds(self, line: socket.socket | None) -> None:
        """Say which line to cut when this is given up; `ConnectionError` when it is already."""
        with self._lock:
            if self.given_up:
                raise ConnectionAbortedError
            self._line = line

    def may_take(self) -> bool:
        """Begin to take, unless it was given up."""
        with self._lock:
            self._taking = not self.given_up
            return self._taking

    def give_up(self) -> bool:
        """Cut the line; whether something is being taken."""
        with self._lock:
            self.given_up = True
            if self._line is not None:
                with contextlib.suppress(OSError):
                    _SHUTDOWN(self._line, socket.SHUT_RDWR)
            return self._taking


def _next_piece(size: int, seconds: float) -> int:
    """How large the piece after one of `size` bytes that took so long is; at most twice as large."""
    if seconds * _PIECE > _SLOW_SECONDS * size:
        return _SLOW_PIECE
    quick = seconds * _QUICK_PIECE < _QUICK_SECONDS * size
    return min(2 * max(size, _SLOW_PIECE), _QUICK_PIECE if quick else _PIECE)


def broke_off() -> ArchiveUnreachable:
    """What is said of a body that ends before its end."""
    return ArchiveUnreachable("The archive broke off in the middle of a file.", next_step="Try again.")


def _connected(asked: _Asked, host: str, port: int) -> socket.socket:
    """A connection to the first address that takes it."""
    refused: OSError = ConnectionRefusedError()
    for family, kind, protocol, _, address in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM):
        line = socket.socket(family, kind, protocol)
        try:
            asked.holds(line)
            line.settimeout(_CONNECT_SECONDS)
            line.connect(address)
        except OSError as error:
            line.close()
            refused = error
        else:
            return line
    raise refused
