"""Which TCP sockets a process holds, as the kernel tells it (/proc). Linux only."""

from __future__ import annotations

import contextlib
import socket
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable

_LISTEN, _ESTABLISHED = "0A", "01"
_LOOPBACK: Final = ("127.", "::1", "::ffff:127.")


@dataclass(frozen=True, slots=True)
class TcpSocket:
    """One row of the kernel's table; `inode` ties it to the process that holds it."""

    address: str
    port: int
    listening: bool
    established: bool
    inode: str

    @property
    def loopback(self) -> bool:
        """Whether only this computer can reach it."""
        return self.address.startswith(_LOOPBACK)


def parse_table(text: str) -> list[TcpSocket]:
    """Read the text of /proc/net/tcp or /proc/net/tcp6."""
    rows = (line.split() for line in text.splitlines()[1:])
    return [
        TcpSocket(*_address(row[1]), row[3] == _LISTEN, row[3] == _ESTABLISHED, row[9]) for row in rows if len(row) > 9
    ]


def table() -> list[TcpSocket]:
    """Every TCP socket of this network namespace."""
    return [
        row
        for name in ("tcp", "tcp6")
        if Path(f"/proc/net/{name}").exists()
        for row in parse_table(Path(f"/proc/net/{name}").read_text())
    ]


def held_by(pids: Iterable[int]) -> list[TcpSocket]:
    """The TCP sockets that any of `pids` holds."""
    inodes = {inode for pid in pids for inode in _inodes(pid)}
    return [row for row in table() if row.inode in inodes]


def listens(pid: int, port: int) -> bool:
    """Whether process `pid` itself listens on `port`: an open port may be another program's."""
    return any(row.listening and row.port == port for row in held_by([pid]))


def has_client(pid: int, port: int) -> bool:
    """Whether somebody is connected to the port `port` of process `pid`."""
    return any(row.established and row.port == port for row in held_by([pid]))


def free_ports(count: int) -> list[int]:
    """Return `count` different loopback ports nobody listens on at this moment."""
    with contextlib.ExitStack() as stack:
        taken = [stack.enter_context(socket.socket()) for _ in range(count)]
        for each in taken:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in taken]


def has_ipv6_loopback() -> bool:
    """Whether ::1 exists here."""
    try:
        return any(line.split()[-1] == "lo" for line in Path("/proc/net/if_inet6").read_text().splitlines())
    except OSError:
        return False


def _inodes(pid: int) -> set[str]:
    found = set()
    try:
        for entry in Path(f"/proc/{pid}/fd").iterdir():
            with contextlib.suppress(OSError):
                target = str(entry.readlink())
                if target.startswith("socket:["):
                    found.add(target[8:-1])
    except OSError:
        return set()
    return found


def _address(text: str) -> tuple[str, int]:
    host, _, port = text.partition(":")
    words = bytes.fromhex(host)
    raw = b"".join(words[start : start + 4][::-1] for start in range(0, len(words), 4))
    return socket.inet_ntop(socket.AF_INET if len(raw) == 4 else socket.AF_INET6, raw), int(port, 16)
