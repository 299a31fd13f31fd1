"""Kills and flipped bits under load: after each, only right bytes are read, and little is fetched again (R5, R6).

A child reads at random from an engine on a volume and says in shared memory which blocks its readers got. It is killed
at a random moment. Then an engine on the same volume reads everything: each byte must be right, and nothing may be
fetched again that a reader got before, unless the quota was too small to keep it.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import mmap
import os
import random
import shutil
import signal
import time
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from jupyter_alc.core.dataset import Access, MountedDataset
from jupyter_alc.dms.adapters.local import LocalAdapter
from jupyter_alc.dms.engine.blocks import beside
from jupyter_alc.dms.engine.engine import Tuning
from jupyter_alc.dms.engine.planner import BLOCK, Extent, blocks_of
from jupyter_alc.testing.engines import cache_on_disk, running_engine

if TYPE_CHECKING:
    from collections.abc import Collection
    from pathlib import Path

FILES, FILE_BLOCKS, READERS = 8, 40, 6
_AMPLE = 4
_TAIL = 17  # the last block is not a whole one
_HEAD = 24  # bytes of a file of the cache, and then 4 for each block's checksum


@dataclass
class Figures:
    """What a campaign found."""

    points: int = 0
    wrong_bytes: int = 0
    blocks_read: int = 0
    kept_blocks: int = 0  # that a reader saw in the cache before the kill, and that the quota had room for
    lost: int = 0  # of these, not here any more
    over_quota: int = 0
    flipped: int = 0
    dropped: int = 0
    not_found: int = 0  # flips that neither failed a checksum nor lay where no block is
    seconds: float = 0.0

    @property
    def right(self) -> bool:
        """Whether nothing went wrong."""
        return not (self.wrong_bytes or self.lost or self.over_quota or self.not_found)

    def __str__(self) -> str:
        return json.dumps({**vars(self), "right": self.right})


class Counting(LocalAdapter):
    """A folder that answers a little late, and notes the blocks that were asked for."""

    asked: ClassVar[Counter[tuple[str, int]]] = Counter()

    async def read_range(self, path: str, start: int, stop: int, if_token: str) -> bytes:
        """One range."""
        await asyncio.sleep(random.random() * 0.002)
        self.asked.update((path, number) for number in blocks_of(Extent(start, stop)))
        return bytes(await super().read_range(path, start, stop, if_token))


class Campaign:
    """One volume and one archive through many kills."""

    def __init__(self, place: Path, seed: int) -> None:
        self.place, self.chance = place, random.Random(seed)
        self.volume = place / "volume"
        self.files = {f"f{number}": self.chance.randbytes(FILE_BLOCKS * BLOCK - _TAIL) for number in range(FILES)}
        (place / "archive").mkdir(parents=True)
        for name, text in self.files.items():
            path = place / "archive" / name
            path.write_bytes(text)
            os.utime(path, (1e9, 1e9))
        self.dataset = MountedDataset("ds", "Data", "local", str(place / "archive"), Access.READ, published=True)
        self.got = mmap.mmap(-1, FILES * FILE_BLOCKS)
        self.figures = Figures()

    def engine(self, quota: int) -> Any:
        """An engine on the volume."""
        tuning = Tuning(quota_bytes=quota, keep_free_bytes=0)
        return running_engine(self.volume, [self.dataset], tuning=tuning, adapters=lambda one: Counting(one.url, {}))

    async def load(self, quota: int, seed: int) -> None:
        """Read at random until killed."""
        async with self.engine(quota) as engine:
            await asyncio.gather(*(self.reader(engine, random.Random(seed + n)) for n in range(READERS)))

    async def reader(self, engine: Any, chance: random.Random) -> None:
        while True:
            name = chance.choice(sorted(self.files))
            handle = await engine.open(f"ds/{name}")
            for _ in range(chance.randrange(1, 12)):
                start = chance.randrange(handle.size)
                stop = min(handle.size, start + chance.choice([1, 4096, BLOCK, 5 * BLOCK, 20 * BLOCK]))
                got = await engine.read(handle, start, stop)
                if got != self.files[name][start:stop]:
                    os._exit(9)
                for number in blocks_of(Extent(start, stop)):
                    if handle.cached(number * BLOCK, (number + 1) * BLOCK) is None:
                        continue  # it was read past the cache
                    self.got[int(name[1:]) * FILE_BLOCKS + number] = 1
            await engine.close(handle)

    def kill(self, quota: int, seconds: float) -> None:
        """Load the volume and kill -9 after `seconds`."""
        seed = self.chance.randrange(2**32)
        child = os.fork()
        if child == 0:
            with contextlib.suppress(BaseException):
                asyncio.run(self.load(quota, seed))
            os._exit(7)
        time.sleep(seconds)
        os.kill(child, signal.SIGKILL)
        _, status = os.waitpid(child, 0)
        if os.WIFEXITED(status):
            self.figures.wrong_bytes += os.WEXITSTATUS(status) == 9
            if os.WEXITSTATUS(status) != 9:
                raise RuntimeError("the load ended by itself")

    async def look(self, quota: int, *, whole: bool = True, known: Collection[tuple[str, int]] = ()) -> int:
        """Read all, or some, as the next engine does; the blocks whose checksums failed. `known` must still be here."""
        Counting.asked.clear()
        async with self.engine(quota) as engine:
            for name, number in known:
                handle = await engine.open(f"ds/{name}")
                here = handle.cached(number * BLOCK, (number + 1) * BLOCK)
                self.figures.lost += here != self.files[name][number * BLOCK : (number + 1) * BLOCK]
                await engine.close(handle)
            for name, text in self.files.items() if whole else list(self.files.items())[:2]:
                handle = await engine.open(f"ds/{name}")
                for at in range(0, len(text), 3 * BLOCK):
                    got = await engine.read(handle, at, at + 3 * BLOCK)
                    self.figures.wrong_bytes += got != text[at : at + 3 * BLOCK]
                    self.figures.blocks_read += len(blocks_of(Extent(0, len(got))))
                await engine.close(handle)
            cache = engine._cache
            self.figures.over_quota += cache.used_bytes > quota
            return int(cache.counts().dropped)

    def known(self) -> set[tuple[str, int]]:
        """The blocks that readers got since the cache was emptied."""
        return {(f"f{n // FILE_BLOCKS}", n % FILE_BLOCKS) for n in range(len(self.got)) if self.got[n]}

    def forget(self) -> None:
        """Begin with an empty cache."""
        shutil.rmtree(self.volume, ignore_errors=True)
        self.got[:] = bytes(len(self.got))


def kills(place: Path, points: int, seed: int) -> Figures:
    """Kill -9 at `points` random moments: four with room for all, two with a quota of a few holes, and so on."""
    campaign = Campaign(place, seed)
    figures, began = campaign.figures, time.monotonic()
    for point in range(points):
        tiny = point % 6 >= _AMPLE
        if point % 6 in {0, _AMPLE}:
            campaign.forget()
        quota = 64 * BLOCK if tiny else 10**9
        campaign.kill(quota, campaign.chance.uniform(0.02, 0.25))
        figures.over_quota += cache_on_disk(campaign.volume) > quota
        before = set() if tiny else campaign.known()
        figures.dropped += asyncio.run(campaign.look(quota, whole=point % 6 == _AMPLE - 1, known=before))
        figures.kept_blocks += len(before)
        figures.points += 1
    figures.seconds = round(time.monotonic() - began, 1)
    return figures


def flips(place: Path, points: int, seed: int) -> Figures:
    """Flip bits of a cache at rest, `points` times 1 to 20: each is found, its block fetched again and counted."""
    campaign = Campaign(place, seed)
    figures, began = campaign.figures, time.monotonic()
    quota = 10**9
    asyncio.run(campaign.look(quota))
    for _ in range(points):
        bits: set[tuple[Path, int]] = set()
        hit = {_flip(campaign, bits) for _ in range(campaign.chance.randrange(1, 21))}
        figures.flipped += len(hit)
        dropped = asyncio.run(campaign.look(quota))
        again = len(Counting.asked)
        figures.dropped += dropped
        # two flipped blocks and the good one between them are one request (R9); more than that is fetched for nothing
        figures.not_found += dropped != len(hit) or not len(hit) <= again <= len(hit) * 3 // 2
        figures.points += 1
    figures.seconds = round(time.monotonic() - began, 1)
    return figures


def _flip(campaign: Campaign, bits: set[tuple[Path, int]]) -> tuple[Path, int]:
    """Flip one bit of a block or of its checksum, none twice; the block."""
    path = campaign.chance.choice(sorted(campaign.volume.glob("cache/v*/*/*.*")))
    first = beside(FILE_BLOCKS * BLOCK - _TAIL)  # where the blocks begin
    begin, end = campaign.chance.choice([(_HEAD, _HEAD + 4 * FILE_BLOCKS), (first, path.stat().st_size)])
    bit = campaign.chance.randrange(8 * begin, 8 * end)
    if (path, bit) in bits:
        return _flip(campaign, bits)
    bits.add((path, bit))
    with path.open("r+b") as file:
        byte = os.pread(file.fileno(), 1, bit // 8)[0]
        os.pwrite(file.fileno(), bytes([byte ^ 1 << bit % 8]), bit // 8)
    return path, (bit // 8 - begin) // (BLOCK if begin == first else 4)
