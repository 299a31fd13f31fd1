"""An archive that is away, hung fetches, a search through more than the cache holds, below a mount (R6, R7, N3)."""

from __future__ import annotations

import errno
import itertools
import json
import os
import random
import signal
import subprocess
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from campaign.archives import archive, lacking
from campaign.watched import add_turns, launcher
from jupyter_alc.testing.data_service import DataService
from jupyter_alc.testing.engines import cache_on_disk
from jupyter_alc.testing.faults import Fault, FaultyProxy
from stalls import Stalls

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from campaign.archives import Archive

MIB = 1 << 20
_SIZE = 700_001
_HUNG, _QUICK_MS = 24, 50
_KNOWN, _UNKNOWN = 8, 400
_WORD = b"neutron"


@dataclass
class Figures:
    """What was seen; `wrong` is empty when all was right."""

    points: int = 0
    cached_reads: int = 0
    cached_ms: list[float] = field(default_factory=list)  # median and longest
    refused: int = 0
    refused_seconds: list[float] = field(default_factory=list)  # median and longest
    used_mib: float = 0.0
    turns: dict[str, dict[str, Any]] = field(default_factory=dict)  # of the service's loops
    wrong: list[str] = field(default_factory=list)
    seconds: float = 0.0

    @property
    def right(self) -> bool:
        """Whether nothing went wrong."""
        return not self.wrong

    def __str__(self) -> str:
        return json.dumps({**vars(self), "right": self.right})


class Mounted:
    """A mount on an archive behind a proxy, and what it holds."""

    def __init__(self, place: Path, archive: Archive, proxy: FaultyProxy, chance: random.Random) -> None:
        self.place, self.archive, self.proxy, self.chance = place, archive, proxy, chance
        self.data = place / "data/runs"
        self.texts: dict[str, bytes] = {}

    def put(self, path: str, size: int) -> bytes:
        """Plant a file."""
        self.texts[path] = self.chance.randbytes(size)
        self.archive.put(path, self.texts[path])
        return self.texts[path]

    @contextmanager
    def service(
        self, figures: Figures, *, deadline: float = 0.0, published: bool = False, stops: bool = False, **extra: object
    ) -> Iterator[DataService]:
        """The data service, ended with the block; how its loops had their turns is told then, if nobody `stops` it."""
        dataset = replace(self.archive.dataset(self.proxy.address), published=published)
        service = DataService(
            self.place, [dataset], mount=self.place / "data", launcher=launcher(self.place, deadline), extra=extra
        )
        try:
            assert service.start()["mounted"], service.first_word
            yield service
        finally:
            self.proxy.faults = iter(())
            service.stop()
        if not stops:
            figures.wrong += add_turns(self.place, figures.turns)


def read_cached(path: Path, size: int, start: int = 0) -> bytes:
    """Read past the kernel's pages, so that the service is asked."""
    file = os.open(path, os.O_RDONLY)
    try:
        os.posix_fadvise(file, 0, 0, os.POSIX_FADV_DONTNEED)
        return os.pread(file, size, start)
    finally:
        os.close(file)


def _two(numbers: list[float]) -> list[float]:
    """Median and longest."""
    return [round(one, 4) for one in (sorted(numbers)[len(numbers) // 2], max(numbers))] if numbers else []


@contextmanager
def _mounted(place: Path, seed: int, name: str = "wsgidav") -> Iterator[Mounted]:
    place.mkdir(parents=True, exist_ok=True)
    with archive(name, place / "lab") as one, FaultyProxy(*one.address) as proxy:
        (place / "own").mkdir()
        yield Mounted(place / "own", one, proxy, random.Random(seed))


def away(place: Path, points: int, seed: int, *, deadline: float = 0.0) -> Figures:
    """For `points` seconds nobody answers, the first half by refusing, the second by hanging; then all is well."""
    figures, began = Figures(points), time.monotonic()
    longest = 4 * deadline or 32.0  # once more after the first, and each at most its own
    with _mounted(place, seed) as here:
        for number in range(_KNOWN):
            here.put(f"known/{number}", _SIZE)
        for number in range(_UNKNOWN):
            here.put(f"unknown/{number}", 999)
        with here.service(figures, deadline=deadline) as service:
            for path, text in here.texts.items():
                if path.startswith("known") and (here.data / path).read_bytes() != text:
                    figures.wrong.append(f"{path}: wrong before anything went wrong")
            names = {one.name for one in (here.data / "unknown").iterdir()}
            cached, refused = list[float](), list[float]()
            begun = time.monotonic()
            with _stalls(service) as stalls, ThreadPoolExecutor(4) as others:
                while (passed := time.monotonic() - begun) < points:
                    here.proxy.faults = itertools.repeat(Fault.REFUSED if passed < points / 2 else Fault.HUNG)
                    missed = [others.submit(_refused, here, n, names, figures, stalls) for n in range(3)]
                    while not all(one.done() for one in missed):
                        cached.append(_timed_read(here, figures, stalls))
                        time.sleep(0.05)
                    refused += [one.result() for one in missed]
            here.proxy.faults = iter(())
            figures.cached_reads, figures.refused = len(cached), len(refused)
            figures.cached_ms, figures.refused_seconds = [1000 * one for one in _two(cached)], _two(refused)
            if max(refused) > longest:
                figures.wrong.append(f"an answer took {max(refused):.1f} s")
            time.sleep(2.5)
            for path, text in here.texts.items():
                with suppress(OSError):
                    if (here.data / path).read_bytes() == text:
                        continue
                figures.wrong.append(f"{path}: not well afterwards")
    figures.seconds = round(time.monotonic() - began, 1)
    return figures


def _stalls(service: DataService) -> Stalls:
    assert service.process is not None
    return Stalls(service.process.pid)


def _timed_read(here: Mounted, figures: Figures, stalls: Stalls) -> float:
    path = f"known/{here.chance.randrange(_KNOWN)}"
    start = here.chance.randrange(_SIZE - 4096)
    begun = stalls.mark()
    try:
        got = read_cached(here.data / path, 4096, start)
    except OSError as error:
        figures.wrong.append(f"{path}, which is here: {error}")
    else:
        if got != here.texts[path][start : start + 4096]:
            figures.wrong.append(f"{path}: wrong bytes")
    return stalls.since(begun)


def _refused(here: Mounted, kind: int, names: set[str], figures: Figures, stalls: Stalls) -> float:
    """What is not here is EIO; a folder seen before is shown as it was, or EIO."""
    begun, number = stalls.mark(), random.randrange(_UNKNOWN)
    try:
        if kind == 0:
            figures.wrong.append(f"read {len((here.data / f'unknown/{number}').read_bytes())} bytes of nowhere")
        elif kind == 1:
            figures.wrong.append(f"told {(here.data / f'never/{number}').stat()} of nothing")
        elif {one.name for one in (here.data / "unknown").iterdir()} != names:
            figures.wrong.append("a folder lost names")
    except OSError as error:
        if error.errno != errno.EIO:
            figures.wrong.append(f"not EIO: {error}")
    return stalls.since(begun)


def hung(place: Path, points: int, seed: int, *, deadline: float = 0.0) -> Figures:
    """Two dozen fetches hang; meanwhile what is here is read `points` times."""
    figures, began = Figures(points), time.monotonic()
    with _mounted(place, seed) as here:
        for number in range(_KNOWN):
            here.put(f"known/{number}", _SIZE)
        for number in range(_HUNG):
            here.put(f"cold/{number}", _SIZE)
        with here.service(figures, deadline=deadline, published=True) as service, _stalls(service) as stalls:
            for number in range(_KNOWN):
                (here.data / f"known/{number}").read_bytes()
            list((here.data / "cold").iterdir())
            here.proxy.faults = itertools.repeat(Fault.HUNG)
            before = here.proxy.counted.requests
            readers = [threading.Thread(target=_quietly, args=(here.data / f"cold/{n}",)) for n in range(_HUNG)]
            for one in readers:
                one.start()
            while here.proxy.counted.requests - before < 8:
                time.sleep(0.02)
            time.sleep(0.5)
            cached = [_timed_read(here, figures, stalls) for _ in range(points)]
            figures.wrong += [] if any(one.is_alive() for one in readers) else ["nothing hung"]
            figures.cached_reads, figures.cached_ms = len(cached), [1000 * one for one in _two(cached)]
            if figures.cached_ms[1] > _QUICK_MS:
                figures.wrong.append(f"what is here is read in {figures.cached_ms[1]:.0f} ms")
            for one in readers:
                one.join(90)
    figures.seconds = round(time.monotonic() - began, 1)
    return figures


def _quietly(path: Path) -> None:
    with suppress(OSError):
        path.read_bytes()


def grep(place: Path, points: int, seed: int, *, quota: int = 64 * MIB) -> Figures:
    """`grep -r` over a tree of `points` files that is three times the quota."""
    figures, began = Figures(points), time.monotonic()
    with _mounted(place, seed, "wsgidav" if lacking("webdav") else "webdav") as here:
        expected, size = set(), 3 * quota // points
        for number in range(points):
            path = f"run{number % 100}/f{number}"
            text = here.chance.randbytes(here.chance.randrange(size * 2)) + _WORD * (number % 97 == 0)
            here.archive.put(path, text)
            expected |= {path} if _WORD in text else set()
        with here.service(figures, stops=True, quota_bytes=quota) as service:
            command = ["grep", "-r", "-l", "-a", _WORD.decode(), "."]
            found = subprocess.Popen(command, cwd=here.data, stdout=subprocess.PIPE)
            used = 0
            while found.poll() is None:
                used = max(used, _on_disk(service))
                time.sleep(0.2)
            out, _ = found.communicate()
            used = max(used, _on_disk(service))
            told = {line.removeprefix("./") for line in out.decode().split("\n") if line}
            figures.used_mib = round(used / MIB, 1)
            if told != expected:
                figures.wrong.append(f"found {len(told)} of {len(expected)}, {len(told - expected)} of them wrong")
            if used > quota:
                figures.wrong.append(f"{used} bytes on disk, {quota} allowed")
            if found.returncode != 0:
                figures.wrong.append(f"grep ended with {found.returncode}")
    figures.seconds = round(time.monotonic() - began, 1)
    return figures


def _on_disk(service: DataService) -> int:
    """The bytes of the disk that the cache takes, its index aside; the service stands still while they are added up."""
    assert service.process is not None
    service.process.send_signal(signal.SIGSTOP)
    try:
        return cache_on_disk(service.volume)
    finally:
        service.process.send_signal(signal.SIGCONT)
