"""The data service killed below its mount while programs read: then all is right, little is fetched again (R5, R6).

Each life of the service has files of its own, which nobody read before, beside those of the lives before. After a kill
the next service is asked for every block that a program was given: the archive gives no bytes then, so it must be here.

What may be fetched `again` is what nobody was given: blocks that were on their way at the kill, or came ahead and were
not synced yet, and blocks in the holes of a request (R9). No request begins or ends with a block that a program had,
where the quota has room for all: these are counted as `kept_again`.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import os
import random
import re
import shutil
import threading
import time
import zlib
from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from email.utils import formatdate
from typing import TYPE_CHECKING

from aiohttp import web

from campaign.watched import launcher
from jupyter_alc.core.dataset import Access, MountedDataset
from jupyter_alc.dms.engine.planner import BLOCK, Extent, blocks_of
from jupyter_alc.testing.data_service import DataService
from jupyter_alc.testing.engines import cache_on_disk
from own_server import OwnServer

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

FILES, PROGRAMS = 8, 6
SIZE = 40 * BLOCK - 17  # the last block is not a whole one
_TINY, _AMPLE = 64 * BLOCK, 1 << 30
_LIVES = 6  # on one volume
_PATIENCE = 8.0  # seconds in which a read of what is here is answered, however busy the computer is
_WHEN = formatdate(1e9, usegmt=True)


@dataclass
class Figures:
    """What a campaign found."""

    points: int = 0
    reads: int = 0
    kept_blocks: int = 0  # that programs had been given before a kill, and that the quota had room for
    lost: int = 0  # of these, not here any more
    again: int = 0  # blocks fetched that had been fetched before: they were on their way at the kill, or lay in a hole
    kept_again: int = 0  # ends of requests that programs had been given, where the quota has room for all
    blocks: int = 0  # fetched in all
    over_quota: int = 0
    start_seconds: float = 0.0  # from the order to the first word, in the mean
    wrong: list[str] = field(default_factory=list)
    seconds: float = 0.0

    @property
    def right(self) -> bool:
        """Whether nothing went wrong."""
        return not (self.wrong or self.lost or self.kept_again or self.over_quota)

    def __str__(self) -> str:
        return json.dumps({**vars(self), "right": self.right})


class Archive(OwnServer):
    """Has a file for every path `<life>/<name>`, and counts the blocks it gave; none while it is held back."""

    def __init__(self, seed: int) -> None:
        self._bytes = random.Random(seed).randbytes(2 * SIZE)
        self.given: defaultdict[str, set[int]] = defaultdict(set)
        self.had: defaultdict[str, set[int]] = defaultdict(set)  # what programs were given, while nothing is evicted
        self.blocks = self.again = self.kept_again = 0
        self.gives = threading.Event()
        self.gives.set()

    def text(self, path: str) -> bytes:
        """What a file holds."""
        start = zlib.crc32(path.encode()) % SIZE
        return self._bytes[start : start + SIZE]

    def dataset(self) -> MountedDataset:
        """All of it."""
        return MountedDataset("runs", "Runs", "http", f"http://{self.at}", Access.READ, published=True)

    async def answer(self, request: web.Request) -> web.StreamResponse:
        """Folders as nginx lists them; files by ranges, a moment late."""
        path = request.path.strip("/")
        if request.path.endswith("/"):
            return web.json_response(_listing(path))
        if "/" not in path:
            return web.Response(status=301, headers={"Location": f"/{path}/"})
        headers = {"Last-Modified": _WHEN, "Accept-Ranges": "bytes"}
        if request.method == "HEAD":
            return web.Response(headers={**headers, "Content-Length": str(SIZE)})
        told = re.fullmatch(r"bytes=(\d+)-(\d+)", request.headers.get("Range", ""))
        start, stop = (int(told[1]), min(SIZE, int(told[2]) + 1)) if told else (0, SIZE)
        numbers = set(blocks_of(Extent(start, stop)))
        self.kept_again += len({min(numbers), max(numbers)} & self.had[path])
        while not self.gives.is_set():
            await asyncio.sleep(0.005)
        await asyncio.sleep(random.random() * 0.004)
        self.blocks += len(numbers)
        self.again += len(numbers & self.given[path])
        self.given[path] |= numbers
        headers["Content-Range"] = f"bytes {start}-{stop - 1}/{SIZE}"
        return web.Response(status=206, body=self.text(path)[start:stop], headers=headers)


def _listing(path: str) -> list[dict[str, object]]:
    if not path:
        return [{"name": f"life{n}", "type": "directory", "mtime": _WHEN} for n in range(_LIVES)]
    return [{"name": f"f{n}", "type": "file", "mtime": _WHEN, "size": SIZE} for n in range(FILES)]


class Lives:
    """One volume and one folder through many services."""

    def __init__(self, place: Path, archive: Archive, seed: int) -> None:
        self.place, self.archive, self.chance = place, archive, random.Random(seed)
        self.figures = Figures()
        self.had: defaultdict[str, set[int]] = defaultdict(set)
        self.lock = threading.Lock()

    def begin_anew(self) -> None:
        """An empty volume."""
        shutil.rmtree(self.place / "volume", ignore_errors=True)
        self.had.clear()
        self.archive.given.clear()

    def life(self, number: int, quota: int) -> None:
        """Start, look what is left of the lives before, read, and be killed."""
        service = DataService(
            self.place, [self.archive.dataset()], mount=self.place / "data", launcher=launcher(self.place, 1.0),
            extra={"quota_bytes": quota},
        )  # fmt: skip
        try:
            began = time.monotonic()
            if not service.start()["mounted"]:
                raise RuntimeError(service.first_word)
            self.figures.start_seconds += time.monotonic() - began
            self.archive.had = self.had if quota == _AMPLE else defaultdict(set)
            if quota == _AMPLE:
                self.all_that_was_given_is_here()
            self.some_files_are_right(number)
            ends = threading.Event()
            with ThreadPoolExecutor(PROGRAMS) as many:
                seeds = [self.chance.random() for _ in range(PROGRAMS)]
                programs = [many.submit(self.program, number, seed, ends) for seed in seeds]
                time.sleep(self.chance.uniform(0.01, 0.35))
                ends.set()  # from now on a read may fail
                service.kill()
            for one in programs:
                one.result()
        finally:
            service.stop()
        self.figures.over_quota += cache_on_disk(service.volume) > quota
        self.figures.points += 1

    def program(self, number: int, seed: float, ends: threading.Event) -> None:
        """Read here and there in this life's files and those of lives before, until the service is gone."""
        chance = random.Random(seed)
        while not ends.is_set():
            path = f"life{max(0, number - chance.choice([0, 0, 0, 1, 2]))}/f{chance.randrange(FILES)}"
            try:
                with _opened(self.path(path)) as file:
                    for _ in range(chance.randrange(1, 8)):
                        size = chance.choice([1, 4096, BLOCK, 5 * BLOCK, 20 * BLOCK])
                        self.read(file, path, chance.randrange(SIZE), size)
            except OSError as error:
                if not ends.is_set():
                    self.wrong(f"{path}: {error}")
                return

    def read(self, file: int, path: str, start: int, size: int) -> None:
        """One read; what it gives was given."""
        got = os.pread(file, size, start)
        stop = start + len(got)
        if got != self.archive.text(path)[start:stop] or (not got and start < SIZE):
            self.wrong(f"{path}: wrong bytes {start}..{stop}")
        with self.lock:
            self.figures.reads += 1
            self.had[path] |= set(blocks_of(Extent(start, stop)))

    def all_that_was_given_is_here(self) -> None:
        """Each block that a program was given is read while the archive gives none."""
        self.archive.gives.clear()
        late = threading.Timer(_PATIENCE, self.archive.gives.set)
        late.start()
        try:
            for path, numbers in self.had.items():
                self.figures.kept_blocks += len(numbers)
                with _opened(self.path(path)) as file:
                    for start, stop in _runs(numbers):
                        if os.pread(file, stop - start, start) != self.archive.text(path)[start:stop]:
                            self.wrong(f"{path}: {start}..{stop} is wrong after a kill")
                        if self.archive.gives.is_set():
                            self.figures.lost += 1
                            self.wrong(f"{path}: {start}..{stop} was waited for")
                            return
        except OSError as error:
            self.wrong(f"what was given: {error}")
        finally:
            late.cancel()
            self.archive.gives.set()

    def some_files_are_right(self, number: int) -> None:
        """Two files of the life before, to their ends, with what was on its way at the kill."""
        for name in self.chance.sample(range(FILES), 2):
            path = f"life{max(0, number - 1)}/f{name}"
            try:
                with _opened(self.path(path), ahead=True) as file:
                    for at in range(0, SIZE, 4 * BLOCK):
                        self.read(file, path, at, 4 * BLOCK)
            except OSError as error:
                self.wrong(f"{path}, afterwards: {error}")

    def path(self, name: str) -> Path:
        """Where it is seen."""
        return self.place / "data/runs" / name

    def wrong(self, what: str) -> None:
        """Note it."""
        with self.lock:
            self.figures.wrong.append(f"point {self.figures.points}, {what}")


class _opened:  # noqa: N801  (a context)
    """A file, read past the kernel's pages; the kernel reads `ahead` or nothing but what it is asked for."""

    def __init__(self, path: Path, *, ahead: bool = False) -> None:
        self._path, self._ahead = path, ahead

    def __enter__(self) -> int:
        self._file = os.open(self._path, os.O_RDONLY)
        os.posix_fadvise(self._file, 0, 0, os.POSIX_FADV_DONTNEED)
        os.posix_fadvise(self._file, 0, 0, os.POSIX_FADV_NORMAL if self._ahead else os.POSIX_FADV_RANDOM)
        return self._file

    def __exit__(self, *_: object) -> None:
        with suppress(OSError):
            os.close(self._file)


def _runs(numbers: set[int]) -> Iterator[tuple[int, int]]:
    """The bytes of blocks that lie side by side."""
    for _, run in itertools.groupby(enumerate(sorted(numbers)), lambda one: one[1] - one[0]):
        first, *rest = [number for _, number in run]
        yield first * BLOCK, min(SIZE, (rest[-1] if rest else first) * BLOCK + BLOCK)


def _quotas(points: int) -> Iterator[tuple[int, int]]:
    """For each point which life of a volume it is, and its quota: two volumes with room for all, one with little."""
    for point in range(points):
        yield point % _LIVES, _TINY if point // _LIVES % 3 == 2 else _AMPLE


def service(place: Path, points: int, seed: int) -> Figures:
    """Kill -9 the data service at `points` random moments."""
    began = time.monotonic()
    with Archive(seed) as archive:
        lives = Lives(place, archive, seed)
        for number, quota in _quotas(points):
            if number == 0:
                lives.begin_anew()
            lives.life(number, quota)
        figures = lives.figures
        figures.blocks, figures.again, figures.kept_again = archive.blocks, archive.again, archive.kept_again
    figures.start_seconds = round(figures.start_seconds / max(1, points), 2)
    figures.seconds = round(time.monotonic() - began, 1)
    return figures
