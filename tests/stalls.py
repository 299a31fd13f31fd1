"""How long something took by this computer's own account: less the time in which the computer let nobody work.

A virtual machine stands still for a second, or runs something else, and a bound on seconds is broken by nobody. Here a
witness on a processor, a process that sleeps for a millisecond again and again, notes when nobody was woken; of the
threads that are measured the kernel tells how long they were ready and did not run; and Python tells when it went
through all the objects of all tests of this process. What is left of the time is what was ours.
"""

from __future__ import annotations

import gc
import mmap
import os
import struct
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

Mark = tuple[float, dict[str, float]]
_HEAD, _PAIR = struct.Struct("=dq"), struct.Struct("=dd")
_SIZE = 4 << 20
_LATE, _MOST = 0.005, 8
_WITNESS = f"""
import mmap, os, struct, sys, time
os.sched_setaffinity(0, {{int(sys.argv[2])}})
noted, parent, number = mmap.mmap(int(sys.argv[1]), {_SIZE}), int(sys.argv[3]), 0
file = os.open("/proc/thread-self/schedstat", os.O_RDONLY)

def waited():  # for others that ran
    return int(os.pread(file, 100, 0).split()[1]) / 1e9

last, before = time.monotonic(), waited()
while os.getppid() == parent:
    time.sleep(0.001)
    now, after = time.monotonic(), waited()
    late = now - last - 0.001 - (after - before)
    if late > {_LATE} and {_HEAD.size} + (number + 1) * {_PAIR.size} <= {_SIZE}:
        struct.pack_into("=dd", noted, {_HEAD.size} + number * {_PAIR.size}, last + 0.001, last + 0.001 + late)
        number += 1
    struct.pack_into("=dq", noted, 0, now, number)
    last, before = now, after
"""


class _Witness:
    """One processor's; it ends with the process that started it."""

    def __init__(self, processor: int) -> None:
        with tempfile.TemporaryFile() as file:
            file.truncate(_SIZE)
            self._noted = mmap.mmap(file.fileno(), _SIZE)
            command = [sys.executable, "-I", "-S", "-c", _WITNESS]
            command += [str(one) for one in (file.fileno(), processor, os.getpid())]
            self._process = subprocess.Popen(
                command,
                pass_fds=[file.fileno()],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                start_new_session=True,
            )

    def wait_for(self, moment: float) -> None:
        """Return when it has noted all that was before `moment`."""
        while _HEAD.unpack_from(self._noted)[0] < moment:
            assert self._process.poll() is None, "a witness ended"
            time.sleep(0.001)

    def late(self) -> Iterator[tuple[float, float]]:
        for number in range(_HEAD.unpack_from(self._noted)[1]):
            yield _PAIR.unpack_from(self._noted, _HEAD.size + number * _PAIR.size)

    def end(self) -> None:
        self._process.kill()
        self._process.wait()
        self._noted.close()


class Witnesses:
    """One on each of the first processors, while the block lasts."""

    def __enter__(self) -> Self:
        self._all = [_Witness(processor) for processor in sorted(os.sched_getaffinity(0))[:_MOST]]
        for one in self._all:
            one.wait_for(time.monotonic())
        return self

    def __exit__(self, *_: object) -> None:
        for one in self._all:
            one.end()

    def stood_still(self, begun: float, ended: float, more: Iterable[tuple[float, float]] = ()) -> float:
        """The seconds between two moments in which a processor woke nobody, or that are in one of `more`."""
        if ended - begun <= _LATE:
            return 0.0
        spans = list(more)
        for one in self._all:
            one.wait_for(ended)
            spans += one.late()
        return _length((max(one, begun), min(other, ended)) for one, other in spans)


class Stalls(Witnesses):
    """Measures while its block lasts: this process and those of `pids`, or with `loop` the calling thread alone."""

    def __init__(self, *pids: int, loop: bool = False) -> None:
        self._tasks = ["/proc/thread-self"] if loop else [f"/proc/{pid}/task" for pid in (os.getpid(), *pids)]
        self._loop, self._collecting, self._collected = loop, 0.0, list[tuple[float, float]]()

    def __enter__(self) -> Self:
        gc.callbacks.append(self._collects)
        return super().__enter__()

    def __exit__(self, *_: object) -> None:
        gc.callbacks.remove(self._collects)
        super().__exit__()

    def mark(self) -> Mark:
        """Now, for `since` and `between`; so cheap that a loop may be watched by it."""
        return time.monotonic(), self._waited()

    def since(self, mark: Mark) -> float:
        """The seconds since `mark`, less those in which the computer did not let us work."""
        return self.between(mark, self.mark())

    def between(self, mark: Mark, other: Mark) -> float:
        """The same of two marks."""
        (begun, before), (ended, after) = mark, other
        ready = sum(waited - before.get(thread, 0.0) for thread, waited in after.items())
        return ended - begun - ready - self.stood_still(begun, ended, self._collected)

    def _waited(self) -> dict[str, float]:
        """Of each thread, the seconds in which it was ready and did not run."""
        waited = {}
        for folder in self._threads():
            with suppress(OSError):  # it has ended
                waited[folder] = int(Path(folder, "schedstat").read_text().split()[1]) / 1e9
        return waited

    def _threads(self) -> Iterator[str]:
        for folder in self._tasks:
            with suppress(FileNotFoundError):
                yield from [folder] if self._loop else [str(one) for one in Path(folder).iterdir()]

    def _collects(self, phase: str, told: dict[str, Any]) -> None:
        if told["generation"] == 2:
            now = time.monotonic()
            if phase == "start":
                self._collecting = now
            else:
                self._collected.append((self._collecting, now))


def _length(spans: Iterable[tuple[float, float]]) -> float:
    """How much is covered by any."""
    total, reached = 0.0, float("-inf")
    for start, stop in sorted(spans):
        total += max(0.0, stop - max(start, reached))
        reached = max(reached, stop)
    return total
