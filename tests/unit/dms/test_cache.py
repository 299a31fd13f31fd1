"""The block cache against a plain model: rules R5 and R6 of docs/semantics/dms.md."""

from __future__ import annotations

import errno
import random
import shutil
import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from jupyter_alc.dms.engine.cache import Cache
from jupyter_alc.dms.engine.planner import BLOCK, Extent, block_extent, blocks_of

pytestmark = pytest.mark.unit

SIZES = [0, 1, BLOCK, 3 * BLOCK + 17, 6 * BLOCK, 10 * BLOCK - 1]
QUOTA = 12 * BLOCK


def content(number, token):
    return random.Random(f"{number}-{token}").randbytes(SIZES[number])


class CacheMachine(RuleBasedStateMachine):
    def __init__(self):
        super().__init__()
        self.folder = Path(tempfile.mkdtemp(prefix="alc-cache-"))
        self.cache = Cache(self.folder, QUOTA, keep_free_bytes=0)
        self.open = {}

    files = st.integers(0, len(SIZES) - 1)
    tokens = st.sampled_from(["v1", "v2"])

    @rule(number=files, token=tokens)
    def open_version(self, number, token):
        if (number, token) not in self.open:
            self.open[number, token] = self.cache.open("ds", "here", f"f{number}", token, SIZES[number])

    @precondition(lambda self: self.open)
    @rule(data=st.data(), first=st.integers(0, 9), count=st.integers(1, 5), fails=st.booleans())
    def fetch(self, data, first, count, fails):
        number, token = data.draw(st.sampled_from(sorted(self.open)))
        version, size = self.open[number, token], SIZES[number]
        extent = Extent(min(first * BLOCK, size), min((first + count) * BLOCK, size))
        if extent.size == 0 or any(version.file.has(one) for one in blocks_of(extent)):
            return
        if not self.cache.reserve(extent.size):
            return
        text = content(number, token)[extent.start : extent.stop]
        kept = self.cache.settle(version, extent, None if fails else text)
        assert kept is not fails
        if kept:
            assert version.file.read(extent.start, extent.stop) == text

    @precondition(lambda self: self.open)
    @rule(data=st.data(), start=st.integers(0, 11 * BLOCK), length=st.integers(0, 3 * BLOCK))
    def read(self, data, start, length):
        number, token = data.draw(st.sampled_from(sorted(self.open)))
        stop = min(start + length, SIZES[number])
        if start <= stop:
            got = self.open[number, token].file.read(start, stop)
            assert got is None or got == content(number, token)[start:stop]
            self.cache.recount(self.open[number, token])

    @precondition(lambda self: self.open)
    @rule(data=st.data())
    def close_version(self, data):
        key = data.draw(st.sampled_from(sorted(self.open)))
        self.cache.close(self.open.pop(key))

    @rule(seed=st.integers(0, 1000), index_too=st.booleans())
    def end_damage_and_start_again(self, seed, index_too):
        self.open.clear()
        self.cache.stop()
        chance = random.Random(seed)
        for path in sorted(self.folder.rglob("*.data")) + sorted(self.folder.rglob("*.side")):
            if chance.random() < 0.3 and path.stat().st_size:
                with path.open("r+b") as file:
                    file.seek(chance.randrange(path.stat().st_size))
                    file.write(chance.randbytes(1))
            elif chance.random() < 0.1:
                path.unlink()
        if index_too and chance.random() < 0.3:
            next(self.folder.rglob("index.sqlite")).write_bytes(b"not a database, not at all" * 100)
        self.cache = Cache(self.folder, QUOTA, keep_free_bytes=0)

    @invariant()
    def the_quota_holds(self):
        assert self.cache.used_bytes <= QUOTA
        assert self.cache.bytes_of("ds") == self.cache.used_bytes

    def teardown(self):
        self.cache.stop()
        shutil.rmtree(self.folder)


TestCacheMachine = CacheMachine.TestCase
TestCacheMachine.settings = settings(
    max_examples=40, stateful_step_count=30, deadline=None, suppress_health_check=list(HealthCheck), database=None
)


def test_what_was_used_longest_ago_goes_first(tmp_path):
    cache = Cache(tmp_path, 4 * BLOCK, keep_free_bytes=0)
    for name in ("old", "new"):
        version = cache.open("ds", "here", name, "t", 2 * BLOCK)
        assert cache.reserve(2 * BLOCK)
        cache.settle(version, Extent(0, 2 * BLOCK), bytes(2 * BLOCK))
        cache.close(version)
    assert cache.reserve(BLOCK)
    assert cache.open("ds", "here", "old", "t", 2 * BLOCK).file.read(0, 1) is None
    assert cache.open("ds", "here", "new", "t", 2 * BLOCK).file.read(0, 1) == b"\0"
    cache.stop()


def test_a_block_on_its_way_is_not_evicted(tmp_path):
    cache = Cache(tmp_path, 2 * BLOCK, keep_free_bytes=0)
    version = cache.open("ds", "here", "f", "t", 8 * BLOCK)
    cache.reserve(2 * BLOCK)
    cache.settle(version, Extent(0, 2 * BLOCK), bytes(2 * BLOCK))
    version.busy.update({0, 1})
    assert not cache.reserve(BLOCK)
    version.busy.clear()
    assert cache.reserve(BLOCK)
    cache.stop()


def test_a_full_disk_is_read_past(tmp_path, monkeypatch):
    cache = Cache(tmp_path, 8 * BLOCK, keep_free_bytes=0)
    version = cache.open("ds", "here", "f", "t", 2 * BLOCK)

    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(version.file, "store", full)
    assert cache.reserve(BLOCK)
    assert not cache.settle(version, Extent(0, BLOCK), bytes(BLOCK))
    assert version.file.read(0, 1) is None
    assert cache.used_bytes == 0
    cache.stop()


def test_an_eviction_during_a_read_is_a_miss_and_never_zeros(tmp_path, monkeypatch):
    cache = Cache(tmp_path, 8 * BLOCK, keep_free_bytes=0)
    version = cache.open("ds", "here", "f", "t", BLOCK)
    cache.reserve(BLOCK)
    cache.settle(version, Extent(0, BLOCK), b"x" * BLOCK)
    pread = __import__("os").pread

    def slow(descriptor, size, offset):
        version.file.drop(0)
        return pread(descriptor, size, offset)

    monkeypatch.setattr("os.pread", slow)
    assert version.file.read(0, 10) is None
    monkeypatch.undo()
    cache.stop()


def test_a_cache_of_another_layout_is_dropped(tmp_path):
    (tmp_path / "v0").mkdir()
    (tmp_path / "v0" / "x.data").write_bytes(b"x")
    Cache(tmp_path, BLOCK, keep_free_bytes=0).stop()
    assert not (tmp_path / "v0").exists()


def test_every_stored_file_is_its_owners_alone(tmp_path):
    cache = Cache(tmp_path, BLOCK, keep_free_bytes=0)
    version = cache.open("ds", "here", "f", "t", BLOCK)
    assert {path.stat().st_mode & 0o077 for path in (version.file.data_path, version.file.side_path)} == {0}
    assert block_extent(0, 10) == Extent(0, 10)
    cache.stop()
