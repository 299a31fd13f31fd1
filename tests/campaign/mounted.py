"""The same faults below a mount: what programs see of files, in a real kernel, from a real data service.

Each round is a data service's life on one volume: programs read, list, look and change beside each other while requests
go wrong; at its end it is asked to go in the middle of reads.
"""

from __future__ import annotations

import errno
import os
import random
import stat
import subprocess
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

from campaign.archives import archive, lacking
from campaign.faults import FOLDERS, Contents, Figures
from campaign.watched import add_turns, launcher
from jupyter_alc.dms.engine.planner import BLOCK
from jupyter_alc.testing.data_service import DataService
from jupyter_alc.testing.faults import HANGS, Fault, FaultyProxy
from stalls import Stalls

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from campaign.archives import Archive

NAMES = ("plain", "tail", "wsgidav", "http", "webdav", "moto", "ceph")
_ERRORS = frozenset({errno.EIO, errno.ESTALE, errno.EACCES})
_GONE = frozenset({errno.ENOTCONN, errno.ECONNABORTED, errno.ENOENT, errno.EBADF})
_PROGRAMS = 8
_END_SECONDS = 10.0
_AMPLE = 10**9
_TURN = 1.3  # what the kernel and the service believe of a live dataset is a second old by then


def _whole(file: int, size: int, start: int) -> bytes:
    """What programs read: until all is there, or nothing more comes; the kernel tells an error after what was right."""
    got = b""
    while len(got) < size and (piece := os.pread(file, size - len(got), start + len(got))):
        got += piece
    return got


class Programs:
    """What programs do in the folder, and whether what they saw is right; "" is well."""

    def __init__(self, mount: Path, contents: Contents, seed: float, figures: Figures) -> None:
        self.mount, self.contents, self.figures = mount, contents, figures
        self.chance = random.Random(seed)
        self.kinds = (self.cold, self.cold, self.hit, self.old, self.listing, self.stat, self.absent)
        self.ending = False
        self.ample = False  # the quota has room for all, so nothing is evicted
        self.lock = threading.Lock()

    def one(self, *, must: bool = False) -> None:
        """Do one thing and judge it."""
        with self.lock:
            do, chance = self.chance.choice(self.kinds), random.Random(self.chance.random())
        told = "right"
        try:
            wrong = do(chance)
        except OSError as error:
            told = errno.errorcode.get(error.errno or 0, "?")
            allowed = error.errno in (_ERRORS | _GONE if self.ending else _ERRORS)
            older = error.errno == errno.ESTALE  # a file that changes while it is read, which some here do (R4)
            wrong = "" if allowed and (older or not must) else f"{error}"
        with self.lock:
            self.figures.asked[do.__name__] += 1
            self.figures.told[told] += 1
            if wrong:
                self.figures.wrong.append(f"mount, {do.__name__}: {wrong}")

    def path(self, chance: random.Random) -> str:
        with self.lock:
            return chance.choice(sorted(self.contents.versions))

    def read(self, file: int, path: str, start: int, size: int) -> str:
        whole = os.fstat(file).st_size
        with self.lock:
            texts = self.contents.possible(path, whole)
        if not texts:
            return f"{path} has {whole} bytes"
        got = _whole(file, size, start)
        if any(got == text[start : start + size] for text in texts):
            return ""
        return f"wrong bytes of {path} {start}..{start + size}: {len(got)} bytes"

    def cold(self, chance: random.Random) -> str:
        """Open and read."""
        path = self.path(chance)
        file = os.open(self.mount / path, os.O_RDONLY)
        try:
            whole, wrong = os.fstat(file).st_size, ""
            for _ in range(chance.randrange(1, 6)):
                wrong = wrong or self.read(file, path, chance.randrange(whole + 1), chance.choice([1, 4096, 5 * BLOCK]))
            return wrong
        finally:
            os.close(file)

    def hit(self, chance: random.Random) -> str:
        """Read twice, the second time from our cache and not the kernel's: where nothing is evicted, no error."""
        path = self.path(chance)
        file = os.open(self.mount / path, os.O_RDONLY)
        try:
            os.posix_fadvise(file, 0, 0, os.POSIX_FADV_RANDOM)
            if wrong := self.read(file, path, 0, BLOCK):
                return wrong
            os.posix_fadvise(file, 0, 0, os.POSIX_FADV_DONTNEED)
            try:
                return self.read(file, path, 0, BLOCK)
            except OSError as error:
                if self.ample and not self.ending:
                    return f"{path}, which is here: {error}"
                raise
        finally:
            os.close(file)

    def old(self, chance: random.Random) -> str:
        """The file changes while it is open."""
        path = self.path(chance)
        file = os.open(self.mount / path, os.O_RDONLY)
        try:
            whole = os.fstat(file).st_size
            wrong = self.read(file, path, chance.randrange(whole + 1), 4096)
            with self.lock:
                self.contents.change(path, max(1, whole + chance.randrange(-300, 300)) if whole else 0)
            for _ in range(3):
                wrong = wrong or self.read(file, path, chance.randrange(whole + 1), BLOCK)
            return wrong
        finally:
            os.close(file)

    def listing(self, chance: random.Random) -> str:
        """All names, and no other."""
        folder = chance.choice(["", "run1", "run2", "run2/deep"])
        told = {one.name for one in (self.mount / folder).iterdir()}
        return "" if told == self.contents.within(folder) else f"{folder or 'the top'} listed as {sorted(told)}"

    def stat(self, chance: random.Random) -> str:
        """A file has its size, a folder is one."""
        if chance.random() < 1 / 4:
            return "" if stat.S_ISDIR((self.mount / chance.choice(FOLDERS)).stat().st_mode) else "a folder is none"
        path = self.path(chance)
        seen = (self.mount / path).stat()
        with self.lock:
            return "" if self.contents.possible(path, seen.st_size) else f"{path} has {seen.st_size} bytes"

    def absent(self, chance: random.Random) -> str:
        """What never was is not there."""
        path = self.mount / chance.choice(FOLDERS) / f"never-{chance.randrange(1000)}"
        try:
            seen = path.stat()
        except FileNotFoundError:
            return ""
        return f"{path.name}, which never was, is {seen}"


class Rounds:
    """One archive, and data services on one volume one after the other."""

    def __init__(self, place: Path, archive: Archive, seed: int, figures: Figures) -> None:
        self.place, self.archive, self.figures = place, archive, figures
        self.chance = random.Random(seed)
        self.contents = Contents(archive, self.chance)

    def faults(self) -> Iterator[Fault | None]:
        """One for each request; hangs are rare."""
        chance = random.Random(self.chance.random())
        kinds = [one for one in Fault if one not in HANGS]
        if chance.random() < 1 / 2:
            kinds = chance.sample(kinds, 2)
        while True:
            fault = chance.choice(kinds) if chance.random() < 1 / 2 else None
            yield chance.choice(sorted(HANGS)) if chance.random() < 1 / 500 else fault

    def round(self, proxy: FaultyProxy, questions: int) -> None:
        """One service's life."""
        quota = self.chance.choice([16 * BLOCK, 64 * BLOCK, _AMPLE])
        service = DataService(
            self.place, [self.archive.dataset(proxy.address)], mount=self.place / "data",
            launcher=launcher(self.place, 1.0), extra={"quota_bytes": quota, "flush_seconds": 0.1},
        )  # fmt: skip
        proxy.faults = iter(())
        try:
            assert service.start()["mounted"], service.first_word
            programs = Programs(self.place / "data/runs", self.contents, self.chance.random(), self.figures)
            programs.ample = quota == _AMPLE
            with ThreadPoolExecutor(_PROGRAMS) as many:
                for _ in range(3):
                    proxy.faults = self.faults()
                    for done in [many.submit(programs.one) for _ in range(questions // 3)]:
                        done.result()
                    time.sleep(_TURN)
                proxy.faults = iter(())
                self.all_well(programs)
                assert service.process is not None
                with Stalls(service.process.pid) as stalls:
                    proxy.faults = self.faults()
                    programs.ending = True
                    left = [many.submit(programs.one) for _ in range(2 * _PROGRAMS)]
                    time.sleep(self.chance.random() * 0.05)
                    begun = stalls.mark()
                    service.stop()
                    seconds = stalls.since(begun)
                self.figures.asked["end"] += 1
                if seconds > _END_SECONDS:
                    self.figures.wrong.append(f"mount, end: it took {seconds:.1f} s")
                for one in left:
                    one.result(60)
        finally:
            service.stop()
        self.figures.wrong += add_turns(self.place, self.figures.turns)
        if f" {self.place}/data " in Path("/proc/self/mountinfo").read_text():
            self.figures.wrong.append("mount, end: it is still mounted")
            subprocess.run(["umount", "-l", str(self.place / "data")], check=False)

    def all_well(self, programs: Programs) -> None:
        """Nothing goes wrong any more, and after a moment everything is told, and is the last that was put."""
        time.sleep(_TURN)
        for path, versions in self.contents.versions.items():
            got = (programs.mount / path).read_bytes()
            if got != versions[-1]:
                self.figures.wrong.append(f"mount, afterwards: {path} has {len(got)} bytes, not {len(versions[-1])}")
        for _ in range(10):
            programs.one(must=True)

    def run(self, faults: int, questions: int = 240) -> None:
        """Rounds until so many requests went wrong."""
        with FaultyProxy(*self.archive.address) as proxy:
            while sum(proxy.counted.faults.values()) < faults:
                self.round(proxy, questions)
            counted = {Fault(one).name: count for one, count in proxy.counted.faults.items()}
            self.figures.injected += Counter(counted)


def mount(place: Path, points: int, seed: int, names: Sequence[str] = NAMES) -> Figures:
    """`points` faults, shared by the archives that can run here."""
    figures, began = Figures(), time.monotonic()
    here = [name for name in names if lacking(name) is None]
    for number, name in enumerate(here):
        with archive(name, place / f"lab-{name}") as one:
            (place / name).mkdir()
            Rounds(place / name, one, seed + number, figures).run(points // len(here))
    figures.seconds = round(time.monotonic() - began, 1)
    return figures
