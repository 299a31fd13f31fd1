"""A TCP proxy before an archive: counts bytes and HTTP requests, and delays what is asked; it never throttles.

A process of its own. Answers go from socket to socket by splice, so that they are never copied into Python; what is
asked is small, is looked at, and leaves `delay` seconds after it came. Connecting is not delayed.

python proxy.py HOST PORT     prints its port, then answers the lines `counts` and `delay SECONDS`
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import queue
import re
import socket
import subprocess
import sys
import threading
import time
from dataclasses import dataclass
from typing import Final, Self

_PIECE: Final = 1 << 20
_SET_PIPE_SIZE: Final = 1031
_HEAD = re.compile(rb"^([A-Z]+) \S+ HTTP/1\.[01]\r\n", re.MULTILINE)
_LENGTH = re.compile(rb"^content-length: *(\d+)\r$", re.MULTILINE | re.IGNORECASE)
_RANGE = re.compile(rb"^range: *bytes=", re.MULTILINE | re.IGNORECASE)


@dataclass(frozen=True)
class Counts:
    """What has passed: requests, those of them that are GETs of a range, bytes to the client, bytes from it."""

    requests: int = 0
    ranges: int = 0
    down: int = 0
    up: int = 0

    def __sub__(self, before: Counts) -> Counts:
        return Counts(
            self.requests - before.requests, self.ranges - before.ranges, self.down - before.down, self.up - before.up
        )


class Asked:
    """Counts the requests in a stream of bytes that may be cut anywhere."""

    def __init__(self) -> None:
        self.requests = self.ranges = 0
        self._head, self._body = b"", 0

    def feed(self, data: bytes) -> None:
        """Look at the next piece."""
        while data:
            passed = min(self._body, len(data))
            self._body -= passed
            self._head += data[passed:]
            head, end, data = self._head.partition(b"\r\n\r\n")
            if not end:
                return
            self._head = b""
            self.requests += 1
            head += b"\r\n"
            started = _HEAD.match(head)
            if started is not None and started[1] == b"GET" and _RANGE.search(head):
                self.ranges += 1
            told = _LENGTH.search(head)
            self._body = int(told[1]) if told else 0


class Connection:
    """One client's connection and its own to the server, until either ends."""

    def __init__(self, client: socket.socket, server: socket.socket, line: Line) -> None:
        self.client, self.server, self.line = client, server, line
        self.asked, self.down, self.up = Asked(), 0, 0
        for one in (client, server):
            one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def start(self) -> None:
        """Pass on both ways, each in a thread."""
        threading.Thread(target=self._ask, daemon=True).start()
        threading.Thread(target=self._answer, daemon=True).start()

    def _answer(self) -> None:
        come, go = os.pipe()
        fcntl.fcntl(go, _SET_PIPE_SIZE, _PIECE)
        here, there = self.client.fileno(), self.server.fileno()
        with contextlib.suppress(OSError):
            while held := os.splice(there, go, _PIECE):
                self.down += held
                while held:
                    held -= os.splice(come, here, held)
        for number in (come, go):
            os.close(number)
        for one in (self.client, self.server):  # wakes the other thread as well
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)

    def _ask(self) -> None:
        late: queue.SimpleQueue[tuple[float, bytes]] = queue.SimpleQueue()
        sender = threading.Thread(target=self._send_late, args=(late,), daemon=True)
        sender.start()
        data = b"first"
        while data:
            try:
                data = self.client.recv(_PIECE)
            except OSError:
                data = b""
            self.up += len(data)
            self.asked.feed(data)
            late.put((time.monotonic() + self.line.delay, data))
        sender.join()
        self.client.close()
        self.server.close()

    def _send_late(self, late: queue.SimpleQueue[tuple[float, bytes]]) -> None:
        with contextlib.suppress(OSError):
            while True:
                due, data = late.get()
                if (wait := due - time.monotonic()) > 0:
                    time.sleep(wait)
                if not data:
                    self.server.shutdown(socket.SHUT_WR)
                    return
                self.server.sendall(data)


class Line:
    """The way to one server: all connections of it, and the delay."""

    def __init__(self, host: str, port: int) -> None:
        self.there, self.delay = (host, port), 0.0
        self._ever: list[Connection] = []
        self._door = socket.create_server(("127.0.0.1", 0), backlog=256)
        self.port: int = self._door.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def counts(self) -> Counts:
        """All that has passed since the start."""
        ever = list(self._ever)
        return Counts(
            sum(one.asked.requests for one in ever),
            sum(one.asked.ranges for one in ever),
            sum(one.down for one in ever),
            sum(one.up for one in ever),
        )

    def _accept(self) -> None:
        while True:
            client, _ = self._door.accept()
            try:
                one = Connection(client, socket.create_connection(self.there), self)
            except OSError:
                client.close()
                continue
            self._ever.append(one)
            one.start()


class Proxy:
    """The proxy as a process, from the outside."""

    def __init__(self, host: str, port: int) -> None:
        command = [sys.executable, "-P", __file__, host, str(port)]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.pid = self._process.pid
        self.address = f"127.0.0.1:{int(self._answer())}"

    def counts(self) -> Counts:
        """What has passed until now."""
        return Counts(**json.loads(self._ask("counts")))

    def delay(self, seconds: float) -> None:
        """Let each request be so much later from now on."""
        self._ask(f"delay {seconds}")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        self._process.wait(10)
        self._process.stdout.close()

    def _ask(self, line: str) -> str:
        assert self._process.stdin is not None
        self._process.stdin.write(f"{line}\n")
        self._process.stdin.flush()
        return self._answer()

    def _answer(self) -> str:
        assert self._process.stdout is not None
        return self._process.stdout.readline()


def main() -> None:
    """Serve until standard input ends."""
    line = Line(sys.argv[1], int(sys.argv[2]))
    sys.stdout.write(f"{line.port}\n")
    sys.stdout.flush()
    for asked in sys.stdin:
        verb, _, value = asked.strip().partition(" ")
        if verb == "delay":
            line.delay = float(value)
        sys.stdout.write(json.dumps(vars(line.counts())) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
