"""The block cache against a plain model: rules R5 and R6 of docs/semantics/dms.md."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import itertools
import os
import random
import shutil
import tempfile
import threading
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from jupyter_alc.dms.engine.blocks import LAYOUT, BlockFile, size_at
from jupyter_alc.dms.engine.cache import Cache
from jupyter_alc.dms.engine.index import Index
from jupyter_alc.dms.engine.planner import BLOCK, Extent, blocks_of
from stalls import Stalls

pytestmark = pytest.mark.unit

SIZES = [0, 1, BLOCK, 3 * BLOCK + 17, 6 * BLOCK, 40 * BLOCK - 1]
QUOTA = 24 * BLOCK
PAGE = 4096
HERE = f"v{LAYOUT}"


def content(number, token):
    return random.Random(f"{number}-{token}").randbytes(SIZES[number])


async def keep(cache, version, extent, got):
    """What a fetch does; False when there is no room."""
    room = version.needs(extent)
    if not cache.reserve(room):
        return False
    return await cache.store(version, extent, got, room)


def on_disk(folder):
    with contextlib.suppress(FileNotFoundError):
        return sum(path.stat().st_blocks * 512 for path in folder.rglob("*.data"))
    return 0


class CacheMachine(RuleBasedStateMachine):
    """`model` knows the bytes of each version; the cache may forget any of them, and must invent none."""

    files = st.integers(0, len(SIZES) - 1)
    tokens = st.sampled_from(["v1", "v2"])

    def __init__(self):
        super().__init__()
        self.folder = Path(tempfile.mkdtemp(prefix="alc-cache-"))
        self.loop = asyncio.new_event_loop()
        self.cache = Cache(self.folder, QUOTA, keep_free_bytes=0)
        self.model = {(n, token): content(n, token) for n in range(len(SIZES)) for token in ("v1", "v2")}
        self.open = {}
        self.users = {}
        self.flips = 0  # a flip inside a hole takes a page

    def settled(self):
        """Everything decided is done on the disk."""
        self.cache._hand.do(int).result(30)

    def chosen(self, data):
        return data.draw(st.sampled_from(sorted(self.open)))

    @rule(number=files, token=tokens)
    def open_version(self, number, token):
        version = self.cache.open("ds", "here", f"f{number}", token, SIZES[number])
        assert self.open.setdefault((number, token), version) is version
        self.users[number, token] = self.users.get((number, token), 0) + 1

    @precondition(lambda self: self.open)
    @rule(data=st.data(), first=st.integers(0, 39), count=st.integers(1, 8), kind=st.sampled_from([bytes, bytearray]))
    def store(self, data, first, count, kind):
        key = self.chosen(data)
        version, size = self.open[key], SIZES[key[0]]
        extent = Extent(min(first * BLOCK, size), min((first + count) * BLOCK, size))
        if extent.size == 0:
            return
        numbers = set(blocks_of(extent))
        version.busy |= numbers
        kept = self.loop.run_until_complete(
            keep(self.cache, version, extent, kind(self.model[key][extent.start : extent.stop]))
        )
        version.busy -= numbers
        if kept:
            assert version.file.read(extent.start, extent.stop) == self.model[key][extent.start : extent.stop]

    @precondition(lambda self: self.open)
    @rule(data=st.data(), start=st.integers(0, 41 * BLOCK), length=st.integers(0, 5 * BLOCK))
    def read(self, data, start, length):
        key = self.chosen(data)
        stop = min(start + length, SIZES[key[0]])
        if start <= stop:
            got = self.open[key].file.read(start, stop)
            assert got is None or got == self.model[key][start:stop]
            self.cache.touch(self.open[key])

    @rule(size=st.integers(1, QUOTA // PAGE))
    def evict_for_another(self, size):
        size = min(size, QUOTA // PAGE - len(self.open))  # less the checksums of open files
        assert self.cache.reserve(size * PAGE)
        self.cache.release(size * PAGE)

    @precondition(lambda self: self.open)
    @rule(data=st.data())
    def close_version(self, data):
        key = self.chosen(data)
        self.cache.close(self.open[key])
        self.users[key] -= 1
        if not self.users[key]:
            del self.users[key], self.open[key]

    @rule(seed=st.integers(0, 1000), what=st.sampled_from(["nothing", "flips", "torn", "lost", "index", "layout"]))
    def end_damage_and_start_again(self, seed, what):
        self.open.clear()
        self.users.clear()
        self.cache.stop()
        self.flips += damage(self.folder, what, random.Random(seed))
        self.cache = Cache(self.folder, QUOTA, keep_free_bytes=0)
        if what in {"index", "layout"}:
            assert self.cache.used_bytes == 0

    @invariant()
    def the_quota_holds_in_the_books_and_on_the_disk(self):
        assert self.cache.used_bytes <= QUOTA
        assert self.cache.bytes_of("ds") == self.cache.used_bytes
        self.settled()
        assert on_disk(self.folder / HERE) <= self.cache.used_bytes + self.flips * PAGE

    def teardown(self):
        self.cache.stop()
        self.loop.close()
        while self.folder.exists():  # a thread of the cache removes what was put aside, too
            shutil.rmtree(self.folder, ignore_errors=True)


def damage(folder, what, chance):
    """Do to a stopped cache what disks, crashes and other releases do; how many bits may have been flipped."""
    files = sorted(folder.glob(f"{HERE}/*/*.*"))
    if what == "index":
        (folder / HERE / "index.sqlite").write_bytes(b"not a database, not at all" * 100)
    if what == "layout":
        (folder / HERE).rename(folder / "v1")
    for path in files if what in {"flips", "torn", "lost"} else ():
        size = path.stat().st_size
        if what == "lost" and chance.random() < 0.3:
            path.unlink()
        elif what == "torn" and chance.random() < 0.5:
            os.truncate(path, chance.randrange(size))
        elif what == "flips" and chance.random() < 0.5:
            with path.open("r+b") as file:
                at = chance.randrange(size)
                byte = os.pread(file.fileno(), 1, at)[0]
                os.pwrite(file.fileno(), bytes([byte ^ 1 << chance.randrange(8)]), at)
    return len(files) if what == "flips" else 0


TestCacheMachine = CacheMachine.TestCase
TestCacheMachine.settings = settings(
    max_examples=60, stateful_step_count=30, deadline=None, suppress_health_check=list(HealthCheck), database=None
)


@pytest.fixture
def make(tmp_path):
    """Open the cache in this test's folder; it is stopped at the end."""
    caches = []

    def opened(quota_bytes=8 * BLOCK, **more):
        caches.append(Cache(tmp_path, quota_bytes, **{"keep_free_bytes": 0, **more}))
        return caches[-1]

    yield opened
    for cache in caches:
        with contextlib.suppress(RuntimeError):  # stopped by the test
            cache.stop()


async def an_old_and_a_new_one(cache):
    for name in ("old", "new"):
        version = cache.open("ds", "here", name, "t", 2 * BLOCK)
        assert await keep(cache, version, Extent(0, 2 * BLOCK), bytes(2 * BLOCK))
        cache.close(version)


async def test_r6_what_was_used_longest_ago_goes_first(make):
    cache = make(5 * BLOCK)
    await an_old_and_a_new_one(cache)
    assert cache.reserve(BLOCK)
    assert cache.open("ds", "here", "old", "t", 2 * BLOCK).file.read(0, 1) is None
    assert cache.open("ds", "here", "new", "t", 2 * BLOCK).file.read(0, 1) == b"\0"
    assert cache.counts().evictions == 1


async def test_r6_a_large_file_goes_hole_by_hole_open_or_closed(make):
    cache = make(130 * BLOCK)
    for closed in (False, True):
        version = cache.open("ds", "here", f"large{closed}", "t", 128 * BLOCK)
        assert await keep(cache, version, Extent(0, 128 * BLOCK), bytes(128 * BLOCK))
        if closed:
            cache.close(version)
        assert cache.reserve(8 * BLOCK)
        assert cache.used_bytes == (112 + 8) * BLOCK + PAGE
        cache.release(8 * BLOCK)
        again = cache.open("ds", "here", f"large{closed}", "t", 128 * BLOCK)
        assert (again.file.read(0, 1), again.file.read(16 * BLOCK, 17 * BLOCK)) == (None, bytes(BLOCK))
        cache.close(again)
        if not closed:
            cache.close(version)


async def test_r6_a_hole_that_is_read_from_stays_longer_than_the_others(make):
    cache = make(66 * BLOCK)
    version = cache.open("ds", "here", "f", "t", 1000 * BLOCK)
    for first in range(0, 64, 16):
        assert await keep(cache, version, Extent(first * BLOCK, (first + 16) * BLOCK), bytes(16 * BLOCK))
    for first in range(64, 256, 16):
        assert version.file.read(32 * BLOCK, 33 * BLOCK) is not None
        assert await keep(cache, version, Extent(first * BLOCK, (first + 16) * BLOCK), bytes(16 * BLOCK))
    assert version.file.read(32 * BLOCK, 33 * BLOCK) is not None


async def test_a_block_on_its_way_is_not_evicted(make):
    cache = make(3 * BLOCK)
    version = cache.open("ds", "here", "f", "t", 8 * BLOCK)
    assert await keep(cache, version, Extent(0, 2 * BLOCK), bytes(2 * BLOCK))
    version.busy.update({0, 1})
    assert not cache.reserve(BLOCK)
    version.busy.clear()
    assert cache.reserve(BLOCK)


async def test_r6_a_full_disk_is_read_past(make, monkeypatch):
    cache = make()
    version = cache.open("ds", "here", "f", "t", 2 * BLOCK)

    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(version.file, "store", full)
    assert not await keep(cache, version, Extent(0, BLOCK), bytes(BLOCK))
    assert version.file.read(0, 1) is None
    assert cache.used_bytes == 0


def test_r6_a_twentieth_of_the_disk_is_left_free_and_at_most_a_gib(make, monkeypatch):
    cache = make(10**15, keep_free_bytes=None)
    disk = os.statvfs("/")
    for blocks, free_blocks, fits in (
        (20 * 1000, 1000 + 15, False),
        (20 * 1000, 1000 + 16, True),
        (10**9, 2**18 + 15, False),
        (10**9, 2**18 + 16, True),
    ):
        fields = [PAGE, PAGE, blocks, free_blocks, free_blocks, *disk[5:]]
        monkeypatch.setattr("os.statvfs", lambda _, fields=fields: os.statvfs_result(fields))
        assert cache.reserve(16 * PAGE) is fits
        cache.release(16 * PAGE * fits)


async def test_an_eviction_during_a_read_is_a_miss_and_never_zeros(make, monkeypatch):
    cache = make()
    version = cache.open("ds", "here", "f", "t", BLOCK)
    await keep(cache, version, Extent(0, BLOCK), b"x" * BLOCK)
    pread = os.pread

    def slow(descriptor, size, offset):
        version.file.drop(0)
        return pread(descriptor, size, offset)

    monkeypatch.setattr("os.pread", slow)
    assert version.file.read(0, 10) is None
    monkeypatch.undo()


class SlowDisk:
    """Writes of whole blocks wait until they are let go."""

    def __init__(self, monkeypatch):
        self.go, self.begun, self._pwrite = threading.Event(), threading.Event(), os.pwrite
        monkeypatch.setattr("os.pwrite", self.pwrite)

    def pwrite(self, descriptor, data, offset):
        if len(data) >= BLOCK:
            self.begun.set()
            assert self.go.wait(60)
        return self._pwrite(descriptor, data, offset)


async def test_a_slow_disk_delays_no_more_than_what_waits_for_it(make, monkeypatch):
    cache = make(64 * BLOCK)
    here = cache.open("ds", "here", "here", "t", BLOCK)
    await keep(cache, here, Extent(0, BLOCK), b"x" * BLOCK)
    disk = SlowDisk(monkeypatch)
    version = cache.open("ds", "here", "slow", "t", 32 * BLOCK)
    storing = [
        asyncio.create_task(keep(cache, version, Extent(n * BLOCK, (n + 8) * BLOCK), bytes(8 * BLOCK)))
        for n in (0, 8, 16)
    ]
    with Stalls(loop=True) as stalls:
        turns = [stalls.mark()]
        for step in range(30):
            await asyncio.sleep(0.002)
            assert here.file.read(0, 5) == b"xxxxx"
            assert version.file.read(0, 5) is None, "presence before the bytes"
            other = cache.open("ds", "here", f"other{step}", "t", BLOCK)
            cache.close(other)
            turns.append(stalls.mark())
        worst = max(stalls.between(*turn) for turn in itertools.pairwise(turns))
    assert disk.begun.is_set()
    assert not any(one.done() for one in storing)
    disk.go.set()
    assert await asyncio.gather(*storing) == [True] * 3
    assert version.file.read(0, 24 * BLOCK) == bytes(24 * BLOCK)
    assert worst < 0.05, "the loop was held"


async def test_who_is_cancelled_in_a_store_leaves_books_and_disk_as_they_must_be(make, monkeypatch, tmp_path):
    cache = make(64 * BLOCK)
    version = cache.open("ds", "here", "f", "t", 32 * BLOCK)
    disk = SlowDisk(monkeypatch)
    begun = asyncio.create_task(keep(cache, version, Extent(0, 8 * BLOCK), bytes(8 * BLOCK)))
    waits = asyncio.create_task(keep(cache, version, Extent(8 * BLOCK, 16 * BLOCK), bytes(8 * BLOCK)))
    assert await asyncio.to_thread(disk.begun.wait, 30)
    begun.cancel()
    waits.cancel()
    await asyncio.wait([waits])
    assert not begun.done(), "a write that has begun is waited for"
    cache.close(version)
    disk.go.set()
    await asyncio.wait([begun])
    assert begun.cancelled()
    assert waits.cancelled()
    cache.stop()
    again = make(64 * BLOCK)
    version = again.open("ds", "here", "f", "t", 32 * BLOCK)
    assert version.file.read(0, 8 * BLOCK) in {None, bytes(8 * BLOCK)}
    assert version.file.read(8 * BLOCK, 9 * BLOCK) is None
    assert on_disk(tmp_path) <= again.used_bytes <= 64 * BLOCK


def test_a_store_that_ends_after_its_file_was_closed_writes_into_no_other_file(tmp_path, monkeypatch):
    file = BlockFile(tmp_path / "f", 2 * BLOCK)
    disk = SlowDisk(monkeypatch)
    store = threading.Thread(target=file.store, args=(Extent(0, 2 * BLOCK), b"x" * 2 * BLOCK))
    store.start()
    assert disk.begun.wait(30)
    file.close()
    others = [(tmp_path / f"other{n}").open("w+b") for n in range(8)]
    disk.go.set()
    store.join(30)
    assert [os.fstat(one.fileno()).st_size for one in others] == [0] * 8
    for one in others:
        one.close()


async def test_a_version_opened_again_while_it_is_being_closed_is_the_same_one(make, monkeypatch):
    cache = make()
    version = cache.open("ds", "here", "f", "t", BLOCK)
    await keep(cache, version, Extent(0, BLOCK), b"x" * BLOCK)
    go = threading.Event()
    cache._hand.do(lambda: go.wait(30))
    for _ in range(3):
        cache.close(version)
        assert cache.open("ds", "here", "f", "t", BLOCK) is version
    go.set()
    cache._hand.do(int).result(30)
    assert version.file.read(0, 2) == b"xx"
    cache.close(version)
    cache._hand.do(int).result(30)
    assert version.file.read(0, 2) is None
    assert cache.counts().hits == 1


@pytest.mark.parametrize("layout", [LAYOUT - 1, LAYOUT + 1])
def test_a_cache_of_another_layout_is_dropped_and_what_is_unsent_is_not(tmp_path, layout):
    other = tmp_path / f"cache/v{layout}"
    (other / "ab").mkdir(parents=True)
    for end in ("data", "side"):
        (other / f"ab/x.{end}").write_bytes(b"x")
    Index(other).close()
    (tmp_path / "staging").mkdir()
    (tmp_path / "staging/file-1.data").write_bytes(b"unsent")
    cache = Cache(tmp_path / "cache", BLOCK, keep_free_bytes=0)
    assert cache.used_bytes == 0
    cache.stop()
    assert not other.exists()
    assert (tmp_path / "staging/file-1.data").read_bytes() == b"unsent"


async def test_the_folders_are_there_before_anything_is_read(make, tmp_path):
    make().stop()
    folders = sorted(one for one in (tmp_path / HERE).iterdir() if one.is_dir())
    assert [one.name for one in folders] == list("0123456789abcdef")
    assert {one.stat().st_mode & 0o077 for one in folders} == {0}


async def test_a_version_is_one_file_that_tells_its_size(make, tmp_path):
    cache = make(200 * BLOCK)
    for size in (1, 3 * BLOCK + 17, 128 * BLOCK):
        version = cache.open("ds", "here", f"f{size}", "t", size)
        assert await keep(cache, version, Extent(0, size), bytes(size))
        assert size_at(version.file.path) == size
        cache.close(version)
    cache.stop()
    assert len(list(tmp_path.glob(f"{HERE}/*/*"))) == 3
    Path(version.file.path).write_bytes(b"x" * 100)
    with pytest.raises(OSError, match="no file of this cache"):
        size_at(version.file.path)


async def test_r6_a_hole_at_the_end_gives_its_whole_space_back_and_the_rest_stays(make):
    size = 20 * BLOCK + 5000
    cache = make(64 * BLOCK)
    version = cache.open("ds", "here", "f", "t", size)
    assert await keep(cache, version, Extent(0, size), b"x" * size)
    version.file.drop(20)
    assert on_disk(Path(version.file.path).parent) <= version.file.held_bytes == 20 * BLOCK + PAGE
    assert version.file.read(0, 20 * BLOCK) == b"x" * 20 * BLOCK
    cache.stop()
    again = make(64 * BLOCK).open("ds", "here", "f", "t", size).file
    assert list(again.here()) == list(range(20))
    assert again.read(0, 20 * BLOCK) == b"x" * 20 * BLOCK


async def test_a_closed_large_file_whose_head_is_damaged_is_evicted_whole(make, tmp_path):
    size = 128 * BLOCK
    first = make(200 * BLOCK)
    version = first.open("ds", "here", "f", "t", size)
    assert await keep(first, version, Extent(0, size), bytes(size))
    first.stop()
    with Path(version.file.path).open("r+b") as file:
        file.write(b"damaged!")
    cache = make(200 * BLOCK)
    assert cache.reserve(100 * BLOCK)
    assert cache.used_bytes == 100 * BLOCK
    cache._hand.do(int).result(30)
    assert on_disk(tmp_path) == 0


@pytest.mark.parametrize("size", [1, BLOCK, 3 * BLOCK + 17, 4 * BLOCK])
async def test_only_a_closed_version_of_which_no_block_is_missing_is_whole(make, size):
    cache = make(64 * BLOCK)

    def whole(name="f"):
        return cache.has_whole("here", name, "t", size)

    last = (size - 1) // BLOCK * BLOCK
    assert not whole()
    for number, there in enumerate([Extent(0, last), Extent(last, size), Extent(0, size)]):
        version = cache.open("ds", "here", f"f{number}", "t", size)
        assert await keep(cache, version, there, bytes(there.size))
        assert not whole(f"f{number}"), "somebody has it open, who knows better"
        cache.close(version)
        assert whole(f"f{number}") is (there.size == size)
    version = cache.open("ds", "here", "f2", "t", size)
    version.file.drop(0)
    cache.close(version)
    assert not whole("f2")


async def test_what_was_asked_for_whole_counts_as_used_last(make):
    cache = make(5 * BLOCK)
    await an_old_and_a_new_one(cache)
    assert cache.has_whole("here", "old", "t", 2 * BLOCK)
    assert cache.reserve(BLOCK)
    assert cache.has_whole("here", "old", "t", 2 * BLOCK)
    assert not cache.has_whole("here", "new", "t", 2 * BLOCK)


async def test_every_stored_file_is_its_owners_alone(make):
    cache = make()
    version = cache.open("ds", "here", "f", "t", BLOCK)
    assert not Path(version.file.path).exists(), "who only looks leaves nothing"
    await keep(cache, version, Extent(0, BLOCK), bytes(BLOCK))
    assert Path(version.file.path).stat().st_mode & 0o077 == 0


async def test_it_is_kept_over_restarts_and_a_smaller_quota_holds_from_the_start(make):
    first = make(40 * BLOCK)
    for name in "abc":
        version = first.open("ds", "here", name, "t", 8 * BLOCK)
        await keep(first, version, Extent(0, 8 * BLOCK), name.encode() * 8 * BLOCK)
        first.close(version)
    first.stop()
    second = make(40 * BLOCK)
    assert second.open("ds", "here", "a", "t", 8 * BLOCK).file.read(0, 3) == b"aaa"
    second.stop()
    third = make(10 * BLOCK)
    assert third.used_bytes <= 10 * BLOCK
    assert third.open("ds", "here", "a", "t", 8 * BLOCK).file.read(0, 3) == b"aaa", "it was used last"


async def test_after_a_crash_of_the_machine_files_without_a_row_go(make, tmp_path, monkeypatch):
    cache = make()
    version = cache.open("ds", "here", "f", "t", BLOCK)
    await keep(cache, version, Extent(0, BLOCK), bytes(BLOCK))
    shutil.copytree(tmp_path / HERE, tmp_path / "crashed" / HERE)
    stray = tmp_path / "crashed" / HERE / "0" / ("0" * 64 + ".data")
    stray.parent.mkdir(exist_ok=True)
    stray.write_bytes(b"x" * 5000)
    Cache(tmp_path / "crashed", BLOCK, keep_free_bytes=0).stop()
    assert stray.exists(), "a kill of the process leaves none, so nobody looks"
    shutil.rmtree(tmp_path / "crashed")
    shutil.copytree(tmp_path / HERE, tmp_path / "crashed" / HERE)
    stray.parent.mkdir(exist_ok=True)
    stray.write_bytes(b"x" * 5000)
    monkeypatch.setattr("jupyter_alc.dms.engine.index.this_boot", lambda: "another")
    again = Cache(tmp_path / "crashed", 8 * BLOCK, keep_free_bytes=0)
    assert not stray.exists()
    assert again.open("ds", "here", "f", "t", BLOCK).file.read(0, 1) == b"\0"
    again.stop()
