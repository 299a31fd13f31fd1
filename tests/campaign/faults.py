"""Faults between the archive and whoever reads: through the whole engine, nothing wrong is ever told (R1, R4, R7, N3).

Readers open, read, look and list while requests go wrong behind the engine. What they are told must be right or an
error; never wrong bytes, never "not there" of what is there, never an empty file or folder. A read of what is here is
always right. Afterwards all is well again.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import random
import time
from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from campaign.archives import NAMES, archive, lacking
from jupyter_alc.core.errors import AlcError, ArchiveUnreachable, Conflict, Denied, FileNotThere, VersionChanged
from jupyter_alc.dms.engine.engine import DmsEngine, Tuning
from jupyter_alc.dms.engine.planner import BLOCK
from jupyter_alc.testing.faults import HANGS, MORE, RIGHT, Fault, FaultyProxy
from stalls import Stalls

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from campaign.archives import Archive

SIZES = (0, 1, 999, BLOCK, 200_003, 700_001, 1_500_017, 3_000_011)
FOLDERS = ("run1", "run2/deep")
DEADLINE = 1.5
_LONGEST = 1_000_000
_ALL_WELL = 100
_TRIES = 8
_RARE = 0.02  # hangs cost their deadline
_INVERTED = bytes(255 - one for one in range(256))
_OTHER = ("another-version", "time-1420070400")  # in the token of the version that the proxy makes up


_KINDS = ("cold", "hit", "old", "listing", "stat")
ALL_PAIRS = frozenset((fault.name, kind) for fault in Fault for kind in (*_KINDS, "end"))
"""Each fault while each kind of question is asked, and while the engine ends."""
_ALL_RUN = 9_000  # so many faults are a whole campaign
_THOROUGH = 500  # of so many at one archive there is time for each pair


@dataclass
class Figures:
    """What a campaign found; `told` counts what each kind of question got."""

    injected: Counter[str] = field(default_factory=Counter)
    asked: Counter[str] = field(default_factory=Counter)
    told: Counter[str] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)
    turns: dict[str, dict[str, Any]] = field(default_factory=dict)  # of the loops of data services
    seconds: float = 0.0
    pairs: set[tuple[str, str]] = field(default_factory=set)  # of fault and question, one at a time

    @property
    def right(self) -> bool:
        """Whether nothing went wrong."""
        return not self.wrong

    @property
    def faults(self) -> int:
        """How many requests went wrong."""
        return sum(self.injected.values())

    def __str__(self) -> str:
        told = {"faults": self.faults, **vars(self), "right": self.right}
        told["pairs"] = f"{len(self.pairs & ALL_PAIRS)} of {len(ALL_PAIRS)}"
        return json.dumps(told)


class SkippingClock:
    """The computer's clock, ahead by what a campaign skipped."""

    def __init__(self) -> None:
        self.ahead = 0.0

    def now(self) -> datetime:
        """The wall clock."""
        return datetime.now(UTC)

    def monotonic(self) -> float:
        """Seconds, some of them skipped."""
        return time.monotonic() + self.ahead

    def skip(self, seconds: float = 61.0) -> None:
        """What was believed is asked again."""
        self.ahead += seconds


class Contents:
    """What the archive holds and held: each version of a file has a size of its own, which tells it.

    So does what a fault makes of it: a server that lies about a size, and tells times in seconds only, could else pass
    one version off as another of the same second, and nobody could know.
    """

    def __init__(self, archive: Archive, chance: random.Random) -> None:
        self._archive, self._chance = archive, chance
        self.versions: dict[str, list[bytes]] = {}
        for folder, size in itertools.product(FOLDERS, SIZES):
            self.change(f"{folder}/f{size}", size)

    def change(self, path: str, size: int) -> None:
        """Put another version of `size` bytes."""
        known = self.versions.setdefault(path, [])
        while any(_alike(size, len(one)) for one in known):
            size += 1
        known.append(self._chance.randbytes(size))
        self._archive.put(path, known[-1])

    def of_size(self, path: str, size: int, token: str = "") -> bytes | None:
        """The version of this size, None if there never was one; by its token the one that the proxy made of it."""
        text = next((one for one in self.versions[path] if len(one) == size), None)
        made_up = text is not None and any(one in token for one in _OTHER)
        return text.translate(_INVERTED) if made_up and text is not None else text

    def possible(self, path: str, size: int) -> list[bytes]:
        """What a file of this size may hold, where nobody tells its token."""
        texts = [one for one in self.versions[path] if len(one) == size]
        return [*texts, *(one.translate(_INVERTED) for one in texts)]

    def within(self, folder: str) -> set[str]:
        """The names that must be listed."""
        inside = [path[len(folder) :].lstrip("/") for path in self.versions if path.startswith(folder)]
        return {one.partition("/")[0] for one in inside}


def _alike(one: int, other: int) -> bool:
    """Whether a version of one size may be told as one of the other: as it is, halved, or with some bytes more."""
    return not {one, one // 2, one + MORE}.isdisjoint({other, other // 2, other + MORE})


class Questions:
    """What readers ask of one engine, and whether the answer was right; "" is well."""

    def __init__(self, engine: DmsEngine, contents: Contents, chance: random.Random, figures: Figures) -> None:
        self.engine, self.contents, self.chance, self.figures = engine, contents, chance, figures
        self.kinds = {one.__name__: one for one in (self.cold, self.hit, self.old, self.listing, self.stat)}
        assert set(self.kinds) == set(_KINDS)
        self.calm: Callable[[], None] = lambda: None
        self.arm: Callable[[], None] = lambda: None
        self.fault = "many"  # what goes wrong, where it is one thing

    async def ask(self, kind: str, *, must: bool = False) -> None:
        """Ask one thing and judge the answer; an error is right unless it `must` be told."""
        self.figures.asked[kind] += 1
        try:
            wrong = await self.kinds[kind]()
            told = "right"
        except FileNotThere as error:
            wrong, told = f"said {error}", "absent"
        except (ArchiveUnreachable, Denied, Conflict) as error:
            told = error.code
            wrong = f"failed with {error!r}" if must and not isinstance(error, VersionChanged) else ""
        self.figures.told[told] += 1
        if wrong:
            self.figures.wrong.append(f"{kind} under {self.fault}: {wrong}")

    async def nothing_under_way(self) -> None:
        """Wait for what was begun while something else went wrong: whoever wants the same is told how it ends (R3)."""
        engine, names = self.engine, self.engine._datasets.names["runs"]
        while engine._fetches.under_way or engine._reading.streams.under_way or names._under_way:
            await asyncio.sleep(0.01)

    async def as_if_new(self, clock: SkippingClock) -> None:
        """Let nothing be left of what went wrong before: a miss is refused while one asks if it is back (R7)."""
        self.calm()
        await self.nothing_under_way()
        while not self.engine._datasets.links["runs"].reachable:
            clock.skip()
            with contextlib.suppress(AlcError):
                await self.engine.supply.info(f"runs/{self.path()}", anew=True)
            await self.nothing_under_way()

    def path(self) -> str:
        return self.chance.choice(sorted(self.contents.versions))

    def extent(self, size: int) -> tuple[int, int]:
        start = self.chance.randrange(size + 1)
        return start, min(size, start + self.chance.choice([1, 4096, BLOCK, 5 * BLOCK, _LONGEST]))

    async def read(self, handle: Any, path: str, start: int, stop: int) -> str:
        got = await self.engine.read(handle, start, stop)
        return self.same(handle, path, start, got, stop)

    def same(self, handle: Any, path: str, start: int, got: bytes, stop: int | None = None) -> str:
        text = self.contents.of_size(path, handle.size, handle.token)
        if text is None:
            return f"{path} has {handle.size} bytes"
        right = got == text[start : start + len(got) if stop is None else stop]
        return "" if right else f"wrong bytes of {path} ({handle.size}, {handle.token}) from {start}: {len(got)} bytes"

    async def cold(self) -> str:
        """Open, and read some ranges or a stream."""
        path = self.path()
        handle = await self.engine.open(f"runs/{path}")
        try:
            if self.chance.random() < 1 / 3:
                for start in range(0, handle.size + 1, 2 * BLOCK):
                    if wrong := await self.read(handle, path, start, start + 2 * BLOCK):
                        return wrong
            for _ in range(self.chance.randrange(1, 5)):
                if wrong := await self.read(handle, path, *self.extent(handle.size)):
                    return wrong
        finally:
            await self.engine.close(handle)
        return ""

    async def hit(self) -> str:
        """What is here is read, and right, whatever goes wrong outside."""
        self.calm()
        path = self.path()
        handle = await self.engine.open(f"runs/{path}")
        try:
            start, stop = self.extent(handle.size)
            if wrong := await self.read(handle, path, start, stop):
                return wrong
            self.arm()
            for _ in range(3):
                if handle.cached(start, stop) is None:
                    break  # it is larger than the quota, or was evicted
                try:
                    wrong = wrong or await self.read(handle, path, start, stop)
                except (OSError, AlcError) as error:
                    return f"of {path} from {start}, which is here: {error!r}"
        finally:
            await self.engine.close(handle)
        return wrong

    async def old(self) -> str:
        """A file changes while it is open."""
        path = self.chance.choice([one for one in self.contents.versions if not one.endswith("/f0")])
        handle = await self.engine.open(f"runs/{path}")
        try:
            wrong = await self.read(handle, path, *self.extent(handle.size))
            self.contents.change(path, max(1, handle.size + self.chance.randrange(-300, 300)))
            for _ in range(3):
                if wrong := wrong or await self.read(handle, path, *self.extent(handle.size)):
                    return wrong
        finally:
            await self.engine.close(handle)
        return ""

    async def listing(self) -> str:
        folder = self.chance.choice(["", "run1", "run2", "run2/deep"])
        told = {one.name: one for one in await self.engine.ls(f"runs/{folder}".rstrip("/"))}
        if set(told) != self.contents.within(folder):
            return f"{folder or 'the top'} listed as {sorted(told)}"
        for name, entry in told.items():
            path = f"{folder}/{name}"
            if path in self.contents.versions and self.contents.of_size(path, entry.size) is None:
                return f"{path} listed with {entry.size} bytes"
        return ""

    async def stat(self) -> str:
        if self.chance.random() < 1 / 3:
            return await self.absent()
        path = self.chance.choice([*self.contents.versions, *FOLDERS])
        entry = await self.engine.info(f"runs/{path}")
        if path in FOLDERS:
            return "" if entry.is_folder else f"{path} is {entry}"
        right = not entry.is_folder and self.contents.of_size(path, entry.size) is not None
        return "" if right else f"{path} is {entry}"

    async def absent(self) -> str:
        path = f"{self.chance.choice(FOLDERS)}/never-{self.chance.randrange(20)}"
        try:
            entry = await self.engine.info(f"runs/{path}")
        except FileNotThere:
            return ""
        return f"{path}, which never was, is {entry}"


class Campaign:
    """One archive, one engine after the other on one volume, and a proxy that spoils."""

    def __init__(self, place: Path, archive: Archive, seed: int, figures: Figures) -> None:
        self.place, self.archive, self.chance, self.figures = place, archive, random.Random(seed), figures
        self.contents = Contents(archive, self.chance)
        self.clock = SkippingClock()
        self.thorough = False
        self.stalls = Stalls()

    def faults(self, kinds: Sequence[Fault], often: float) -> Iterator[Fault | None]:
        """One for each request, from now on."""
        chance = random.Random(self.chance.random())
        while True:
            yield chance.choice(kinds) if chance.random() < often else None

    def kinds(self) -> list[Fault]:
        """What may go wrong in this round; hangs now and then only, since they cost their deadline."""
        known = [one for one in Fault if one not in HANGS or self.chance.random() < _RARE]
        return known if self.chance.random() < 1 / 2 else self.chance.sample(known, 2)

    async def round(self, proxy: FaultyProxy, volume: Path, *, questions: int) -> None:
        """An engine's life: asked one after the other, asked by many, ended in the middle."""
        quota = self.chance.choice([2 * BLOCK, 16 * BLOCK, 10**9])
        dataset = self.archive.dataset(proxy.address)
        engine = DmsEngine(
            volume, [dataset], user="ada", clock=self.clock, adapters=self.archive.adapter,
            tuning=Tuning(quota_bytes=quota, deadline_seconds=DEADLINE, keep_free_bytes=0),
        )  # fmt: skip
        await engine.start()
        asks = Questions(engine, self.contents, self.chance, self.figures)
        try:
            for _ in range(questions):
                await self.one(proxy, asks)
            asks.calm = asks.arm = lambda: None
            for _ in range(questions // 8):
                self.clock.skip()
                proxy.faults = self.faults(self.kinds(), 0.5)
                await asyncio.gather(*(asks.ask(self.chance.choice(list(asks.kinds))) for _ in range(8)))
            proxy.faults = iter(())
            await self.all_well(asks)
            fault, _ = self.lacked(["end"]) or (self.chance.choice(self.kinds()), "end")
            proxy.faults = itertools.repeat(fault)
            self.clock.skip()
            left = [asyncio.create_task(asks.ask("cold")) for _ in range(8)]
            await asyncio.sleep(self.chance.random() * 0.02)
            begun = self.stalls.mark()
            for one in left:
                one.cancel()
            await asyncio.gather(*left, return_exceptions=True)
        finally:
            await engine.stop()
        self.figures.asked["end"] += 1
        self.figures.pairs.add((fault.name, "end"))
        if self.stalls.since(begun) > 2 * DEADLINE:
            self.figures.wrong.append("end: it took longer than the deadline")

    def lacked(self, kinds: Sequence[str]) -> tuple[Fault, str] | None:
        """A pair that did not happen yet, where there is time for all of them."""
        left = sorted((name, kind) for name, kind in ALL_PAIRS - self.figures.pairs if kind in kinds)
        if not (self.thorough and left):
            return None
        name, kind = self.chance.choice(left)
        return Fault[name], kind

    async def one(self, proxy: FaultyProxy, asks: Questions) -> None:
        """One question while one fault happens, once or again and again."""
        fault, kind = self.chance.choice(self.kinds()), self.chance.choice(list(asks.kinds))
        if self.chance.random() < 1 / 4:
            fault, kind = self.lacked(_KINDS) or (fault, kind)
        once = self.chance.random() < 1 / 2

        def set_to(faults: Iterator[Fault | None]) -> None:
            proxy.faults = faults

        asks.arm = lambda: set_to(iter([fault]) if once else itertools.repeat(fault))
        asks.calm = lambda: set_to(iter(()))
        self.clock.skip()
        if once and fault in RIGHT:
            await asks.as_if_new(self.clock)
        asks.arm()
        asks.fault = f"{fault.name} of {self.archive.address}, {'once' if once else 'always'}"
        await asks.ask(kind, must=once and fault in RIGHT)
        asks.fault = "many"
        self.figures.pairs.add((fault.name, kind))

    async def all_well(self, asks: Questions) -> None:
        """Nothing goes wrong any more: all is told, and right."""
        await asks.nothing_under_way()
        self.clock.skip()
        for path, versions in self.contents.versions.items():
            got = await _whole(asks.engine, f"runs/{path}")
            if got != versions[-1]:  # what was seen before may be shown until the answer to this first question (N3)
                await asyncio.sleep(DEADLINE)
                got = await _whole(asks.engine, f"runs/{path}")
            if got != versions[-1]:
                self.figures.wrong.append(f"afterwards: {path} has {len(got)} bytes, not its last {len(versions[-1])}")
        for _ in range(_ALL_WELL // 10):
            await asks.ask(self.chance.choice(["cold", "listing", "stat"]), must=True)

    async def run(self, faults: int) -> None:
        """Rounds until so many requests went wrong."""
        with FaultyProxy(*self.archive.address) as proxy, self.stalls:
            begun, number = self.figures.faults, 0
            self.thorough = faults >= _THOROUGH
            while self.figures.faults - begun < faults:
                number += self.chance.random() < 1 / 2
                before = dict(proxy.counted.faults)
                await self.round(proxy, self.place / f"volume-{number}", questions=40)
                now = Counter({fault.name: count for fault, count in proxy.counted.faults.items()})  # type: ignore[attr-defined]
                self.figures.injected += now - Counter({fault.name: n for fault, n in before.items()})  # type: ignore[attr-defined]


async def _whole(engine: DmsEngine, path: str) -> bytes:
    """A file read to its end. Our deadline is short for a busy computer: who is told to try again does, for a while."""
    for tries in range(_TRIES):
        handle = await engine.open(path)
        try:
            return await engine.read(handle, 0, handle.size)
        except (ArchiveUnreachable, VersionChanged):  # the latter: opened as it was seen before (N3)
            if tries == _TRIES - 1:
                raise
        finally:
            await engine.close(handle)
        await asyncio.sleep(DEADLINE)
    raise AssertionError


def engine(place: Path, points: int, seed: int, names: Sequence[str] = NAMES) -> Figures:
    """`points` faults, shared by the archives that can run here."""
    figures, began = Figures(), time.monotonic()
    here = [name for name in names if lacking(name) is None]
    for number, name in enumerate(here):
        with archive(name, place / f"lab-{name}") as one:
            asyncio.run(Campaign(place / name, one, seed + number, figures).run(points // len(here)))
    if points >= _ALL_RUN and (lacked := ALL_PAIRS - figures.pairs):
        figures.wrong.append(f"never happened: {sorted(lacked)}")
    figures.seconds = round(time.monotonic() - began, 1)
    return figures
