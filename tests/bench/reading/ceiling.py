"""What the proxy itself lets pass: bytes from memory through it into nothing, over several connections at once."""

from __future__ import annotations

import os
import socket
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Final

from bench.reading.measuring import cpu_seconds
from bench.reading.proxy import Proxy

_PIECE: Final = 64 << 20
_REQUEST: Final = b"GET / HTTP/1.1\r\nRange: bytes=0-\r\n\r\n"


def measure(pieces: int = 8, connections: int = 4) -> dict[str, float]:
    """MiB/s and processor seconds per GiB; the sender and the taker share the cores with it."""
    total = connections * pieces * _PIECE
    with tempfile.TemporaryFile() as source, socket.create_server(("127.0.0.1", 0)) as door:
        source.write(bytes(_PIECE))
        source.flush()
        threading.Thread(target=_serve, args=(door, source.fileno(), pieces, connections), daemon=True).start()
        with Proxy("127.0.0.1", door.getsockname()[1]) as proxy, ThreadPoolExecutor(connections) as pool:
            used, since = cpu_seconds(proxy.pid), time.perf_counter()
            taken = sum(pool.map(_take, [proxy.address] * connections))
            seconds, cpu = time.perf_counter() - since, cpu_seconds(proxy.pid) - used
            counted = proxy.counts()
    assert taken == counted.down == total
    assert counted.ranges == connections
    return {"MiB/s": total / seconds / (1 << 20), "CPU-s per GiB": cpu * (1 << 30) / total}


def _serve(door: socket.socket, source: int, pieces: int, connections: int) -> None:
    for _ in range(connections):
        threading.Thread(target=_send, args=(door.accept()[0], source, pieces), daemon=True).start()


def _send(client: socket.socket, source: int, pieces: int) -> None:
    with client:
        client.recv(1 << 16)
        for _ in range(pieces):
            place = 0
            while place < _PIECE:
                place += os.sendfile(client.fileno(), source, place, _PIECE - place)


def _take(address: str) -> int:
    host, _, port = address.partition(":")
    buffer, taken = bytearray(1 << 20), 0
    with socket.create_connection((host, int(port))) as there:
        there.sendall(_REQUEST)
        while held := there.recv_into(buffer):
            taken += held
    return taken
