"""What a process has used, what has moved until it was still, and how the kernel forgets a file."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from bench.reading.proxy import Counts, Proxy

_TICKS: Final = os.sysconf("SC_CLK_TCK")


def cpu_seconds(pid: int) -> float:
    """Processor time of a process until now, all its threads, in the kernel and outside."""
    words = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(words[11]) + int(words[12])) / _TICKS


def peak_mib(pid: int) -> float:
    """The most memory a process has had in use at once, MiB."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) / 1024
    return 0.0


def forget(file: Path) -> None:
    """Drop what the kernel keeps of this file, so that each byte is asked of whoever serves it."""
    number = os.open(file, os.O_RDONLY)
    try:
        os.posix_fadvise(number, 0, 0, os.POSIX_FADV_DONTNEED)
    finally:
        os.close(number)


@dataclass
class Stretch:
    """A stretch of work: its seconds, and what moved until the line was still again."""

    proxy: Proxy
    pid: int | None = None
    seconds: float = 0.0
    cpu: float = 0.0
    since: float = 0.0

    def __enter__(self) -> Stretch:
        self._before, self._cpu = self.proxy.counts(), self._used()
        self.since = time.perf_counter()
        return self

    def __exit__(self, *_: object) -> None:
        self.seconds = time.perf_counter() - self.since
        self.moved = still(self.proxy) - self._before
        self.cpu = self._used() - self._cpu

    def _used(self) -> float:
        return 0.0 if self.pid is None else cpu_seconds(self.pid)


def still(proxy: Proxy, quiet_seconds: float = 0.15, most_seconds: float = 2.0) -> Counts:
    """Wait until nothing moves any more: a client may read ahead after its reader has gone."""
    until, seen = time.monotonic() + most_seconds, proxy.counts()
    while True:
        time.sleep(quiet_seconds)
        now = proxy.counts()
        if now == seen or time.monotonic() > until:
            return now
        seen = now
